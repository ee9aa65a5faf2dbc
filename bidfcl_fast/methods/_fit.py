"""The fit loop of all methods: shuffled batches, Adam, a cosine, early stopping, and a state that can be kept."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..bilevel.labels import Part
from ._batches import in_parts, whole
from ._losses import Loss
from ._network import Engine
from ._ranks import Shares
from ._store import Store

# Below this many rows a fit runs on one thread: the work is too small to share, and the result is then the same on
# every machine, whatever its number of processors.
_ONE_THREAD_BELOW = 200_000


@dataclass(frozen=True)
class Schedule:
    """`epochs` passes in batches of `batch` rows by Adam; `lr` falls along a cosine to `floor`·lr at the end.

    With `patience` the rate stays, and the fit stops where so many epochs in a row have not improved on the best one,
    which is kept. `decay` is the weight decay (biases excepted).
    """

    epochs: int
    batch: int = 1024
    lr: float = 2e-3
    floor: float = 0.05
    decay: float = 0.0
    patience: int | None = None

    def rate(self, step: int, steps: int) -> float:
        if self.patience is not None or steps <= 1:
            return self.lr
        return self.lr * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * step / steps)))


@dataclass(frozen=True)
class History:
    """`best_epoch` counts from 0, the state before any step; `loss` is the held-out loss before the first epoch and after each."""

    best_epoch: int
    loss: tuple[float, ...]


class Hook(Protocol):
    """Something that works between the batches and has a state of its own."""

    def before(self, step: int, x: Tensor, arrays: Sequence[Tensor], part: Part | None) -> None: ...

    def state(self) -> dict[str, Tensor]: ...

    def load(self, state: dict[str, Tensor]) -> None: ...


@contextlib.contextmanager
def quiet_threads(rows: int) -> Iterator[None]:
    """One torch thread while small work runs; the process's own number afterwards."""
    before = torch.get_num_threads()
    if rows < _ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def generator(seed: Sequence[int]) -> torch.Generator:
    """A generator for a place in a run: the same place gets the same numbers, whatever was done before."""
    mixed = 0x9E3779B97F4A7C15
    for part in seed:
        mixed = (mixed ^ (part + 0x9E3779B97F4A7C15 + (mixed << 6) + (mixed >> 2))) & ((1 << 63) - 1)
    return torch.Generator().manual_seed(mixed)


def fit(
    engine: Engine,
    x: Tensor,
    loss: Loss,
    schedule: Schedule,
    *,
    seed: Sequence[int],
    held_out: tuple[Tensor, Loss] | None = None,
    hook: Hook | None = None,
    shares: Shares | None = None,
    store: Store | None = None,
    part: str = "fit",
    step: Callable[[], None] = lambda: None,
    log: Callable[[str, float, int], None] | None = None,
) -> list[History]:
    """Minimise `loss` over the rows x [N, F]; every member of `engine` gets its own order of the rows.

    The order of an epoch is a function of `seed`, the member and the epoch, so that a fit that goes on from `store` is the
    fit that was not interrupted, bit for bit. Returns one history a member; without `held_out` they are empty.

    `shares`: the rows are in parts, on several ranks, and x and the loss are of this rank's. The order is then that of all
    rows, and a step is the one that a single process with all of them would take.
    """
    loop = _Loop(engine, x, loss, schedule, tuple(seed), held_out, hook, shares)
    saved = store.running(part) if store is not None else None
    if saved is not None:
        loop.load(*saved)
    elif held_out is not None:
        loop.look()
    for _ in range(loop.epoch):
        step()
    while loop.epoch < schedule.epochs and not loop.stopped:
        loop.run_epoch()
        if held_out is not None:
            loop.look()
            if log is not None:
                log(f"{part}/held_out", loop.losses[-1][0], loop.epoch)
        if store is not None and store.on:
            store.keep(part, *loop.state())
        step()
    return loop.finish()


