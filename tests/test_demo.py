"""The demo end to end, made small: its numbers hang together, its files are whole, its words match its numbers."""

from __future__ import annotations

import dataclasses
import html.parser
import io
import json
import re

import browser
import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast import cli, demo, known_truth, report, scale_up, tables
from bidfcl_fast.data import Table
from bidfcl_fast.metrics import Estimate, ipw_value
from bidfcl_fast.progress import Progress
from bidfcl_fast.report import words
from bidfcl_fast.report.truth_words import diagnosis, ranking

pytest.importorskip("torch")
pytest.importorskip("matplotlib")
parquet = pytest.importorskip("pyarrow.parquet")

BACKEND = bf.backends.available()[0]
BUDGETS = (0.2, 0.6)


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "MEMBERS", 1)
        patch.setattr(demo, "FOLDS", 2)
        patch.setattr(known_truth, "ROWS", (2_000, 4_000, 1_500))
        yield demo.run(users=400, budgets=BUDGETS, backend=BACKEND, progress=False)


def text_of(page: str) -> str:
    seen: list[str] = []
    parser = html.parser.HTMLParser()
    parser.handle_data = seen.append  # type: ignore[method-assign]
    parser.feed(page)
    return " ".join(" ".join(seen).split())


def test_every_plan_keeps_its_budget_in_every_fold(small):
    for plan in small.plans:
        cost = np.take_along_axis(small.cost_hat, plan.choice[:, None], 1)[:, 0]
        for f in (0, 1):
            assert cost[small.fold == f].mean() <= plan.budget * (1 + 1e-12)
        assert 0 <= plan.gap < 1
        assert plan.promised_spend == pytest.approx(plan.budget, rel=0.02)


def test_plans_are_valued_on_the_outcomes_of_the_trial(small):
    for plan in small.plans:
        assert plan.held_out.value == ipw_value(plan.choice, small.table).value
        # What the models promise is what held-out people say, within three standard errors.
        assert abs(plan.promised_value - plan.held_out.value.estimate) < 3 * plan.held_out.value.se
        for against in (plan.alike, plan.lottery):
            assert against.value + against.gain.estimate == pytest.approx(plan.held_out.value.estimate)
            assert sum(share for _, share in against.rule) == pytest.approx(1)


def test_the_rules_it_is_held_against_spend_the_same(small):
    spend = dict(zip(small.table.labels, (a.spend.estimate for a in small.arms), strict=True))
    spend["a draw among all offers"] = small.lottery_ends[1].spend.estimate
    for plan in small.plans:
        for against in (plan.alike, plan.lottery):
            mixed = sum(share * spend[what] for what, share in against.rule)
            assert mixed == pytest.approx(plan.held_out.spend.estimate)


def test_the_blind_rules_are_the_concave_hull():
    def arm(value, spend):
        none = Estimate(0, 0)
        one = ipw_value(np.zeros(1, int), Table(np.zeros((1, 1)), np.zeros(1, int), np.ones(1), np.ones(1)))
        return dataclasses.replace(
            one, value=dataclasses.replace(none, estimate=value), spend=dataclasses.replace(none, estimate=spend)
        )

    assert demo.hull([arm(1, 0), arm(1.2, 1), arm(3, 2), arm(2.9, 3)]) == [0, 2]
    assert demo.hull([arm(2, 1), arm(1, 1), arm(3, 2), arm(3.5, 3)]) == [0, 2, 3]


def test_outside_the_blind_rules_the_nearest_stands_alone(small):
    everything = ipw_value(np.full(len(small.table), 4), small.table)
    rules = [(small.table.labels[j], small.arms[j]) for j in demo.hull(small.arms)]
    against = demo._against(everything, rules)
    assert against.rule == ((rules[-1][0], 1.0),)
    assert against.gain.estimate == pytest.approx(everything.value.estimate - rules[-1][1].value.estimate)


