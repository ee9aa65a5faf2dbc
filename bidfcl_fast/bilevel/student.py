"""The student's loss while a bridge is learned: labels made for every batch, upper steps between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..methods._job import Job
from ..methods._trial import TrialLoss
from .bridge import Bridge
from .labels import Batch, Part, mixed
from .presets import Settings
from .step import BilevelStep


class UpperSteps:
    """Both a loss and a hook of the fit loop: before every `upper_every`-th batch the bridge takes a step."""

    def __init__(
        self,
        bridge: Bridge,
        target: nn.Module,
        upper: TrialLoss,
        rows: Batch,
        s: Settings,
        differentiation: str,
        job: Job,
    ) -> None:
        self.bridge, self.upper, self.s, self.job = bridge, upper, s, job
        # Reading A with one step between labels: its labels' slope is that of C, which needs no outputs.
        self.reading = "C" if s.reading == "A" else s.reading
        self.arrays: tuple[Tensor, ...] = tuple(a for a in rows[1:] if a is not None)
        self.step = BilevelStep(
            target, bridge, upper, reading=s.reading, differentiation=differentiation, curvature=s.curvature,
            cg_steps=s.cg_steps, cg_tolerance=s.cg_tolerance, damping=s.damping, share=s.share,
            assumed_steps=s.assumed_steps, step_size=s.step_size, counterfactual_weight=s.counterfactual_weight,
            average=None if job.ranks is None else job.ranks.average,
        )  # fmt: skip
        rates = {"gate": s.bridge_lr, "factual_gate": s.bridge_lr, "correction": s.correction_lr}
        parts = bridge.parts()
        self.learned = [p for parameters in parts.values() for p in parameters]
        self.start = [p.detach().clone() for p in self.learned]
        groups = [{"params": parameters, "lr": rates[name]} for name, parameters in parts.items()]
        self.optimiser = torch.optim.Adam(groups, fused=True)
        self.history: list[dict[str, Any]] = []
        self._x = rows.x

    def before(self, step: int, x: Tensor, arrays: Sequence[Tensor], part: Part | None) -> None:
        self._x = x[0]
        if step % self.s.upper_every:
            return
        batch = Batch(x[0].contiguous(), *(a[0].contiguous() for a in arrays))
        part = None if part is None else Part(part.rows, part.places[0])
        found = self.step.upper(batch, part)
        with torch.no_grad():
            for p, start in zip(self.learned, self.start, strict=True):
                assert p.grad is not None
                if self.s.prox:
                    p.grad.add_(p - start, alpha=self.s.prox)
        self.optimiser.step()
        self._note(step, found, part)

    def _note(self, step: int, found: Any, part: Part | None) -> None:
        said = self.step.said
        assert said is not None

        def mean(gate: Tensor | float) -> float:
            if not isinstance(gate, Tensor):
                return gate
            own = gate.detach().mean()
            if part is not None and self.job.ranks is not None:
                own = self.job.ranks.average(own, part.share)
            return float(own)

        row: dict[str, Any] = {
            "step": step,
            "upper": found.upper,
            "gradient": float(found.gradient.norm()),
            "multiplier": np.asarray(self.upper.multiplier).tolist(),
            "price_held": self.upper.held,
            "gate": mean(said.gate),
            "factual_gate": mean(said.factual),
        }
        if found.solve is not None:
            row |= {"cg_steps": found.solve.steps, "cg_status": int(found.solve.status)}
        self.history.append(row)
        if self.job.log is not None:
            for name in ("upper", "gradient", "gate", "factual_gate"):
                self.job.log(f"upper/{name}", row[name], step)

    # --- As a loss of the fit loop ------------------------------------------------------------------------------------

    def slope(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        batch = Batch(self._x, *(a[0] for a in arrays))
        labels = mixed(batch, self.bridge(batch), self.reading, None, self.s.counterfactual_weight)
        return outputs.sub_(labels.label).mul_(labels.weight).mul_(2 / outputs.shape[1])

    def value(self, outputs: Tensor, arrays: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError("a student is not stopped early")

    # --- As a state ---------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        out = {f"bridge.{name}": t for name, t in self.bridge.state_dict().items()}
        out["calls"] = torch.tensor(self.upper.calls)  # which rows of a large trial come next
        for k, p in enumerate(self.learned):
            out |= {f"adam.{k}.{name}": t for name, t in self.optimiser.state.get(p, {}).items()}
        return out | {f"step.{name}": t for name, t in self.step.state().items()}

    def load(self, state: dict[str, Tensor]) -> None:
        self.upper.calls = int(state["calls"])
        self.bridge.load_state_dict({k[7:]: v for k, v in state.items() if k.startswith("bridge.")})
        for k, p in enumerate(self.learned):
            start = f"adam.{k}."
            found = {name[len(start) :]: t.to(p.device) for name, t in state.items() if name.startswith(start)}
            if found:
                self.optimiser.state[p] = found
        self.step.load({k[5:]: v for k, v in state.items() if k.startswith("step.")})
