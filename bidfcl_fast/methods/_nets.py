"""Networks and the units they were trained in."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from . import _fit
from ._network import Average, mlp
from ._units import Units, outputs

Array = NDArray[Any]


class Nets:
    """Networks and their units: predictions are the mean of theirs."""

    def __init__(self, modules: Sequence[nn.Module], units: Units) -> None:
        self.modules, self.units = list(modules), units
        self.average = Average(self.modules).eval()

    @property
    def device(self) -> torch.device:
        return next(self.average.parameters()).device

    def predict(self, x: Array) -> tuple[Array, Array]:
        with torch.no_grad(), _fit.quiet_threads(len(x)):
            return self.units.money(outputs(self.average, self.units.inputs(x, self.device)))

    @property
    def shape(self) -> list[int]:
        """Number of networks, features, widths of the hidden layers, outputs."""
        first = [m for m in self.modules[0].modules() if isinstance(m, nn.Linear)]
        return [len(self.modules), first[0].in_features, *(layer.out_features for layer in first)]

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        out = {f"{prefix}units.{name}": torch.from_numpy(np.asarray(a)) for name, a in self.units.arrays().items()}
        for t, module in enumerate(self.modules):
            out |= {f"{prefix}net.{t}.{name}": p for name, p in module.state_dict().items()}
        return out

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], shape: Sequence[int], prefix: str = "") -> Nets:
        count, features, *widths = map(operator.index, shape)
        units = {name: tensors[f"{prefix}units.{name}"].double().numpy() for name in ("centre", "scale", "mean", "sd")}
        sizes = {name: (features if name in ("centre", "scale") else 2,) for name in units}
        if count < 1 or not widths or any(units[name].shape != size for name, size in sizes.items()):
            raise ValueError(f"no networks of {list(shape)}")
        modules = []
        for t in range(count):
            start = f"{prefix}net.{t}."
            state = {k[len(start) :]: v.float() for k, v in tensors.items() if k.startswith(start)}
            with torch.device("meta"):  # what a file says of sizes costs no memory; what it holds becomes the network
                module = mlp(features, widths[:-1], widths[-1])
            module.load_state_dict(state, assign=True)
            modules.append(module)
        return cls(modules, Units(**units))
