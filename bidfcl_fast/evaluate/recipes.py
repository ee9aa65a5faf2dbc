"""The recipes compared, by the names that the tables show. A recipe is plain data, so that a result can say what it ran."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]


def _method(name: str, **options: Any) -> Spec:
    return {"name": name, "options": options}


def _mean(spec: Spec, times: int) -> Spec:
    return {"ensemble": [spec] * times}


_TSM = _method("tsm-sl", data="both")

BASELINE = "tsm-sl, both"
SIMPLE = ("tsm-ft", "dfcl-ppl, ft", "dfcl-ppl, both", "fixed-gate")
RECOMMENDED = "bidfcl-ppl"
EQUAL_COST = "2 × tsm-sl, both"
PAPER = "bidfcl-ppl, paper"

# On every world.
HEADLINE: dict[str, Spec] = {
    # The means share their members' fits with it where they follow at once.
    BASELINE: _TSM,
    EQUAL_COST: _mean(_TSM, 2),
    "3 × tsm-sl, both": _mean(_TSM, 3),
    "tsm-sl, trial": _method("tsm-sl", data="rct"),
    "tsm-ft": _method("tsm-ft"),
    "dfcl-ppl, both": _method("dfcl-ppl", start="both"),
    "dfcl-ppl, ft": _method("dfcl-ppl", start="ft"),
    "fixed-gate": _method("fixed-gate"),
    RECOMMENDED: _method("bidfcl-ppl"),
}

# Dear ones, on the first worlds only: the upper level at work, and the paper's own form.
LEARNED: dict[str, Spec] = {
    "bidfcl-ppl, learned": _method("bidfcl-ppl", correction="learned"),
    "bidfcl-ppl, learned, constant multiplier": _method("bidfcl-ppl", correction="learned", multiplier_grad="stop"),
    PAPER: _method("bidfcl-ppl", preset="paper"),
    "bidfcl-ppl, paper, implicit multiplier": _method(
        "bidfcl-ppl", preset="paper", multiplier_grad="implicit", temperature=0.1
    ),
}

_DECAY = _method("tsm-sl", data="both", decay=0.1)
_SHORT = _method("tsm-sl", data="both", epochs=10, lr=4e-3, decay=0.1)

OTHERS: dict[str, Spec] = {
    # The recommended form's networks have a weight decay; these say what that alone is worth.
    "tsm-sl, both, decay": _DECAY,
    "2 × tsm-sl, both, decay": _mean(_DECAY, 2),
    "4 × tsm-sl, both, short": _mean(_SHORT, 4),
    "tsm-sl, log": _method("tsm-sl", data="obs"),
    "tsm-cf": _method("tsm-cf"),
    "dhcl": _method("dhcl"),
    "dfcl-ppl, trial": _method("dfcl-ppl", start="rct"),
    "dfcl-pifd, ft": _method("dfcl-pifd", start="ft"),
    "dfcl-pifd, both": _method("dfcl-pifd", start="both"),
    "dfcl-dpl, both": _method("dfcl-dpl", start="both"),
    "dfcl-mer, both": _method("dfcl-mer", start="both"),
    "dfcl-difd, both": _method("dfcl-difd", start="both"),
    "bidfcl-pifd": _method("bidfcl-pifd"),
    "bidfcl-pifd, paper": _method("bidfcl-pifd", preset="paper"),
    "bidfcl-ppl-explicit, paper": _method("bidfcl-ppl-explicit", preset="paper"),
    "bidfcl-pifd-explicit, paper": _method("bidfcl-pifd-explicit", preset="paper"),
}

ABLATION: dict[str, Spec] = {
    # The paper's ladder: its Table 3.
    "ladder 0: tsm-sl, trial": _method("tsm-sl", data="rct"),
    "ladder 1: + decision loss": _method("dfcl-ppl", start="rct"),
    "ladder 2: + two levels, observed cells": _method(
        "bidfcl-ppl-explicit", preset="paper", gate=0.0, factual_gate="network"
    ),
    "ladder 3: + counterfactual labels": _method("bidfcl-ppl-explicit", preset="paper"),
    "ladder 4: + implicit differentiation": _method("bidfcl-ppl", preset="paper"),
    # From the recommended form, one thing taken away or put in at a time.
    "recommended": _method("bidfcl-ppl"),
    "without correction": _method("bidfcl-ppl", correction="none"),
    "correction linear": _method("bidfcl-ppl", correction="ridge"),
    "one network": _method("bidfcl-ppl", students=1),
    "rows weigh alike": _method("bidfcl-ppl", weights="equal"),
    "without weight decay": _method("bidfcl-ppl", schedule={"decay": 0.0}),
    "without trial rows below": _method("bidfcl-ppl", trial_rows=False),
    "without finish": _method("bidfcl-ppl", finish="none"),
    "finish of all layers": _method("bidfcl-ppl", finish={"steps": 40, "rows": 10_000}),
    "always with finish": _method("bidfcl-ppl", finish={"steps": 40, "lr": 3e-4, "rows": 10_000, "layers": "last"}),
    "correction learned": _method("bidfcl-ppl", correction="learned"),
    # With teachers: labels for the cells that were not observed, gates between teachers and what was.
    "distilled": _method("bidfcl-ppl", preset="distilled"),
    "distilled, the student alone": _method("bidfcl-ppl", preset="distilled", answer="students"),
    "distilled, one teacher": _method("bidfcl-ppl", preset="distilled", teachers=1),
    "distilled, teachers of the trial alone": _method("bidfcl-ppl", preset="distilled", teacher_rows="rct"),
    "distilled, without factual gate": _method("bidfcl-ppl", preset="distilled", factual_gate=0.0),
    "distilled, gates learned": _method("bidfcl-ppl", preset="distilled", learn=("gate", "factual_gate")),
    "distilled, gate network": _method("bidfcl-ppl", preset="distilled", gate="network"),
}

SENSITIVITY: dict[str, Spec] = {
    **{
        f"paper, k = {k}, n_cg = {n}": _method("bidfcl-ppl", preset="paper", upper_every=k, assumed_steps=k, cg_steps=n)
        for k, n in ((1, 10), (5, 10), (5, 50), (10, 50))
    },
    **{
        f"learned, temperature {tau}": _method("bidfcl-ppl", correction="learned", temperature=tau)
        for tau in (0.03, 0.1, 0.3, 1.0)
    },
    **{f"learned, n_cg = {n}": _method("bidfcl-ppl", correction="learned", cg_steps=n) for n in (1, 5, 20)},
}

BY_TRIAL_SIZE = (BASELINE, "dfcl-ppl, both", EQUAL_COST, RECOMMENDED)
REAL = (BASELINE, "tsm-sl, trial", "tsm-ft", "dfcl-ppl, both", RECOMMENDED)


class NotHere(Exception):
    """The recipe needs something that is not installed, or that this version does not have."""


def with_options(spec: Spec, options: dict[str, Any]) -> Spec:
    """`spec` with `options` for each of its methods that knows them."""
    return spec if not options or "repeatability" in spec else {**spec, "common": options}


def on_gpu(spec: Spec) -> bool:
    """Whether processor time says little of what it costs."""
    return str(spec.get("common", {}).get("device", "cpu")) != "cpu"


def build(spec: Spec) -> Any:
    """A new, unfitted method.

    Raises
    ------
    NotHere
        If it cannot be built here; the message says why.
    """
    from .. import methods

    common = spec.get("common", {})
    try:
        if "ensemble" in spec:
            return methods.Ensemble([build(with_options(member, common)) for member in spec["ensemble"]])
        method = methods.create(spec["name"], **spec["options"])
        return method.set_params(**{name: given for name, given in common.items() if name in method.get_params()})
    except ModuleNotFoundError as error:
        raise NotHere(f"{spec.get('name', 'ensemble')} needs {error.name}") from error
    except RuntimeError as error:
        raise NotHere(str(error)) from error
