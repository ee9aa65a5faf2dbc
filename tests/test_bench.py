"""`bidfcl bench`: its checks can fail, its record is plain data, and the page and the terminal say what it holds."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET

import browser
import numpy as np
import pytest
from torch_threads import one_torch_thread  # noqa: F401

import bidfcl_fast as bf
from bidfcl_fast import bench, cli
from bidfcl_fast.bench import instances, judge, solver
from bidfcl_fast.bench.peers import PEERS
from bidfcl_fast.report import bars, benchmarks, elements

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TINY = instances.Size(300, 4, "float32")


@pytest.fixture(scope="module")
def record(one_torch_thread):  # noqa: F811
    said: list[str] = []
    made = bench.run(users=600, say=said.append)
    assert said
    return made


def test_every_contender_is_there_and_plain_data(record):
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    assert {(e["users"], e["treatments"]) for e in record["solver"]} == {(600, 10)}
    names = [e["contender"] for e in record["solver"]]
    for backend in bf.backends.available():
        assert (f"bidfcl_fast, {backend}" in names) is (backend != "reference")
    assert {p.label for p in PEERS} <= {*names, *record["absent"]}
    assert all(e["median_s"] > 0 and e["floor_s"] > 0 for e in record["solver"])
    assert all(e["violation"] <= judge.SLOPPY and e["gap"] < 0.01 for e in record["solver"] if "gap" in e)
    if "torch" in record["versions"]:
        assert record["losses"][0]["median_s"]["eager torch"] > 0
        entry = record["curvature"][0]
        assert {e["system"] for e in entry["hypergradients"]} == {"hessian", "gauss_newton"}


def test_page_and_terminal_say_the_same(record):
    page, text = benchmarks.page(record), "\n".join(benchmarks.lines(record))
    ET.fromstring(re.sub(r"<!doctype html>|<meta[^>]*>|<style>.*?</style>", "", page, flags=re.S))
    for outside in ("<script", "<link", "@import", "src=", "href=", "url("):
        assert outside not in page
    sections = benchmarks.sections(record)
    assert page.count("<svg") == len(sections) >= 1
    words = " ".join(text.split())
    for said in {s.about for s in sections}.union(benchmarks.glance(record)):
        assert said in words and said in html.unescape(page)
    for section in sections:
        assert section.title in page and section.title in text
        for row in section.cells:
            for cell in row:
                assert cell.replace("'", "&#x27;") in page and cell in text
    assert "GB/s" in page and "GB/s" in text
    for variable in set(re.findall(r"var\(--(\w+)\)", page)):
        assert f"--{variable}:" in page


@browser.needs_browser
def test_the_page_in_a_browser(record, tmp_path):
    page = tmp_path / "bench.html"
    page.write_text(benchmarks.page(record), encoding="utf-8")
    browser.check(page, tmp_path, figures=len(benchmarks.sections(record)))
    assert browser.pdf(page, tmp_path / "bench.pdf", tmp_path).startswith(b"%PDF")


@browser.needs_browser
@pytest.mark.parametrize(
    "fault",
    [
        "<script>console.error('no')</script>",
        '<div style="width: 2000px">wide</div>',
        '<svg viewBox="0 0 300 100" width="300"><text x="290" y="50">cut off</text></svg>',
    ],
)
def test_the_browser_sees_what_is_wrong(fault, tmp_path):
    page = tmp_path / "page.html"
    whole = '<svg viewBox="0 0 300 100" width="300"><text x="10" y="50">whole</text></svg>' * ("<svg" not in fault)
    page.write_text(elements.document("A page", whole + fault), encoding="utf-8")
    with pytest.raises(AssertionError):
        browser.check(page, tmp_path, figures=1)


def test_bars_are_as_long_as_the_logarithm_says():
    svg = bars.bars(
        [bars.Bar("a", 1.0, "1", "plan"), bars.Bar("b", 10.0, "10", "alike"), bars.Bar("c", 100.0, "100", "alike")],
        "ms",
    )
    lengths = [float(w) for w in re.findall(r'<rect[^>]* width="([\d.]+)"', svg)]
    assert lengths[2] - lengths[1] == pytest.approx(lengths[1] - lengths[0], abs=0.11)
    assert lengths[0] > 0


@pytest.mark.parametrize("peer", PEERS, ids=lambda p: p.module)
def test_peers_solve_what_they_are_timed_on(peer):
    pytest.importorskip(peer.needs)
    value, cost, budget = instances.campaign(TINY)
    optimum = float(bf.solve_mckp(value, cost, budget, backend="reference").dual_bound)
    found = judge.quality(value, cost, budget, peer.load()(value, cost, budget), optimum)
    assert found.gap < 0.01 and found.slack < 1e-4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"value": 1.01}, "value is not the plan's"),
        ({"spend": 0.99}, "spend is not the plan's"),
        ({"bound": 0.9}, "bound is below"),
    ],
)
def test_the_judge_refuses_what_is_wrong(change, match):
    value, cost, budget = instances.campaign(TINY)
    plan = bf.solve_mckp(value, cost, budget, backend="reference")
    answer = {"value": plan.value, "spend": plan.spend, "bound": plan.dual_bound, "choice": plan.choice}
    judge.quality(value, cost, budget, answer, plan.dual_bound)
    answer = {k: v * change.get(k, 1) if k != "choice" else v for k, v in answer.items()}
    with pytest.raises(AssertionError, match=match):
        judge.quality(value, cost, budget, answer, plan.dual_bound)
    over = {**answer, "choice": cost.argmax(axis=1), "value": value[np.arange(300), cost.argmax(axis=1)].sum()}
    over["spend"] = cost.max(axis=1).sum()
    with pytest.raises(AssertionError, match="over the budget"):
        judge.quality(value, cost, budget, over, plan.dual_bound)


def test_without_torch_the_rest_is_measured_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(bench, "missing", lambda name: True)
    monkeypatch.setattr(solver, "missing", lambda name: name != "numpy")
    made = bench.run(users=500)
    assert "losses" not in made and "curvature" not in made
    text = "\n".join(benchmarks.lines(made))
    assert "Not measured: decision losses (torch is not installed: pip install 'bidfcl_fast[torch]')." in text
    assert "numba is not installed" in text


def test_the_command(record, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "run", lambda **_: record)
    folder = tmp_path / "out"
    assert cli.main(["bench", "--output", str(folder)]) == 0
    said = capsys.readouterr()
    assert said.err == "" and str(folder / "bench.html") in said.out and "one budget" in said.out.lower()
    assert json.loads((folder / "bench.json").read_text()) == record
    assert (folder / "bench.html").read_text() == benchmarks.page(record)
    assert cli.main(["bench", "--output", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record
    assert cli.main(["bench", "--output", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main(["bench", "--output", str(folder / "bench.json")]) == 1
    assert "exists and is not a folder" in capsys.readouterr().err


def test_the_glance_is_of_the_largest_and_of_the_fastest_peer():
    def entry(contender, users, seconds, **more):
        size = {"users": users, "treatments": 10, "dtype": "float32", "bytes": 80 * users, "floor_s": 1e-3, "gap": 0.0}
        return {"contender": contender, "median_s": seconds, **size, **more}

    made = {
        "solver": [
            entry("bidfcl_fast, cpp", 1000, 9.0),
            entry("bidfcl_fast, cpp", 2000, 2e-3),
            entry("slow", 2000, 9.0),
            entry("less slow", 2000, 5e-1),
        ],
        "losses": [
            {"users": 7, "treatments": 3, "median_s": {"floor": 1e-3, "eager torch": 1e-3, "ppl_loss, cpp": 2e-3}}
        ],
    }
    assert benchmarks.glance(made) == [
        "One budget for 2,000 users × 10 treatments: 2.00 ms, as long as 2.0 reads of the data; 250 times as fast as the fastest peer (less slow).",
        "A decision loss and its gradient, 7 × 3: 2.00 ms, as long as 2.0 copies of its inputs; 2.0 times as slow as eager torch.",
    ]
    assert benchmarks.glance({}) == []
    assert [benchmarks.milliseconds(s) for s in (1.2345, 0.12345, 0.012345, 0.0012345, 0.00012345, 0.0000012345)] == [
        "1,234 ms", "123 ms", "12.3 ms", "1.23 ms", "0.123 ms", "0.001 ms",
    ]  # fmt: skip
