"""What the numbers say, in sentences; the same ones on the terminal and on the page."""

from __future__ import annotations

from ..demo import Against, Demo, PlanResult


def money(x: float) -> str:
    return f"${x:.2f}"


def percent(x: float, digits: int = 1) -> str:
    return f"{100 * x:.{digits}f}"


def points(x: float) -> str:
    """A difference of shares in percentage points, with its sign (a real minus)."""
    return f"{100 * x:+.1f}".replace("-", "−").replace("−0.0", "+0.0")


def rule(against: Against) -> str:
    """ "The mix in words, such as 57% nothing, 43% up to $0.50; parts that nobody gets are left out."""
    return ", ".join(f"{share:.0%} {what}" for what, share in against.rule if round(share, 2) > 0)


def shares(demo: Demo, plan: PlanResult) -> list[float]:
    """Share of the people that each arm gets."""
    m = demo.table.treatments
    return [float((plan.choice == j).mean()) for j in range(m)]


def _listed(budgets: list[float]) -> str:
    names = [money(b) for b in budgets]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def verdict(demo: Demo) -> list[str]:
    """Whether choosing person by person paid, said as plainly as the intervals allow."""
    count = len(demo.plans)
    better = [p.budget for p in demo.plans if p.alike.gain.low > 0]
    worse = [p.budget for p in demo.plans if p.alike.gain.high < 0]
    out = []
    if not better and not worse:
        where = f"any of the {count} budgets" if count > 1 else "this budget"
        out.append(
            "Against the best rule that treats everybody alike and spends the same, no gain stands clear of the noise "
            f"at {where}: this trial cannot tell them apart."
        )
    else:
        parts = []
        if better:
            parts.append(f"better at {_listed(better)} a person")
        if worse:
            parts.append(f"worse at {_listed(worse)} a person")
        rest = count - len(better) - len(worse)
        text = "Against the best rule that treats everybody alike and spends the same, the plan is "
        text += ", and ".join(parts)
        text += f"; at the other {rest} the difference is inside the noise." if rest else "."
        if count > 1 and len(better) + len(worse) < count:
            text += f" Of {count} intervals at 95%, a stray one is to be expected now and then."
        out.append(text)
    lottery = [p for p in demo.plans if p.lottery.gain.low > 0]
    if len(lottery) == count:
        low, high = (f(p.lottery.gain.estimate for p in demo.plans) for f in (min, max))
        everywhere = " at every budget" if count > 1 else ""
        gained = f"{percent(low)} to {percent(high)}" if count > 1 else percent(low)
        out.append(f"Against offers drawn at random at the same spend it gains {gained} points, clearly{everywhere}.")
    else:
        out.append(
            f"Against offers drawn at random at the same spend it is clearly better at {len(lottery)} "
            f"of {count} budgets."
        )
    over = [p for p in demo.plans if p.held_out.spend.low > p.budget]
    if over:
        where = _listed([p.budget for p in over])
        out.append(f"Held-out spend is clearly above the budget at {where}: costs were predicted too low.")
    else:
        out.append("Held-out spend exceeds no budget beyond the noise.")
    return out