class _Loop:
    def __init__(
        self,
        engine: Engine,
        x: Tensor,
        loss: Loss,
        schedule: Schedule,
        seed: tuple[int, ...],
        held_out: tuple[Tensor, Loss] | None,
        hook: Hook | None,
        shares: Shares | None,
    ) -> None:
        self.engine, self.x, self.loss, self.schedule, self.seed = engine, x, loss, schedule, seed
        self.held_out, self.hook, self.shares = held_out, hook, shares
        self.rows = len(x) if shares is None else shares.rows
        self.optimiser = torch.optim.Adam(engine.parameters, lr=schedule.lr, fused=True)
        per_epoch = -(-self.rows // schedule.batch)
        self.steps = per_epoch * schedule.epochs
        self.epoch, self.done = 0, 0
        self.losses: list[list[float]] = []  # [epoch][member]
        self.best = [0] * engine.members
        self.best_state: list[list[Tensor]] = []

    @property
    def stopped(self) -> bool:
        patience = self.schedule.patience
        return patience is not None and all(self.epoch - best >= patience for best in self.best)

    def run_epoch(self) -> None:
        orders = [
            torch.randperm(self.rows, generator=generator((*self.seed, t, self.epoch)))
            for t in range(self.engine.members)
        ]
        arrays, batch = (self.x, *self.loss.arrays), self.schedule.batch
        if self.shares is None:
            batches = whole(arrays, [order.to(self.x.device) for order in orders], batch)
        else:
            batches = in_parts(arrays, orders, batch, self.shares)
        for x, others, part in batches:
            self._batch(x, others, part)
        self.epoch += 1

    def _batch(self, x: Tensor, arrays: list[Tensor], part: Part | None) -> None:
        rate = self.schedule.rate(self.done, self.steps)
        if self.hook is not None:
            self.hook.before(self.done, x, arrays, part)
        with torch.no_grad():
            slope = self.loss.slope(self.engine.outputs(x), arrays)
            if part is not None:  # a loss takes the mean over the rows it is given
                slope *= (part.places >= 0).unsqueeze(2).to(slope) * (x.shape[1] / part.rows)
            self.engine.pull(slope)
            if self.shares is not None:
                for p in self.engine.parameters:
                    if p.grad is not None:
                        self.shares.ranks.add(p.grad)
            if self.schedule.decay:
                for p, mask in zip(self.engine.parameters, self.engine.decayed, strict=True):
                    if mask is None:
                        p.mul_(1 - rate * self.schedule.decay)
                    else:
                        p.addcmul_(p, mask, value=-rate * self.schedule.decay)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()
        self.done += 1

    @torch.no_grad()
    def look(self) -> None:
        """The held-out loss of each member; the best state of each is kept."""
        assert self.held_out is not None
        x, loss = self.held_out
        for module in self.engine.modules:
            module.eval()
        out = self.engine.predict(x)
        for module in self.engine.modules:
            module.train()
        found = loss.value(out, [a.expand(len(out), *a.shape) for a in loss.arrays]).tolist()
        first = not self.losses
        self.losses.append(found)
        for t, now in enumerate(found):
            if first or now < self.losses[self.best[t]][t]:
                self.best[t] = self.epoch
                state = [p.detach().clone() for p in self._parameters(t)]
                self.best_state = [*self.best_state[:t], state, *self.best_state[t + 1 :]]

    def _parameters(self, member: int) -> list[Tensor]:
        return [t for _, t in sorted(self.engine.modules[member].state_dict().items())]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        out: dict[str, Tensor] = {"rng": torch.get_rng_state()}
        for k, p in enumerate(self.engine.parameters):
            out[f"parameter.{k}"] = p
            out |= {f"adam.{k}.{name}": t for name, t in self.optimiser.state[p].items()}
        for t, module in enumerate(self.engine.modules):
            out |= {f"buffer.{t}.{name}": b for name, b in module.named_buffers()}
        for t, best in enumerate(self.best_state):
            out |= {f"best.{t}.{k}": b for k, b in enumerate(best)}
        if self.hook is not None:
            out |= {f"hook.{name}": t for name, t in self.hook.state().items()}
        return out, {"epoch": self.epoch, "done": self.done, "losses": self.losses, "best": self.best}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
        self.epoch, self.done = info["epoch"], info["done"]
        self.losses, self.best = info["losses"], info["best"]
        torch.set_rng_state(tensors["rng"])
        for k, p in enumerate(self.engine.parameters):
            p.copy_(tensors[f"parameter.{k}"])
            start = f"adam.{k}."
            self.optimiser.state[p] = {
                name[len(start) :]: t.to(p.device) for name, t in tensors.items() if name.startswith(start)
            }
        for t, module in enumerate(self.engine.modules):
            for name, b in module.named_buffers():
                b.copy_(tensors[f"buffer.{t}.{name}"])
            count = sum(name.startswith(f"best.{t}.") for name in tensors)
            if count:
                self.best_state.append([tensors[f"best.{t}.{k}"].to(self.x.device) for k in range(count)])
        if self.hook is not None:
            self.hook.load({name[5:]: t for name, t in tensors.items() if name.startswith("hook.")})

    @torch.no_grad()
    def finish(self) -> list[History]:
        out = []
        for t, module in enumerate(self.engine.modules):
            if self.best_state and self.schedule.patience is not None:
                for p, kept in zip(self._parameters(t), self.best_state[t], strict=True):
                    p.copy_(kept)
            module.eval()
            out.append(History(self.best[t], tuple(row[t] for row in self.losses)))
        return out
