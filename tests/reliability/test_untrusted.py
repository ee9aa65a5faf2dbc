"""Files of others: models, checkpoints and tables are data, never code; and nothing here talks to the network."""

from __future__ import annotations

import ast
import json
import pickle
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bidfcl_fast.data import Table
from bidfcl_fast.data.files import load_table, save_table

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bidfcl_fast"

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from bidfcl_fast import methods  # noqa: E402
from bidfcl_fast.methods import _store  # noqa: E402


def trial(n=200) -> Table:
    rng = np.random.default_rng(0)
    t = rng.integers(2, size=n)
    return Table(rng.normal(size=(n, 2)), t, rng.random(n) + t, 1.0 * t)


QUICK = {"epochs": 1, "hidden": (4,), "batch": 64}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "m.safetensors"
    methods.create("tsm-sl", **QUICK).fit(rct=trial(), progress=False).save(path)
    return path


# --- Models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "parameters"),
    [
        ("bidfcl_fast.tables:write_text", {"path": "OUT", "text": "x"}),
        ("bidfcl_fast._whole:atomic", {"path": "OUT"}),
        ("bidfcl_fast.cli:main", {"argv": ["demo"]}),
        ("bidfcl_fast.evaluate.runner:_started", {"folder": "OUT", "data": None}),
        ("bidfcl_fast.methods.two_stage:TwoStage.fit", {}),
        ("bidfcl_fast.methods._learner:Learner", {}),
        ("bidfcl_fast.evaluate.runner:subprocess.Popen", {"args": ["touch", "OUT"]}),
        ("os:system", {"command": "touch OUT"}),
        (None, {}),
        (["bidfcl_fast.tables:write_text"], {}),
    ],
)
def test_a_model_file_names_no_code(tmp_path, named, parameters):
    path, out = tmp_path / "m.safetensors", tmp_path / "out"
    text = json.dumps(parameters).replace("OUT", str(out))
    _store.write(path, {"a": torch.zeros(1)}, {"method": named, "parameters": text, "finished": None})
    with pytest.raises(ValueError, match="not a saved method"):
        methods.load(path)
    assert not out.exists() and list(tmp_path.iterdir()) == [path]


def _changed(saved, tmp_path, change):
    tensors, info = _store.read(saved)
    change(tensors, info)
    path = tmp_path / "changed.safetensors"
    _store.write(path, tensors, info)
    return path


def _parameters(info, **changed):
    info["parameters"] = json.dumps({**json.loads(info["parameters"]), **changed})


@pytest.mark.parametrize(
    "change",
    [
        lambda t, i: i.update(shape=[1, 2, 1 << 40, 4]),
        lambda t, i: i.update(shape=[1 << 40, 2, 4, 4]),
        lambda t, i: i.update(shape=[1, 1 << 62, 4, 4]),
        lambda t, i: i.update(shape=[0, 2, 4, 4]),
        lambda t, i: i.update(shape=[1, 2, -4, 4]),
        lambda t, i: i.update(shape=[1, 2, 4.5, 4]),
        lambda t, i: i.update(shape=[1, 2, 4]),
        lambda t, i: i.update(shape="many"),
        lambda t, i: i.update(shape=None),
        lambda t, i: i.update(treatments=7),
        lambda t, i: i.update(treatments="2"),
        lambda t, i: i.update(finished=[1, 2, 4, 4]),
        lambda t, i: i.update(finished=3),
        lambda t, i: i.update(link="nothing"),
        lambda t, i: i.pop("shape"),
        lambda t, i: i.pop("finished"),
        lambda t, i: i.update(parameters="{"),
        lambda t, i: i.update(parameters=[]),
        lambda t, i: i.update(parameters="[]"),
        lambda t, i: _parameters(i, depth=3),
        lambda t, i: t.pop("net.0.0.weight"),
        lambda t, i: t.pop("units.sd"),
        lambda t, i: t.update({"net.0.0.weight": torch.zeros(4, 3)}),
        lambda t, i: t.update({"net.0.0.extra": torch.zeros(1)}),
        lambda t, i: t.update({"units.centre": torch.zeros(0)}),
        lambda t, i: t.update({"units.scale": torch.zeros(2, 2)}),
    ],
)
def test_a_model_that_does_not_fit_is_refused(saved, tmp_path, change):
    with pytest.raises(ValueError, match=r"changed\.safetensors: .*does not hold what it needs"):
        methods.load(_changed(saved, tmp_path, change))