def test_enlarging_keeps_the_people_recognisable(small):
    value, cost = scale_up.enlarge(small.value_hat, small.cost_hat, 20_000, seed=1)
    assert value.dtype == cost.dtype == np.float32
    assert not cost[:, 0].any()
    assert (cost >= 0).all()
    assert 0 < value.min() <= value.max() < 1
    np.testing.assert_allclose(value.mean(0), small.value_hat.mean(0), atol=0.01)
    np.testing.assert_allclose(cost.mean(0), small.cost_hat.mean(0), atol=0.03)
    assert len(np.unique(value[:, 1])) > 19_000
    np.testing.assert_array_equal(value, scale_up.enlarge(small.value_hat, small.cost_hat, 20_000, seed=1)[0])


def test_the_page_is_whole_and_needs_nothing_else(small):
    page = report.page(small)
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    for outside in ("<script", "<link", "@import", "src=", 'href="http', "url(http"):
        assert outside not in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'(?:href="#|url\(#)([^")]+)', page):
        assert reference in ids
    assert page.count("<svg") == page.count("</svg>") == 5
    # Every stand-in colour became one of the page's own.
    assert not re.search(r"#0[1-7]0[2-8]0[3-9]", page)
    for variable in set(re.findall(r"var\(--([\w]+)\)", page)):
        assert f"--{variable}:" in page
    text = text_of(page)
    said = [sentence for log in small.truth.logs for sentence in (*diagnosis(log), ranking(small.truth, log))]
    for sentence in (*words.verdict(small), *said):
        assert sentence in text


@browser.needs_browser
def test_the_page_in_a_browser(small, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(report.page(small), encoding="utf-8")
    browser.check(page, tmp_path, figures=5)


def test_names_from_data_are_escaped(small):
    hostile = dataclasses.replace(small.table, labels=['<script>alert("x")</script>', "a&b", "$x$ < $y$", "d", "e"])
    rule = (("<b>nothing</b>", 1.0),)
    plans = tuple(dataclasses.replace(p, alike=dataclasses.replace(p.alike, rule=rule)) for p in small.plans)
    page = report.page(dataclasses.replace(small, table=hostile, plans=plans))
    assert "<script" not in page
    assert "<b>nothing" not in page
    assert "&lt;script&gt;" in page
    assert "a&amp;b" in page


def plan_with(small, low, high):
    """A plan whose gain over alike has that interval."""
    half = (high - low) / 2
    gain = Estimate((low + high) / 2, half / 1.959963984540054)
    return dataclasses.replace(small.plans[0], alike=dataclasses.replace(small.plans[0].alike, gain=gain))


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(-0.01, 0.02)], "no gain stands clear of the noise at this budget"),
        ([(-0.01, 0.02), (-0.2, 0.1)], "no gain stands clear of the noise at any of the 2 budgets"),
        ([(0.01, 0.02)], "the plan is better at $0.20 a person."),
        ([(0.01, 0.02), (-0.01, 0.02)], "better at $0.20 a person; at the other 1 the difference is inside the noise"),
        ([(0.01, 0.02), (-0.2, -0.1)], "better at $0.20 a person, and worse at $0.20 a person."),
    ],
)
def test_the_verdict_says_no_more_than_the_intervals(small, intervals, expected):
    plans = tuple(plan_with(small, *i) for i in intervals)
    assert expected in words.verdict(dataclasses.replace(small, plans=plans))[0]


def test_the_verdict_on_spend(small):
    plan = small.plans[0]
    assert words.verdict(small)[-1] == "Held-out spend exceeds no budget beyond the noise."
    over = dataclasses.replace(plan.held_out, spend=Estimate(0.5, 0.01))
    said = words.verdict(dataclasses.replace(small, plans=(dataclasses.replace(plan, held_out=over),)))[-1]
    assert said == "Held-out spend is clearly above the budget at $0.20: costs were predicted too low."


