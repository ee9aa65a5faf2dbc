"""What the package's own methods share: one `fit` around what each learns, the finish, saving and loading."""

from __future__ import annotations

import contextlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.table import Table
from ..progress import Progress
from . import _fit, _store
from ._job import Job, budgets_of, check_tables
from ._nets import Nets
from ._ranks import FirstStore, Ranks
from ._units import Units
from .base import Method

Array = NDArray[Any]


class Learner(Method):
    """A method whose fit is `_learn`, with everything around it done here."""

    name = "method"
    finish: Any = None
    feature_names_in_: tuple[str, ...]  # of the tables it was fitted on; empty where they have none
    _ends_itself = False  # whether `_learn` does the finish
    _in_parts = False  # whether `_learn` takes a log that is in parts, on several ranks

    def fit(
        self,
        rct: Any = None,
        y: Any = None,
        *,
        obs: Table | None = None,
        val: Table | None = None,
        budget: Any = None,
        seed: int = 0,
        progress: bool = True,
        checkpoint: Any = None,
        resume: bool = False,
        log: Any = None,
        process_group: Any = None,
    ) -> Any:
        """Learn from a trial, a log or both.

        Parameters
        ----------
        rct
            A `Table`: the trial. Or, for scikit-learn, features [N, F] of the trial, with y.
        y
            [N, 3]: treatment, value, cost.
        obs
            The log.
        val
            A held-out trial, for early stopping where a method does that.
        budget
            Money per person, one number or several to train for together. Methods that only predict do without.
        seed
            Fixes everything: start, order of the rows, held-out parts.
        progress
            Show a progress line where stderr is a terminal.
        checkpoint
            A file in which finished parts and the state after every epoch are kept, replaced whole each time.
        resume
            Go on from that file if it is there; the result has the bits of a run that was not interrupted. A file of
            another run (tables, seed, budget, parameters) is refused.
        log
            Curves: a folder for TensorBoard, or anything with `add_scalar(tag, value, step)`.
        process_group
            A torch process group whose ranks train one model together, for the Bi-DFCL family: `torch.distributed.group.WORLD`,
            or a part of it. `obs` is then this rank's part of the log; everything else is the same on all ranks, the trial
            whole. Every rank ends with the same model: that of one process with the parts in one table, rank after rank,
            within rounding. Rank 0 shows progress, writes curves and the checkpoint. None: this process alone.

        Raises
        ------
        ValueError, TypeError
            If a table is missing, has no rows, does not match the others, or lacks a treatment; on all ranks, if it is so on one.
        RuntimeError
            If something that is asked for is not installed.
        """
        ranks = self._ranks(process_group)
        checks: contextlib.AbstractContextManager[dict[str, Any]]
        checks = contextlib.nullcontext({}) if ranks is None else ranks.alike()
        with checks as same:
            rct = _table(rct, y)
            check_tables(rct, obs, val)
            budgets = budgets_of(budget)
            same |= {
                "seed": seed,
                "budget": None if budgets is None else budgets.tolist(),
                "parameters": repr(sorted(self.get_params().items(), key=lambda item: item[0])),
            }
            if ranks is not None:
                same |= {"rct": _store.fingerprint((rct,)), "val": _store.fingerprint((val,)), "obs": obs is None}
                same |= {"checkpoint": checkpoint is None}
        run = {name: same[name] for name in ("seed", "budget", "parameters")}
        if checkpoint is not None:
            tables = _store.fingerprint((rct, obs, val))
            run["tables"] = tables if ranks is None else "".join(ranks.every(tables))
        store = self._store(ranks, checkpoint, run, resume)
        rows = sum(len(t) for t in (rct, obs) if t is not None)
        first = ranks is None or ranks.rank == 0
        with (
            _fit.quiet_threads(rows),
            torch.random.fork_rng(devices=[]),
            Progress(f"fitting {self.name}", show=progress and first) as line,
            _writer(log if first else None) as write,
        ):
            torch.manual_seed(seed)
            job = Job(rct, obs, val, budgets, seed, line, store, write, ranks)
            self._reset()
            self._learn(job)
            if self.finish not in (None, "none") and not self._ends_itself:
                from .finish import finish

                finish(self, job)
        named = next((t.features for t in (rct, obs) if t is not None and t.features), ())
        self.feature_names_in_ = tuple(named)
        return self

    def _ranks(self, group: Any) -> Ranks | None:
        if group is None:
            return None
        if not self._in_parts:
            raise ValueError(f"process_group= is for the Bi-DFCL family: '{self.name}' trains in one process")
        return Ranks(group)

    @staticmethod
    def _store(ranks: Ranks | None, path: Any, run: Mapping[str, Any], resume: bool) -> _store.Store:
        if ranks is None:
            return _store.Store(path, run, resume=resume)
        with ranks.alike():
            store = FirstStore(ranks, path, run, resume=resume)
        store.share()
        return store

    def _reset(self) -> None:
        """Forget an earlier fit."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    @abstractmethod
    def _learn(self, job: Job) -> None: ...

    @abstractmethod
    def _predict(self, x: Array) -> tuple[Array, Array]: ...

    def predict(self, x: Any) -> tuple[Array, Array]:
        """Predicted value and cost, float64 [N, M] each, of people with features x [N, F]."""
        if not hasattr(self, "features_"):
            raise RuntimeError("this method is not fitted yet: call fit first")
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1] != self.features_:
            raise ValueError(f"x must be [N, {self.features_}] as in fit, got shape {list(x.shape)}")
        finished: Nets | None = getattr(self, "finished_", None)
        return self._predict(x) if finished is None else finished.predict(x)

    def score(self, x: Any, y: Any = None, *, budget: Any = None) -> float:
        """How good the decisions are on a trial: the expected outcome at `budget` per person, the mean over several.

        Without a budget: minus the squared error of value and cost in their standard deviations. x is a `Table`, or
        features with y as in `fit`, which is what scikit-learn's model selection hands over.
        """
        table = _table(x, y)
        assert table is not None
        value, cost = self.predict(table.x)
        budgets = budgets_of(budget)
        if budgets is not None:
            from ..metrics import eom

            return float(np.mean(eom(value, cost, table, budgets).value))
        at = (np.arange(len(table)), table.treatment)
        errors = [((a[at] - b) ** 2).mean() / (b.var() or 1.0) for a, b in ((value, table.value), (cost, table.cost))]
        return -float(np.mean(errors))

    # --- On disk ------------------------------------------------------------------------------------------------------

    def can_be_saved(self) -> bool:
        """Whether what it fits has a form without pickle."""
        return type(self)._state is not Learner._state

    def save(self, path: Any) -> None:
        """Write the fitted method to one file (safetensors; no pickle); `methods.load` reads it.

        Raises
        ------
        RuntimeError
            If it is not fitted.
        TypeError
            If something in it cannot be written that way: a module of your own among its parameters, a forest.
        """
        if not hasattr(self, "features_"):
            raise RuntimeError("this method is not fitted yet: call fit first")
        if self.can_be_saved() and type(self) not in _saved().values():
            raise TypeError(f"{type(self).__name__} cannot be saved: load makes the library's own methods only")
        try:
            parameters = json.dumps(self.get_params(deep=False))
        except TypeError as error:
            raise TypeError(f"{self!r} cannot be saved: {error}; save the state_dict of its networks instead") from None
        tensors, info = self._state()
        finished: Nets | None = getattr(self, "finished_", None)
        if finished is not None:
            tensors = {**tensors, **finished.tensors("finished.")}
        info = {**info, "finished": None if finished is None else finished.shape}
        _store.write(
            Path(path),
            tensors,
            {
                "method": _named(type(self)),
                "parameters": parameters,
                "features": list(self.feature_names_in_),
                **info,
            },
        )

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        raise TypeError(f"{type(self).__name__} cannot be saved: what it fits has no form without pickle")

    def _restore(self, tensors: dict[str, Tensor], info: Mapping[str, Any]) -> None:
        raise NotImplementedError


class NetLearner(Learner):
    """A method whose fit ends in networks with standardised outputs [N, 2M]: values, then costs."""

    fitted_: Nets

    def _take(self, nets: Nets, table: Table) -> None:
        self.fitted_ = nets
        self.treatments_, self.features_ = table.treatments, table.x.shape[1]

    @property
    def nets_(self) -> list[nn.Module]:
        """The networks; they take standardised features (`units_.inputs`)."""
        return self.fitted_.modules

    @property
    def units_(self) -> Units:
        return self.fitted_.units

    def _predict(self, x: Array) -> tuple[Array, Array]:
        return self.fitted_.predict(x)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.fitted_.tensors(), {"shape": self.fitted_.shape, "treatments": self.treatments_}

    def _restore(self, tensors: dict[str, Tensor], info: Mapping[str, Any]) -> None:
        self.fitted_ = Nets.of(tensors, info["shape"])
        self.features_, self.treatments_ = info["shape"][1], info["treatments"]
        if info["shape"][-1] != 2 * self.treatments_:
            raise ValueError(f"{self.treatments_} treatments have not {info['shape'][-1]} outputs")


def load(path: Any) -> Learner:
    """The method that `save` wrote.

    The file decides nothing but numbers: what is made is one of the library's own methods, from tensors and plain parameters.

    Parameters
    ----------
    path
        A file that `save` wrote.

    Raises
    ------
    ValueError
        If it is another file, only a part of one, or does not hold what its method needs.
    """
    tensors, info = _store.read(Path(path))
    cls = _saved().get(str(info.get("method")))
    if cls is None:
        raise ValueError(f"{path}: not a saved method")
    try:
        made: Learner = cls(**json.loads(info["parameters"]))
        made._restore(tensors, info)
        made.feature_names_in_ = tuple(map(str, info.get("features", ())))
        if info["finished"] is not None:
            made.finished_ = Nets.of(tensors, info["finished"], "finished.")  # type: ignore[attr-defined]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: a saved method that does not hold what it needs: {said}") from error
    return made


def _saved() -> dict[str, type[Learner]]:
    """What `load` may make, by the name that `save` gives it: a file must not name code of its own choice."""
    import importlib

    from . import _METHODS

    made = (getattr(importlib.import_module(module), cls) for module, cls, _ in _METHODS.values())
    return {_named(cls): cls for cls in made}


def _named(cls: type[Learner]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _table(rct: Any, y: Any) -> Table | None:
    if y is None:
        return rct
    if isinstance(rct, Table):
        raise TypeError("rct is a Table already; y goes with an array of features")
    labels = np.asarray(y)
    if labels.ndim != 2 or labels.shape[1] != 3:
        raise ValueError(f"y must be [N, 3]: treatment, value, cost; got shape {list(labels.shape)}")
    treatment = labels[:, 0].astype(np.int64)
    if not np.array_equal(treatment, labels[:, 0]):
        raise ValueError("the first column of y must hold treatments 0, 1, …")
    return Table(np.asarray(rct), treatment, labels[:, 1], labels[:, 2])


@contextlib.contextmanager
def _writer(log: Any) -> Iterator[Callable[[str, float, int], None] | None]:
    if log is None:
        yield None
        return
    if hasattr(log, "add_scalar"):
        yield log.add_scalar
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RuntimeError("log= as a folder needs tensorboard: pip install tensorboard") from error
    writer = SummaryWriter(str(log))
    try:
        yield writer.add_scalar
    finally:
        writer.close()
