"""The demo as plain data: the JSON, and the table of who is offered what."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from .. import __version__
from ..demo import Against, Demo, PlanResult
from ..known_truth import CURVE
from ..metrics import Estimate, PolicyValue
from ..tables import need
from .truth_words import diagnosis, ranking
from .words import shares, verdict


def results(demo: Demo) -> dict[str, Any]:
    """Every number of the report, ready for `json.dumps`."""
    t = demo.table
    return {
        "version": __version__,
        "backend": demo.backend,
        "seed": demo.seed,
        "trial": {"people": len(t), "labels": list(t.labels), "features": list(t.features)},
        "arms": [{"label": t.labels[j], **_policy(a)} for j, a in enumerate(demo.arms)],
        "plans": [_plan(demo, p) for p in demo.plans],
        "verdict": verdict(demo),
        "scale": {**asdict(demo.scale), "users_per_second": demo.scale.users_per_second},
        "known_truth": {
            **asdict(demo.truth),
            "curve_budgets": list(CURVE),
            "said": {log.name: [*diagnosis(log), ranking(demo.truth, log)] for log in demo.truth.logs},
        },
        "seconds": demo.seconds,
    }


def _plan(demo: Demo, p: PlanResult) -> dict[str, Any]:
    return {
        "budget": p.budget,
        "promised": {"value": p.promised_value, "spend": p.promised_spend},
        "held_out": _policy(p.held_out),
        "alike": _against(p.alike),
        "lottery": _against(p.lottery),
        "gap": p.gap,
        "shares": shares(demo, p),
    }


def _policy(p: PolicyValue) -> dict[str, Any]:
    return {"value": _estimate(p.value), "spend": _estimate(p.spend), "matched": p.matched, "effective": p.effective}


def _against(a: Against) -> dict[str, Any]:
    return {"rule": [{"offer": w, "share": s} for w, s in a.rule], "value": a.value, "gain": _estimate(a.gain)}


def _estimate(e: Estimate) -> dict[str, float]:
    return {"estimate": e.estimate, "se": e.se, "low": e.low, "high": e.high}


def plan_table(demo: Demo) -> Any:
    """A pyarrow table, one row for each budget and person.

    Columns: `budget` (US$ per person), `row` (of the person in the source file, from 0), `fold`, `choice`, `label`,
    `value` (predicted probability of coming), `cost` (predicted US$ paid).
    """
    pa = need("pyarrow", "io", "writing plan.parquet")
    t, k = demo.table, len(demo.plans)
    people = np.arange(len(t))
    choice = np.concatenate([p.choice for p in demo.plans])
    labels = pa.DictionaryArray.from_arrays(pa.array(choice, pa.int32()), pa.array(list(t.labels)))
    return pa.table(
        {
            "budget": np.repeat([p.budget for p in demo.plans], len(t)),
            "row": np.tile(t.row if t.row is not None else people, k),
            "fold": np.tile(demo.fold, k),
            "choice": choice,
            "label": labels,
            "value": demo.value_hat[np.tile(people, k), choice],
            "cost": demo.cost_hat[np.tile(people, k), choice],
        }
    )