def test_signs_and_money():
    assert words.points(0.0123) == "+1.2"
    assert words.points(-0.0123) == "−1.2"
    assert words.points(-0.0001) == "+0.0"
    assert words.money(0.5) == "$0.50"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_summary_is_aligned_and_plain(small, monkeypatch):
    text = report.summary(small, io.StringIO(), ["demo/report.html"])
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert not any(line != line.rstrip() for line in text.splitlines())
    lines = text.splitlines()
    table = lines[lines.index("Plans, valued on people their models never saw") + 1 :][:4]
    assert table[0].split()[:2] == ["budget", "promised"]
    assert [row.split()[0] for row in table[2:]] == ["0.20", "0.60"]
    assert len({len(row) for row in table}) == 1  # the last column is flush right
    assert lines[-1] == "  demo/report.html"
    for log in small.truth.logs:
        for m in log.methods:
            assert [m.name, *(f"{100 * r:.1f}" for r in m.regret)] in [row.split()[:5] for row in lines]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1m" in report.summary(small, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in report.summary(small, Terminal())


def test_progress_is_for_watchers_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    watched, piped = Terminal(), io.StringIO()
    for stream in (watched, piped):
        with Progress("counting", 2, stream=stream) as line:
            line.step()
            line.step("nearly done")
    assert piped.getvalue() == ""
    assert "counting" in watched.getvalue()
    assert "2/2" in watched.getvalue()
    assert watched.getvalue().endswith("\r\x1b[K")
    hidden = Terminal()
    with Progress("counting", show=False, stream=hidden):
        pass
    assert hidden.getvalue() == ""


@pytest.fixture
def quick(small, monkeypatch):
    """The command, with the work already done."""
    monkeypatch.setattr(demo, "run", lambda **_: small)


def test_the_command_writes_three_files(small, quick, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["demo", "--output", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"bidfcl demo · bidfcl_fast {bf.__version__} · backend {BACKEND}\n")
    assert sorted(p.name for p in out.iterdir()) == ["plan.parquet", "report.html", "results.json"]

    plan = parquet.read_table(out / "plan.parquet")
    assert plan.column_names == ["budget", "row", "fold", "choice", "label", "value", "cost"]
    assert plan.num_rows == 2 * 2830
    first = plan.slice(0, 2830).to_pydict()
    np.testing.assert_array_equal(first["choice"], small.plans[0].choice)
    np.testing.assert_array_equal(first["row"], small.table.row)
    assert set(first["label"]) <= set(small.table.labels)
    assert np.mean(first["cost"]) == pytest.approx(small.plans[0].promised_spend)

    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert [p["budget"] for p in results["plans"]] == list(BUDGETS)
    assert results["plans"][0]["held_out"]["value"]["estimate"] == small.plans[0].held_out.value.estimate
    assert results["scale"]["users"] == 400
    hidden, visible = results["known_truth"]["logs"]
    assert (
        [m["name"] for m in hidden["methods"]] == [m["name"] for m in visible["methods"]] == list(known_truth.METHODS)
    )
    assert hidden["methods"][2]["regret"] == list(small.truth.logs[0].methods[2].regret)


def test_json_and_quiet(quick, tmp_path, capsys):
    assert cli.main(["demo", "--output", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 0
    assert cli.main(["demo", "--output", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--budgets", "-1"], "budgets must be numbers of US$ per person, none negative"),
        (["--budgets", "nan"], "budgets must be numbers of US$ per person"),
        (["--backend", "gpu"], "unknown backend 'gpu'"),
        (["--output", "no/such/folder"], "the folder no/such does not exist"),
    ],
)
def test_bad_input_is_one_line_and_no_file(args, expected, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", *args]) == 1
    said = capsys.readouterr()
    assert expected in said.err
    assert said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_users_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        cli.main(["demo", "--users", "0"])
    assert "argument --users: must be at least 1" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_no_half_file(quick, tmp_path, capsys, monkeypatch):
    def half(table, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(parquet, "write_table", half)
    assert cli.main(["demo", "--output", str(tmp_path)]) == 1
    assert "disk full" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_what_is_missing_is_said_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "run", lambda **_: pytest.fail("started"))
    real = tables.need

    def need(module, extra, what):
        if module == "matplotlib":
            raise RuntimeError(f"{what} needs {module}: pip install 'bidfcl_fast[{extra}]'")
        return real(module, extra, what)

    monkeypatch.setattr(tables, "need", need)
    assert cli.main(["demo", "--output", str(tmp_path / "out")]) == 1
    assert "bidfcl demo needs matplotlib: pip install 'bidfcl_fast[plot]'" in capsys.readouterr().err
