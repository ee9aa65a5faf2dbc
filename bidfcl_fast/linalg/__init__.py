"""Curvature as linear operators on flat vectors, and conjugate gradient on them (torch).

    result = conjugate_gradient(MLPCurvature(net, x, kind="gauss_newton"), rhs, damping=1e-3)

Vectors are flat: [P], or [B, P] for B right-hand sides, in the order of `module.parameters()`.
"""

from .autodiff import FunctionHessian, GaussNewtonOperator, HessianOperator
from .cg import CGResult, CGStatus, conjugate_gradient
from .mlp import MLPCurvature
from .operator import FunctionOperator, LinearOperator, MatrixOperator, ScaledIdentity, as_operator
from .preconditioner import JacobiPreconditioner, NystromPreconditioner
from .sampled import SamplePreconditioner

__all__ = [
    "CGResult",
    "CGStatus",
    "FunctionHessian",
    "FunctionOperator",
    "GaussNewtonOperator",
    "HessianOperator",
    "JacobiPreconditioner",
    "LinearOperator",
    "MLPCurvature",
    "MatrixOperator",
    "NystromPreconditioner",
    "SamplePreconditioner",
    "ScaledIdentity",
    "as_operator",
    "conjugate_gradient",
]
