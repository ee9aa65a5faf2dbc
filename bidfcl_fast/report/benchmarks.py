"""What `bidfcl bench` measured: as a page with figures, and as lines for a terminal. Both say the same."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

from .bars import Bar, bars
from .elements import document, figure, paragraph, table

Record = dict[str, Any]
Entry = dict[str, Any]


class Section(NamedTuple):
    """One comparison: a header and cells for the table, bars for the figure."""

    title: str
    about: str
    header: list[str]
    cells: list[list[str]]
    bars: list[Bar]
    unit: str
    mark: tuple[float, str] | None


def sections(record: Record) -> list[Section]:
    """All comparisons of the record, in its order."""
    out = [_solver(list(group)) for _, group in groupby(record.get("solver", []), key=_size)]
    out += [_losses(entry) for entry in record.get("losses", [])]
    for entry in record.get("curvature", []):
        out += _curvature(entry)
    return out


def bandwidth(record: Record) -> float | None:
    """Bytes a second at which the machine read the largest instance; None if the solver was not measured."""
    entries = record.get("solver", [])
    if not entries:
        return None
    most = max(e["bytes"] for e in entries)
    return float(most / min(e["floor_best_s"] for e in entries if e["bytes"] == most))


def heading(record: Record) -> list[str]:
    """Machine, load, versions, bandwidth: a sentence each."""
    m = record["machine"]
    lines = [
        f"{m['cpu']}, {m['cores']} core{'s' * (m['cores'] != 1)}, {m['system']}, {record['date']}; {record['seconds']:,.0f} s."
    ]
    if max(record["load"]) > 1.5 * m["cores"]:
        lines.append(
            "The machine was busy with other work (load {:.1f} and {:.1f}): read ratios, not times, and those with care.".format(
                *record["load"]
            )
        )
    lines.append("Versions: " + ", ".join(f"{name} {text}" for name, text in record["versions"].items()) + ".")
    lines += [f"Backend {name}: {text}." for name, text in record["backends"].items()]
    speed = bandwidth(record)
    if speed is not None:
        size = max(e["bytes"] for e in record["solver"])
        lines.append(f"Reading {size / 1e6:,.0f} MB with all threads: {speed / 1e9:.1f} GB/s at best.")
    lines += [f"Not measured: {name} ({why})." for name, why in record["absent"].items()]
    return lines


def glance(record: Record) -> list[str]:
    """What it comes to: a sentence for the largest of each comparison, the backend taken by default beside the fastest peer."""
    out = []
    if record.get("solver"):
        most = max(e["bytes"] for e in record["solver"])
        entries = [e for e in record["solver"] if e["bytes"] == most]
        floor = statistics.median(e["floor_s"] for e in entries)
        entries = [e for e in entries if "gap" in e]
        ours = next(e for e in entries if _ours(e["contender"]))
        users, treatments, _ = _size(ours)
        said = (
            f"One budget for {users:,} users × {treatments} treatments: {milliseconds(ours['median_s'])}, as long as "
            f"{_times(ours['median_s'] / floor)} reads of the data"
        )
        peers = [e for e in entries if not _ours(e["contender"])]
        if peers:
            best = min(peers, key=lambda e: e["median_s"])
            said += f"; {_faster(best['median_s'] / ours['median_s'])} the fastest peer ({best['contender']})"
        out.append(f"{said}.")
    for entry in record.get("losses", [])[:1]:
        times = entry["median_s"]
        ours = next(s for name, s in times.items() if _ours(name))
        peer = next((name for name in ("torch.compile", "eager torch") if name in times), None)
        said = (
            f"A decision loss and its gradient, {entry['users']:,} × {entry['treatments']}: {milliseconds(ours)}, as long as "
            f"{_times(ours / times['floor'])} copies of its inputs"
        )
        out.append(f"{said}; {_faster(times[peer] / ours)} {peer}." if peer else f"{said}.")
    for entry in record.get("curvature", [])[-1:]:
        exact = next((e for e in entry["products"] if _ours(e["contender"])), None)
        if exact is not None:
            out.append(
                f"A Hessian-vector product of the network {entry['network']}: {milliseconds(exact['median_s'])}, as long as "
                f"{exact['gradients']:.2f} gradients; {_faster(exact['ratio'])} autograd."
            )
    return out


def page(record: Record) -> str:
    """The whole page."""
    body = ["<h1>The comparison with peers, on this machine</h1>"]
    body += [paragraph(line, css="glance") for line in glance(record)]
    body += [paragraph(line, css="meta") for line in heading(record)]
    body.append(paragraph("Bars: blue is bidfcl_fast, orange what one would write or install instead.", css="meta"))
    told = set()
    for s in sections(record):
        about = "" if s.about in told else s.about
        told.add(s.about)
        head = [(name, "") for name in s.header]
        rows = [[escape(cell) for cell in row] for row in s.cells]
        body += [f"<h2>{escape(s.title)}</h2>", figure(bars(s.bars, s.unit, s.mark), about), table(head, rows)]
    return document(
        "Benchmarks of bidfcl_fast",
        "\n".join(body),
        "main { max-width: 52rem; } .meta { margin: .2rem 0; } .glance { margin: .5rem 0; }\n",
    )


def lines(record: Record) -> Iterator[str]:
    """The same for a terminal."""
    yield from heading(record)
    yield from ("", *glance(record))
    told = set()
    for s in sections(record):
        yield ""
        widths = [max(len(row[k]) for row in (s.header, *s.cells)) for k in range(len(s.header))]
        widths[0] = max(widths[0], len(s.title))
        for row in ([s.title, *s.header[1:]], *s.cells):
            first, *rest = (f"{cell:{'<' if k == 0 else '>'}{widths[k]}}" for k, cell in enumerate(row))
            yield "  ".join([first, *rest]).rstrip()
        if s.about not in told:
            told.add(s.about)
            yield ""
            yield from textwrap.wrap(s.about, 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


# --- The comparisons --------------------------------------------------------------------------------------------------


def _solver(entries: list[Entry]) -> Section:
    users, treatments, dtype = _size(entries[0])
    floor = statistics.median(e["floor_s"] for e in entries)
    best = min(e["floor_best_s"] for e in entries)
    judged = [e for e in entries if "gap" in e]
    cells = [
        [
            e["contender"], milliseconds(e["median_s"]), _times(e["median_s"] / floor), share(best / e["median_s"]),
            _small(e["gap"]), _small(e["violation"]), _small(e["slack"]),
        ]
        for e in judged
    ]  # fmt: skip
    return Section(
        f"One budget, {users:,} users × {treatments} treatments, {dtype}",
        "Median time. Reads: that, over the median time of one read of value and cost by all threads. Bandwidth: bytes of value and cost over "
        "the median time, as a share of the best read's (which comes from the caches where the arrays fit into them). Gap: LP optimum less the "
        "plan's value, over the LP optimum. Over budget: spend beyond the budget, over the budget. Bound: how far above the LP optimum "
        "the bound is that the contender itself can show; below 0 it bounds nothing.",
        ["contender", "median", "reads", "bandwidth", "gap", "over budget", "bound"],
        cells,
        [_bar(e["contender"], e["median_s"], milliseconds(e["median_s"])) for e in judged],
        "milliseconds, logarithmic",
        (1e3 * floor, "one read"),
    )


def _losses(entry: Entry) -> Section:
    times: dict[str, float] = dict(entry["median_s"])
    floor = times.pop("floor")
    cells = [[n, milliseconds(s), _times(s / floor), share(floor / s)] for n, s in times.items()]
    return Section(
        f"Decision losses, {entry['users']:,} users × {entry['treatments']} treatments, {entry['dtype']}",
        "Median time of forward and backward, gradients in both inputs; after “twice:” also a Hessian-vector product. Copies: that, over the time "
        "of one copy of both inputs, which reads and writes what a gradient must. Bandwidth: the copy's time over the contender's.",
        ["contender", "median", "copies", "bandwidth"],
        cells,
        [_bar(name, s, milliseconds(s)) for name, s in times.items()],
        "milliseconds, logarithmic",
        (1e3 * floor, "one copy"),
    )


def _curvature(entry: Entry) -> list[Section]:
    where = f"{entry['network']}, batch {entry['rows']:,}"
    products = Section(
        f"One curvature product, {where}",
        "Median time of a Hessian- or Gauss-Newton-vector product; “linearised anew”: of what a new point costs before the first product. "
        "Arithmetic bounds these, not memory, so their unit is one gradient of the network, by autograd.",
        ["contender", "median", "÷ one gradient", "autograd ÷ it"],
        [
            [e["contender"], milliseconds(e["median_s"]), f"{e['gradients']:.2f}", f"{e['ratio']:.2f}"]
            for e in entry["products"]
        ],
        [_bar(e["contender"], e["median_s"], milliseconds(e["median_s"])) for e in entry["products"]],
        "milliseconds, logarithmic",
        None,
    )
    names = {"hessian": "exact", "gauss_newton": "Gauss-Newton"}
    solves = entry["hypergradients"]
    labels = [f"{names[e['system']]}: {e['contender']}" for e in solves]
    return [
        products,
        Section(
            f"One hypergradient, {where}",
            "From nothing: linearise, solve the damped system by conjugate gradient to a relative residual of 0.001, cross derivative.",
            ["contender", "median", "first ÷ it", "steps"],
            [
                [n, milliseconds(e["median_s"]), f"{e['ratio']:.2f}", str(e["steps"])]
                for n, e in zip(labels, solves, strict=True)
            ],
            [_bar(n, e["median_s"], milliseconds(e["median_s"])) for n, e in zip(labels, solves, strict=True)],
            "milliseconds, logarithmic",
            None,
        ),
    ]


def _bar(label: str, seconds: float, note: str) -> Bar:
    return Bar(label, 1e3 * seconds, note, "plan" if _ours(label) else "alike")


def _ours(label: str) -> bool:
    return "bidfcl_fast" in label or "_loss" in label


def _size(entry: Entry) -> tuple[int, int, str]:
    return entry["users"], entry["treatments"], entry["dtype"]


def milliseconds(seconds: float) -> str:
    """Three digits, as far as microseconds go."""
    ms = 1e3 * seconds
    return f"{ms:,.{min(3, max(0, 2 - math.floor(math.log10(ms))))}f} ms"


def _times(x: float) -> str:
    return f"{x:.1f}" if x < 99.95 else f"{x:,.0f}"


def _faster(ratio: float) -> str:
    return f"{_times(ratio)} times as fast as" if ratio >= 1 else f"{_times(1 / ratio)} times as slow as"


def share(x: float) -> str:
    """Percent, two digits."""
    return f"{100 * x:.2g} %" if x < 0.995 else f"{100 * x:.0f} %"


def _small(x: float) -> str:
    return "0" if abs(x) < 1e-15 else f"{x:.0e}"


__all__: Sequence[str] = ["lines", "page"]
