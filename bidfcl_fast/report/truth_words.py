"""The sentences on the simulated world, said from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..known_truth import Bias, KnownTruth, Log, Trained, confounding

NAMES = {"tsm-sl": "two-stage", "dfcl-ppl": "DFCL", "bidfcl-ppl": "Bi-DFCL"}
_LOOKS = (("bad", "good"), ("cheap", "dear"))  # value, cost: the log says less, more, than the trial
_SURE = 1.959963984540054  # of a normal distribution: 95 % lie within so many standard errors


def named(method: Trained) -> str:
    return f"{NAMES.get(method.name, method.name)} ({method.name})"


def title(log: Log) -> str:
    return "Hidden confounding" if confounding(log.name) > 0 else "No hidden confounding"


def mean(x: Sequence[float]) -> float:
    return float(np.mean(x))


def level(bias: Bias, head: int, arm: int) -> tuple[str, str]:
    """The bias of one treatment, and the half-width of its 95 % interval."""
    size = f"{bias.level[head][arm]:+.2f}".replace("-", "−").replace("−0.00", "+0.00")
    return size, f"{_SURE * bias.error[head][arm]:.2f}"


def diagnosis(log: Log) -> list[str]:
    """Is the log biased, and for which treatment: as far as the trial can say."""
    heads = [_head(log.bias, h, what) for h, what in enumerate(("value", "cost"))]
    found = any(any(row) for row in log.bias.biased)
    return ["The trial says that this log is biased." if found else "The trial finds no bias in this log.", *heads]


def _head(bias: Bias, h: int, what: str) -> str:
    arms = range(len(bias.level[h]))
    biased = [j for j in arms if bias.biased[h][j]]
    least = f"(least p-value {min(bias.p_value[h]):.2g})"
    if not biased:
        return f"{what.capitalize()}: nothing stands clear of the noise for any treatment {least}."
    parts = [_off(bias, h, j) for j in biased]
    clear = [f"treatment {j}" for j in arms if j not in biased]
    text = f"{what.capitalize()}, in standard deviations: " + "; ".join(parts)
    return text + (f"; nothing clear of {_listed(clear)}." if clear else ".")


def _off(bias: Bias, h: int, j: int) -> str:
    size, half = level(bias, h, j)
    if abs(bias.level[h][j]) <= _SURE * bias.error[h][j]:
        return f"treatment {j} is off for some users, not on average ({size} ± {half})"
    looks = _LOOKS[h][bias.level[h][j] > 0]
    return f"treatment {j} looks too {looks} ({size} ± {half})"


def ranking(truth: KnownTruth, log: Log) -> str:
    """Who misses least, mean over the budgets."""
    order = sorted(log.methods, key=lambda m: mean(m.regret))
    parts = [f"{named(m)} misses {100 * mean(m.regret):.1f}%" for m in order]
    return (
        f"{title(log)}: of what the budgets could bring, {_listed(parts)}; "
        f"a plan that looks at nobody {100 * mean(truth.uninformed):.1f}%."
    )


def spending(log: Log, truth: KnownTruth) -> str:
    """How far true spend is from the budget, where predicted costs sized the plan."""
    off = [s / b - 1 for m in log.methods for s, b in zip(m.spend, truth.money, strict=True)]
    return f"{100 * min(off):+.1f}% to {100 * max(off):+.1f}%".replace("-", "−")


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
