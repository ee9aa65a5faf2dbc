"""Named settings of `BiDFCL`; each of them is an argument too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What `BiDFCL` does; its arguments of the same names explain them.

    `schedule`: passes over the data of `obs` (the log's model, for the correction), `teacher`, `warm` (the student on the log's observed
    outcomes alone, first) and `student`; `batch`, `lr` (of the log's model `obs_lr`), `floor` and `decay` (of weights) of all of them.
    """

    correction: str = "none"
    students: int = 1
    answer: str = "students"
    teachers: Any = 1
    teacher_rows: str = "rct"
    weights: str = "equal"
    gate: Any = 0.5
    factual_gate: Any = 0.0
    gate_start: tuple[float, float] = (0.5, 0.5)
    learn: tuple[str, ...] | None = None
    trial_rows: bool = False
    reading: str = "A"
    counterfactual_weight: float = 1.0
    upper_every: int = 30
    upper_error: float = 1.0
    upper_rows: int = 65_536
    multiplier_grad: str = "implicit"
    temperature: float = 0.1
    price_bounds: tuple[float, float] | None = (0.0, 10.0)
    min_gap: float | None = 0.02
    curvature: str = "gauss_newton"
    cg_steps: int = 10
    cg_tolerance: float = 0.03
    damping: float = 0.01
    share: float = 0.25
    assumed_steps: int = 0
    step_size: float = 1e-2
    bridge_lr: float = 1e-2
    correction_lr: float = 1e-4
    prox: float = 0.01
    schedule: dict[str, Any] = field(default_factory=dict)
    finish: Any = "none"


# What simulations with known truth support: ground the log's outcomes on the trial, weigh the rows by their noise, train targets that
# start apart from each other on both tables, answer with their mean, and where the log was biased and the trial is large, finish on
# the decision loss.
RECOMMENDED = Settings(
    correction="network",
    students=2,
    teachers=0,
    weights="noise",
    gate=0.0,
    trial_rows=True,
    schedule={
        "obs": 5,
        "teacher": 0,
        "warm": 0,
        "student": 15,
        "batch": 1024,
        "lr": 3e-3,
        "obs_lr": 4e-3,
        "floor": 0.05,
        "decay": 0.1,
    },
    finish="auto",
)

# The same with a student that is distilled from two short teachers: for gates, which say how far labels lie towards teachers.
DISTILLED = Settings(
    correction="network",
    students=1,
    answer="all",
    teachers=2,
    teacher_rows="both",
    gate=0.9,
    factual_gate=0.5,
    gate_start=(0.9, 0.5),
    trial_rows=True,
    schedule={
        "obs": 5,
        "teacher": 10,
        "warm": 0,
        "student": 10,
        "batch": 1024,
        "lr": 4e-3,
        "obs_lr": 4e-3,
        "floor": 0.05,
        "decay": 0.1,
    },
    finish="auto",
)

# Algorithm 1 as written: learned gates of pseudo-labels, the log alone below, the multiplier a constant.
PAPER = Settings(
    gate="network",
    upper_every=5,
    upper_error=0.0,
    upper_rows=4096,
    multiplier_grad="stop",
    temperature=1.0,
    min_gap=1e-3,
    curvature="hessian",
    cg_steps=50,
    cg_tolerance=1e-6,
    damping=0.0,
    share=1.0,
    assumed_steps=5,
    step_size=1e-3,
    bridge_lr=3e-3,
    prox=0.0,
    schedule={
        "obs": 0,
        "teacher": 200,
        "warm": 20,
        "student": 20,
        "batch": 2048,
        "lr": 1e-3,
        "obs_lr": 1e-3,
        "floor": 0.05,
        "decay": 0.0,
    },
)

# Teacher and target mixed at a constant, on both tables: the gates' baseline.
FIXED_GATE = Settings(
    trial_rows=True,
    schedule={
        "obs": 0,
        "teacher": 200,
        "warm": 0,
        "student": 20,
        "batch": 1024,
        "lr": 2e-3,
        "obs_lr": 2e-3,
        "floor": 0.05,
        "decay": 0.0,
    },
)

