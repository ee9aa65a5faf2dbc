"""What is claimed of the recommended form, held against the results. Nothing here chooses: it reads off and says."""

from __future__ import annotations

from dataclasses import dataclass

from . import recipes
from .statistics import Cells, Paired

# Fewer worlds than this in a regime tell nothing of it; so many were asked for.
FEWEST, ASKED = 3, 20


@dataclass(frozen=True)
class Claim:
    """`holds` is None where too little was run to tell; `worlds` is the least number of them in any regime that counts."""

    text: str
    holds: bool | None
    numbers: str
    worlds: int = 0

    @property
    def verdict(self) -> str:
        """In words, with how many worlds stand behind it where they are fewer than asked for."""
        if self.holds is None:
            return "not run" if "world" not in self.numbers else "too few worlds to tell"
        word = "holds" if self.holds else "does not hold"
        return f"{word} (on {self.worlds} of {ASKED} worlds)" if 0 < self.worlds < ASKED else word


def differ(p: Paired) -> str:
    """A paired difference in words: mean, t, number of worlds."""
    if not p.n:
        return "not run"
    t = "" if p.t is None else f", t {p.t:+.1f}"
    return f"{p.mean:+.2f} ({p.n} world{'s' * (p.n != 1)}{t})"


def claims(worlds: Cells, small: Cells) -> list[Claim]:
    """All of them, for the results of the studies "worlds" and "small trial"."""
    ours, regimes = recipes.RECOMMENDED, worlds.regimes()
    against = {r: worlds.difference(ours, recipes.BASELINE, r) for r in regimes}
    out = [
        _each(
            f"below {recipes.BASELINE} in every regime, t < −3",
            against,
            lambda p: p.mean < 0 and p.t is not None and p.t < -3,
        ),
        _each(
            f"below {recipes.BASELINE} by at least 4 points under severe confounding",
            {r: p for r, p in against.items() if r == "severe"},
            lambda p: p.mean <= -4,
        ),
    ]
    for rival in ("dfcl-ppl, both", "dfcl-ppl, ft"):
        found = {r: worlds.difference(ours, rival, r) for r in regimes}
        out.append(_each(f"below {rival} in every regime", found, lambda p: p.mean < 0))
    found = {r: worlds.difference(ours, recipes.EQUAL_COST, r) for r in regimes}
    out.append(_each(f"nowhere above {recipes.EQUAL_COST} by more than 0.3", found, lambda p: p.mean <= 0.3))
    found = {r: worlds.difference(ours, recipes.PAPER, r) for r in regimes}
    out.append(_each("below its paper-preset self in every regime", found, lambda p: p.mean < 0))
    found = {r: small.difference(ours, recipes.BASELINE, r) for r in small.regimes()}
    out.append(_each(f"with the small trial: nowhere worse than {recipes.BASELINE}", found, lambda p: p.mean <= 0))
    name = "bidfcl-ppl, learned"
    found = {r: worlds.difference(name, ours, r) for r in regimes}
    known = {r: p for r, p in found.items() if p.n >= FEWEST}
    gains = [r for r, p in known.items() if p.t is not None and p.t < -2.5]
    numbers = "; ".join(f"{r} {differ(p)}" for r, p in found.items())
    text = "learned by the upper level adds in more than one regime, t < −2.5"
    fewest = min((p.n for p in known.values()), default=0)
    out.append(Claim(text, len(gains) > 1 if known else None, numbers, fewest))
    ratio = worlds.cost_ratio(ours, recipes.BASELINE)
    numbers = "not run" if ratio is None else f"{ratio:.2f} times the processor time, median over cells"
    out.append(
        Claim(f"at most 2.5 times the cost of {recipes.BASELINE}", None if ratio is None else ratio <= 2.5, numbers)
    )
    return out


def _each(text: str, found: dict[str, Paired], test: object) -> Claim:
    numbers = "; ".join(f"{regime} {differ(p)}" for regime, p in found.items()) or "not run"
    seen = [p for p in found.values() if p.n >= FEWEST]
    holds = None if not seen else all(test(p) for p in seen)  # type: ignore[operator]
    if holds and len(seen) < len(found):
        holds = None  # one regime can refute a claim about all; only all of them can bear it out
    return Claim(text, holds, numbers, min((p.n for p in seen), default=0))
