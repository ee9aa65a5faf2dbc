"""The fit loop of the methods: minibatches, AdamW, early stopping at the best epoch."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Below this many rows a fit runs on one thread: the work is too small to share, and the result is then the same on
# every machine, whatever its number of processors.
_ONE_THREAD_BELOW = 200_000


@dataclass(frozen=True)
class History:
    """`best_epoch` counts from 0, the state before any step; `loss` is the held-out loss after each epoch."""

    best_epoch: int
    loss: tuple[float, ...]


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


def fit(
    module: nn.Module,
    loss: Callable[[Tensor], Tensor],
    held_out_loss: Callable[[], Tensor],
    rows: int,
    *,
    epochs: int,
    batch: int,
    lr: float,
    decay: float,
    patience: int,
    generator: torch.Generator,
    step: Callable[[], None],
) -> History:
    """Minimise `loss(rows of a batch)`; keep the state of the epoch with the least held-out loss.

    Weight decay leaves biases alone. Stops when `patience` epochs in a row have not improved on the best.
    """
    biases = [p for name, p in module.named_parameters() if name.endswith("bias")]
    weights = [p for name, p in module.named_parameters() if not name.endswith("bias")]
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=lr)

    def held_out() -> float:
        module.eval()
        with torch.no_grad():
            out = float(held_out_loss())
        module.train()
        return out

    best, best_epoch, best_state = held_out(), 0, copy.deepcopy(module.state_dict())
    losses = [best]
    for epoch in range(1, epochs + 1):
        order = torch.randperm(rows, generator=generator)
        for chunk in order.split(batch):
            optimiser.zero_grad(set_to_none=True)
            loss(chunk).backward()
            optimiser.step()
        losses.append(held_out())
        step()
        if losses[-1] < best:
            best, best_epoch, best_state = losses[-1], epoch, copy.deepcopy(module.state_dict())
        elif epoch - best_epoch >= patience:
            break
    module.load_state_dict(best_state)
    module.eval()
    return History(best_epoch, tuple(losses))