PRESETS = {"recommended": RECOMMENDED, "distilled": DISTILLED, "paper": PAPER, "fixed-gate": FIXED_GATE}


def _asks_for_teachers(given: dict[str, Any]) -> bool:
    """Whether a setting was given that means nothing without teachers."""
    for name in ("teachers", "teacher_rows", "gate", "factual_gate", "gate_start"):
        asked = given.get(name)
        nothing = asked is None or (isinstance(asked, (int, float)) and not asked)
        if not nothing:
            return True
    return bool({"gate", "factual_gate"} & set(given.get("learn") or ()))


def settings(preset: str, differentiation: str, given: dict[str, Any]) -> Settings:
    """The preset with what was given in its place; what a learned part implies is filled in."""
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if preset == "recommended" and _asks_for_teachers(given):
        preset = "distilled"
    base = PRESETS[preset]
    if differentiation not in ("implicit", "explicit"):
        raise ValueError(f"differentiation must be 'implicit' or 'explicit', got {differentiation!r}")
    if differentiation == "explicit":
        # One step, at every batch (A.5); and there must be something to learn.
        base = replace(base, upper_every=1 if preset == "paper" else base.upper_every, assumed_steps=1)
        if preset in ("recommended", "distilled") and given.get("correction") is None and given.get("learn") is None:
            base = replace(base, correction="learned")
    schedule = {**base.schedule, **(given.get("schedule") or {})}
    unknown = set(schedule) - set(base.schedule)
    if unknown:
        raise ValueError(f"schedule knows {', '.join(base.schedule)}; got {', '.join(sorted(unknown))}")
    changed = {name: value for name, value in given.items() if value is not None and name != "schedule"}
    made = replace(base, schedule=schedule, **changed)
    if made.correction not in ("none", "ridge", "network", "learned"):
        raise ValueError(f"correction must be 'none', 'ridge', 'network' or 'learned', got {made.correction!r}")
    if made.answer not in ("students", "all"):
        raise ValueError(f"answer must be 'students' or 'all', got {made.answer!r}")
    if isinstance(made.students, bool) or not isinstance(made.students, int) or made.students < 1:
        raise ValueError(f"students must be at least 1, got {made.students!r}")
    if made.teacher_rows not in ("rct", "both"):
        raise ValueError(f"teacher_rows must be 'rct' or 'both', got {made.teacher_rows!r}")
    if made.weights not in ("equal", "noise"):
        raise ValueError(f"weights must be 'equal' or 'noise', got {made.weights!r}")
    if isinstance(made.teachers, int) and made.teachers < 0:
        raise ValueError(f"teachers must not be negative, got {made.teachers}")
    if made.teachers == 0 and (made.gate, made.factual_gate) != (0.0, 0.0):
        raise ValueError(
            "gates say how far labels lie towards teachers, and there are none: teachers=0 needs gates of 0"
        )
    if made.upper_every < 1:
        raise ValueError(f"upper_every must be at least 1, got {made.upper_every}")
    if made.learn is None:
        implied = [name for name in ("gate", "factual_gate") if not isinstance(getattr(made, name), (int, float))]
        implied += ["correction"] if made.correction == "learned" else []
        made = replace(made, learn=tuple(implied))
    made = replace(made, learn=tuple(made.learn or ()))
    for name in made.learn or ():
        if name not in ("gate", "factual_gate", "correction"):
            raise ValueError(f"learn takes 'gate', 'factual_gate' and 'correction', got {name!r}")
        if name == "correction" and made.correction == "none":
            raise ValueError("learn=('correction',) needs correction='ridge' or 'learned'")
        if name != "correction" and isinstance(getattr(made, name), (int, float)):
            # A learned constant: one for each arm and head, from the number given.
            first, second = made.gate_start
            value = float(getattr(made, name))
            start = (value, second) if name == "gate" else (first, value)
            changed = {"gate_start": start, name: "per-arm"}
            made = replace(made, **changed)
    return made
