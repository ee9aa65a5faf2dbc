"""`BiDFCL.fit` on two ranks, each with a part of the log, against one process with all of it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from bilevel.small import PAPER_SHORT, SHORT, table

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from bidfcl_fast import methods  # noqa: E402
from bidfcl_fast.methods import TrainingWarning, _fit  # noqa: E402
from bidfcl_fast.methods._ranks import Ranks  # noqa: E402

from .test_torch_distributed import ranks  # noqa: E402  # skips this file too where there is no gloo

RCT, OBS = table(300, 0), table(1200, 1, bias=1.0)
PARTS = slice(0, 370), slice(370, 1200)
NEARLY_ALL = slice(0, 1196), slice(1196, 1200)  # most batches hold nothing of the second rank's
BUDGET = [0.4, 0.8]
SMALL = {"hidden": (8, 8), "finish": {"steps": 3}}
# Solves go to the end: one that is cut off amplifies the last digits.
SOLVED = {"cg_steps": 200, "cg_tolerance": 1e-6, "damping": 0.1}
RUNS = {
    "recommended": {"schedule": {**SHORT, "batch": 100}, **SMALL},
    "distilled": {"preset": "distilled", "students": 2, "weights": "noise", "schedule": {**SHORT, "batch": 100}, **SMALL},
    "paper": {"preset": "paper", "gate": "network", "schedule": PAPER_SHORT, "curvature": "gauss_newton", **SOLVED, **SMALL},
    "learned": {
        "correction": "learned", "gate": "network", "factual_gate": "per-arm", "upper_every": 2, "upper_rows": 200, "schedule": SHORT,
        **SOLVED, **SMALL,
    },
    "module": {
        "target": nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6)), "correction": "learned", "gate": "per-arm",
        "upper_every": 3, "schedule": SHORT, **SOLVED, "finish": "none", "answer": "students",
    },
    "explicit": {"differentiation": "explicit", "upper_every": 3, "schedule": SHORT, **SMALL},
}  # fmt: skip


NUMBERS = np.r_[np.random.default_rng(0).normal(size=999).round(2), -0.0, 0.0].astype(
    np.float32
)  # ties, and both zeros
SHARES = np.r_[np.arange(1, 20) / 20, 0, 1]


def fit(name, obs=OBS, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        return methods.create("bidfcl-ppl", **RUNS[name]).fit(RCT, obs=obs, budget=BUDGET, progress=False, **more)


def learned(model) -> np.ndarray:
    bridge = [p.detach().ravel().double().numpy() for p in model.bridge_.parameters()]
    return np.concatenate([np.concatenate(model.predict(OBS.x)).ravel(), *bridge])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")

    def work(rank):
        from torch.distributed import group

        out = {}
        for name in RUNS:
            mine = OBS[(NEARLY_ALL if name == "paper" else PARTS)[rank]]
            out[name] = learned(fit(name, mine, process_group=group.WORLD))
        return out, going_on(rank, folder), refusals(rank), quantiles(rank)

    return ranks(2, folder, work, timeout=300)


def going_on(rank, folder):
    """A run with a checkpoint that stops in its second epoch of the student, gone on with: whether it has the bits of one that did not."""
    from torch.distributed import group

    given = {"obs": OBS[PARTS[rank]], "checkpoint": folder / "run", "process_group": group.WORLD}
    whole = learned(fit("learned", **given))
    (folder / "run").rename(folder / "whole") if rank == 0 else None
    seen = 0
    of_this_run = _fit._Loop.run_epoch

    def stops(loop):
        nonlocal seen
        seen += loop.hook is not None
        if seen == 2:
            raise KeyboardInterrupt
        of_this_run(loop)

    _fit._Loop.run_epoch = stops
    try:
        fit("learned", **given)
    except KeyboardInterrupt:
        pass
    finally:
        _fit._Loop.run_epoch = of_this_run
    again = learned(fit("learned", **given, resume=True))
    return np.array_equal(whole, again), seen


def quantiles(rank):
    from torch.distributed import group

    return Ranks(group.WORLD).quantiles(NUMBERS[:10] if rank == 0 else NUMBERS[10:], SHARES)


def refusals(rank):
    from torch.distributed import group

    said = []
    for change in ({"seed": rank}, {"obs": None if rank else OBS}, {"obs": OBS if rank else table(0, 1)}):
        with pytest.raises(ValueError) as error:
            fit("recommended", **{"obs": OBS, "process_group": group.WORLD, **change})
        said.append(str(error.value))
    with pytest.raises(ValueError, match="Bi-DFCL family"):
        methods.create("tsm-sl").fit(RCT, obs=OBS, process_group=group.WORLD, progress=False)
    return said


@pytest.mark.parametrize("name", RUNS)
def test_two_ranks_learn_what_one_process_does(found, name):
    first, second = (f[0][name] for f in found)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, learned(fit(name)), rtol=0, atol=1e-5)  # of predictions that vary by 1.2


def test_a_run_of_two_ranks_goes_on_from_its_checkpoint(found):
    assert [f[1] for f in found] == [(True, 2), (True, 2)]


def test_what_one_rank_cannot_do_is_said_by_all(found):
    for f in found:
        seed, absent, empty = f[2]
        assert seed == "seed must be the same on all ranks: rank 1 differs from rank 0"
        assert absent == "obs must be the same on all ranks: rank 1 differs from rank 0"
        assert empty == "rank 0: obs has no rows"


def test_quantiles_of_numbers_in_parts(found):
    for f in found:
        np.testing.assert_allclose(f[3], np.quantile(NUMBERS.astype(float), SHARES), rtol=1e-12)