def _safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


OURS = {"__metadata__": {"bidfcl_fast": "{}"}}
FOREIGN = {
    "nothing": b"",
    "a pickle": pickle.dumps({"weights": [1, 2, 3]}),
    "a huge header": _safetensors(OURS, length=1 << 63),
    "a longer header": _safetensors(OURS, length=1 << 20),
    "no metadata": _safetensors({}),
    "no JSON": _safetensors(b"{" * 50),
    "deep JSON": _safetensors(b"[" * 100_000),
    "metadata that is a list": _safetensors({"__metadata__": {"bidfcl_fast": "[1]"}}),
    "metadata that is a number": _safetensors({"__metadata__": 3}),
    "a tensor out of bounds": _safetensors({**OURS, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
    "a tensor before its start": _safetensors({**OURS, "a": {"dtype": "F32", "shape": [0], "data_offsets": [4, 0]}}),
    "a shape that overflows": _safetensors(
        {**OURS, "a": {"dtype": "F32", "shape": [1 << 33, 1 << 33], "data_offsets": [0, 4]}}, b"1234"
    ),
    "a shape beyond its data": _safetensors(
        {**OURS, "a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, b"1234"
    ),
    "an unknown dtype": _safetensors({**OURS, "a": {"dtype": "X1", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_no_models_and_no_checkpoints(tmp_path, name):
    path = tmp_path / "x.safetensors"
    path.write_bytes(FOREIGN[name])
    with pytest.raises(ValueError, match=r"x\.safetensors: not a"):
        methods.load(path)
    method = methods.create("tsm-sl", **QUICK)
    with pytest.raises(ValueError, match=r"x\.safetensors: (not a|the checkpoint is of another run)"):
        method.fit(rct=trial(), checkpoint=path, resume=True, progress=False)
    assert path.read_bytes() == FOREIGN[name]


def test_half_a_model_is_refused(saved, tmp_path):
    data, path = saved.read_bytes(), tmp_path / "half.safetensors"
    for length in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="not a file that bidfcl_fast wrote, or only a part of one"):
            methods.load(path)


def test_a_class_of_ones_own_is_not_saved_as_ours(tmp_path):
    own = type("Own", (type(methods.create("tsm-sl")),), {})(**QUICK).fit(rct=trial(), progress=False)
    with pytest.raises(TypeError, match="Own cannot be saved"):
        own.save(tmp_path / "own.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_emptied_by_hand_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    methods.create("tsm-sl", **QUICK).fit(rct=trial(), val=trial(), checkpoint=path, progress=False)
    _, info = _store.read(path)
    for parts in ([], "done", 3):
        _store.write(path, {}, {**info, "parts": parts})
        with pytest.raises(ValueError, match="not a checkpoint"):
            methods.create("tsm-sl", **QUICK).fit(
                rct=trial(), val=trial(), checkpoint=path, resume=True, progress=False
            )


# --- Tables -----------------------------------------------------------------------------------------------------------


def test_foreign_tables_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    save_table(path, trial(20))
    data = path.read_bytes()
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 2)))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object), labels=np.array(["a"]), features=np.array(["a"]))
    np.save(tmp_path / "array.npy", np.zeros(3))
    wrong = [b"", b"PK\x03\x04", b"rubbish", pickle.dumps(3), data[: len(data) // 2], data[:-30]]
    wrong += [(tmp_path / name).read_bytes() for name in ("other.npz", "objects.npz", "array.npy")]
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"t\.npz: not a table that save_table wrote"):
            load_table(path)


# --- The sources ------------------------------------------------------------------------------------------------------

SOURCES = sorted(PACKAGE.rglob("*.py"))
NO_CALLS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
NO_MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "socket", "ssl", "urllib", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "urllib3", "xmlrpc", "telnetlib", "webbrowser", "ctypes"}  # fmt: skip
MAY = {
    ("_native.py", "ctypes"),
    ("evaluate/runner.py", "subprocess"),
    ("_wire.py", "pickle"),  # between ranks of one program, which trust each other (SECURITY.md)
    ("scale/spark.py", "pickle"),  # between a driver and its workers, likewise
    ("scale/_spark_tasks.py", "pickle"),
}
NO_ATTRIBUTES = {("torch", "load"), ("torch", "save"), ("os", "system"), ("os", "popen"), ("yaml", "load")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_sources_run_no_strings_and_know_no_network(path):
    name = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in NO_CALLS, f"line {node.lineno}: {node.func.id}()"
            literal = [k.value for k in node.keywords if k.arg in {"allow_pickle", "shell"}]
            assert not any(getattr(value, "value", True) for value in literal), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            literal = [k.value for k in node.keywords if k.arg in {"allow_pickle", "shell"}]
            assert not any(getattr(value, "value", True) for value in literal), f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in NO_ATTRIBUTES, f"line {node.lineno}: {ast.unparse(node)}"
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        for module in modules:
            root = module.partition(".")[0]
            assert root not in NO_MODULES | {"subprocess"} or (name, root) in MAY, f"line {node.lineno}: {module}"


def test_arrays_are_loaded_without_objects():
    """`numpy.load` says so where it stands: the default may change, a reader's doubt need not."""
    calls = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load"
    ]
    assert calls
    for path, node in calls:
        assert any(k.arg == "allow_pickle" for k in node.keywords), f"{path.name}, line {node.lineno}"


OFFLINE = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("the network was asked for")

for name in ("connect", "connect_ex", "sendto", "bind", "listen"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)

import numpy as np
import bidfcl_fast as bf
from bidfcl_fast import cli, data, metrics, methods

table = data.load_thornton()
method = methods.create("tsm-sl", epochs=1, hidden=(4,)).fit(rct=table, progress=False)
method.save(sys.argv[1] + "/m.safetensors")
value, cost = methods.load(sys.argv[1] + "/m.safetensors").predict(table.x)
for backend in bf.backends.available():
    bf.solve_mckp(value[:200], cost[:200], 50.0, backend=backend)
source, out = sys.argv[1] + "/in.csv", sys.argv[1] + "/out.csv"
open(source, "w").write("value_0,value_1,cost_0,cost_1\\n0,1,0,1\\n")
assert cli.main(["allocate", source, "--budget", "1", "--output", out]) == 0
assert cli.main(["info"]) == 0
print("offline")
"""


def test_nothing_asks_for_the_network(tmp_path):
    pytest.importorskip("pyarrow")
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("offline\n")


# --- What is shown of data --------------------------------------------------------------------------------------------

NASTY = "<script>alert(1)</script>&\"']]>"


def test_pages_and_pictures_show_names_and_never_run_them():
    """Every name that a folder of results may bring, in the page, the Markdown file and the pictures."""
    pytest.importorskip("matplotlib")
    from test_evaluate import made_up

    from bidfcl_fast.evaluate import recipes
    from bidfcl_fast.report import evaluation
    from bidfcl_fast.report.evaluation_figures import intervals

    results = [
        made_up(study, recipe, regime, seed, 10.0 + seed)
        for study in ("worlds", "small trial", "ablation", "sensitivity", "trial size")
        for recipe in (NASTY, "<img src=x onerror=alert(1)>", "recommended", *recipes.HEADLINE)
        for regime in ("none", "severe")
        for seed in range(3)
    ]
    for result in results:
        result["job"]["data"]["bias"] = result["job"]["data"]["response"] = NASTY
    made = evaluation.make(results, [{"job": {**results[0]["job"]}, "why": NASTY}])
    pages = [evaluation._html(made), evaluation._markdown(made), *made.pictures.values()]
    pages.append(intervals("x", NASTY, [(NASTY, 1.0, 0.5, 1.5)]))
    for page in pages:
        assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;" in pages[0]


def test_messages_are_one_plain_line(tmp_path):
    """Names of columns and cells of a file reach the terminal without its control characters."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    source = tmp_path / "in.parquet"
    cell = "\x1b[2J\x1b]0;owned\x07\nbidfcl: done"
    parquet.write_table(pa.table({"value_0": [cell], "cost_0": [1.0], "\x1b[31mred\n": [1]}), source)
    command = [sys.executable, "-m", "bidfcl_fast", "allocate", str(source), "--budget", "1", "--output"]
    said = subprocess.run([*command, str(tmp_path / "o.csv")], capture_output=True, text=True, cwd=ROOT)
    assert said.returncode == 1 and said.stderr.count("\n") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said.stderr)
    twice = pa.table([[1.0], [1.0], [1], [2]], names=["value_0", "cost_0", "\x1b[31mred\n", "\x1b[31mred\n"])
    parquet.write_table(twice, source)
    said = subprocess.run([*command, str(tmp_path / "o.csv")], capture_output=True, text=True, cwd=ROOT)
    assert said.returncode == 1 and said.stderr.count("\n") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said.stderr)
