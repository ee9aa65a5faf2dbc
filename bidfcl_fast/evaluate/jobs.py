"""What is to be run: one job is one recipe fitted once on one data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..data import BIASES, RESPONSES
from . import recipes

# Worlds of the report begin here: whatever was tuned, or changed after a look at results, was on smaller seeds.
FIRST_WORLD = 1020

REGIMES = ("none", "mild", "strong", "moderate", "severe")
REAL = ("starbucks", "hillstrom", "thornton")


@dataclass(frozen=True)
class Job:
    """`study`: which part of the report it belongs to; `recipe`: its name there; `spec`: what to build; `data`: on what."""

    study: str
    recipe: str
    spec: dict[str, Any]
    data: dict[str, Any]
    seed: int

    @property
    def key(self) -> str:
        """The name of its result: the same job has it on any machine."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Size:
    """How much is run. `worlds` counts fresh worlds of every regime; the other counts are worlds (or folds) of each study."""

    worlds: int = 20
    regimes: tuple[str, ...] = REGIMES
    n_rct: int = 20_000
    n_obs: int = 60_000
    n_test: int = 20_000
    features: int = 12
    treatments: int = 5
    learned: int = 5  # worlds on which the dear recipes (an upper level that learns) are run too
    every_method: int = 5  # worlds on which all other names are run too
    small_trial: int = 6_000
    small_worlds: int = 20
    ablation_worlds: int = 3
    sensitivity_worlds: int = 2
    trial_sizes: tuple[int, ...] = (3_000, 6_000, 12_000, 40_000)
    repeat_worlds: int = 2
    folds: int = 5
    real: tuple[str, ...] = REAL
    only: tuple[str, ...] = ()  # names of recipes; none: all
    options: dict[str, Any] | None = None  # given to every method, e.g. {"device": "cuda"}


SIZES = {
    "quick": Size(
        worlds=2, regimes=("mild", "severe"), n_rct=2_000, n_obs=6_000, n_test=4_000, learned=0, every_method=0, small_worlds=0,
        ablation_worlds=0, sensitivity_worlds=0, repeat_worlds=0, folds=3, real=("thornton",),
        only=("tsm-sl, trial", "tsm-sl, both", "dfcl-ppl, both", "bidfcl-ppl"),
    ),
    "default": Size(),
    "full": Size(
        worlds=40, n_rct=200_000, n_obs=2_000_000, n_test=100_000, features=64, treatments=8, learned=40, every_method=40, small_trial=20_000,
        small_worlds=20, ablation_worlds=20, sensitivity_worlds=20, trial_sizes=(20_000, 50_000, 500_000), repeat_worlds=10,
        options={"device": "cuda"},
    ),
}  # fmt: skip


def size(name: str, path: Any = None) -> Size:
    """A size by name, with the fields that the JSON file `path` holds changed.

    Raises
    ------
    ValueError
        If the name or a field is unknown.
    """
    if name not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {name!r}")
    if path is None:
        return SIZES[name]
    given = json.loads(Path(path).read_text(encoding="utf-8"))
    known = {field.name for field in fields(Size)}
    if not isinstance(given, dict) or set(given) - known - {"size"}:
        raise ValueError(f"{path}: must be an object with fields among size, {', '.join(sorted(known))}")
    start = SIZES[given.pop("size")] if given.get("size") in SIZES else SIZES[name]
    changed = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return Size(**{**{field.name: getattr(start, field.name) for field in fields(Size)}, **changed})


def jobs(size: Size, studies: tuple[str, ...] = ()) -> list[Job]:
    """All jobs of a size in the order in which to run them: wherever it stops, whole worlds are done."""
    found = [job for job in _all(size) if not studies or job.study in studies]
    return list({job.key: job for job in found if not size.only or job.recipe in size.only}.values())


def world(size: Size, index: int, regime: str, n_rct: int | None = None) -> dict[str, Any]:
    """Arguments of `simulate` for the index-th fresh world: 20 in a row are all pairs of families."""
    return {
        "n_rct": size.n_rct if n_rct is None else n_rct,
        "n_obs": size.n_obs,
        "n_test": size.n_test,
        "features": size.features,
        "treatments": size.treatments,
        "regime": regime,
        "seed": FIRST_WORLD + index,
        "response": RESPONSES[index % len(RESPONSES)],
        "bias": BIASES[index % len(BIASES)],
    }


def _all(size: Size) -> Iterator[Job]:
    def job(study: str, name: str, spec: dict[str, Any], data: dict[str, Any], seed: int) -> Job:
        return Job(study, name, recipes.with_options(spec, size.options or {}), data, seed)

    for w in range(max(size.worlds, size.small_worlds)):
        named = dict(recipes.HEADLINE)
        named |= recipes.LEARNED if w < size.learned else {}
        named |= recipes.OTHERS if w < size.every_method else {}
        for study, n, worlds in (("worlds", None, size.worlds), ("small trial", size.small_trial, size.small_worlds)):
            for regime in size.regimes if w < worlds else ():
                for name, spec in named.items():
                    yield job(study, name, spec, world(size, w, regime, n), w)
        if w < size.ablation_worlds:
            for regime in size.regimes:
                for name, spec in recipes.ABLATION.items():
                    yield job("ablation", name, spec, world(size, w, regime), w)
        if w < size.sensitivity_worlds:
            for regime in ("strong", "severe"):
                for name, spec in recipes.SENSITIVITY.items():
                    yield job("sensitivity", name, spec, world(size, w, regime), w)
                for n in size.trial_sizes:
                    for name in recipes.BY_TRIAL_SIZE:
                        spec = recipes.HEADLINE[name]
                        yield job("trial size", name, spec, world(size, w, regime, n), w)
        if w < size.repeat_worlds:
            for regime in ("strong", "severe"):
                yield job("repeatability", "hypergradient", {"repeatability": True}, world(size, w, regime), w)
    for name in size.real:
        for fold in range(size.folds):
            for recipe in recipes.REAL:
                data = {"real": name, "fold": fold, "folds": size.folds}
                yield job("real", recipe, recipes.HEADLINE[recipe], data, fold)
