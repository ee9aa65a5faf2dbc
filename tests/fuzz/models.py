"""Models, checkpoints, tables and states of strangers: a `ValueError` that names the file, and nothing made."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import numpy as np

import bidfcl_fast as bf
from bidfcl_fast import methods
from bidfcl_fast.data.files import load_table

from .source import Source

KEYS = ("method", "parameters", "finished", "shape", "treatments", "link", "features", "run", "parts", "base", "unit")
# One network of one feature, two units wide, for one treatment: the tensors of its file, and their shapes.
SHAPES = {
    "units.centre": [1], "units.scale": [1], "units.mean": [2], "units.sd": [2],
    "net.0.0.weight": [2, 1], "net.0.0.bias": [2], "net.0.2.weight": [2, 2], "net.0.2.bias": [2],
}  # fmt: skip
NAMES = tuple(SHAPES)


def one(data: bytes) -> None:
    """One file out of `data`, offered to every loader."""
    source = Source(data)
    content = source.rest() if source.chance(4) else _crafted(source)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m.safetensors"
        path.write_bytes(content)
        for load in (methods.load, load_table):
            try:
                found = load(path)
            except ValueError as error:
                named(error, str(path))
                continue
            if load is methods.load:  # what was let in can be asked
                value, cost = found.predict(np.zeros((2, 1)))
                assert value.shape == cost.shape and len(value) == 2
    try:
        bf.Allocator.from_state(content.decode("latin-1"))
    except ValueError as error:
        named(error, "state")


def named(error: ValueError, what: str) -> None:
    """A refusal says what it refuses."""
    assert what in str(error), repr(error)


def _value(source: Source, depth: int = 0) -> object:
    how = source.below(9 if depth < 3 else 6)
    if how < 6:
        return (None, True, source.integer(), source.number(), source.pick(NAMES), "x" * source.below(40))[how]
    if how == 6:
        return [_value(source, depth + 1) for _ in range(source.below(5))]
    return {source.pick(KEYS): _value(source, depth + 1) for _ in range(source.below(4))}


def _crafted(source: Source) -> bytes:
    """A header that is nearly right, over tensors of a few bytes."""
    info = {"method": "bidfcl_fast.methods.two_stage:TwoStage", "parameters": "{}", "finished": None, "treatments": 1}
    info |= {"shape": [1, 1, 2, 2], "link": "identity", "features": []}
    for _ in range(max(0, source.below(5) - 2)):
        info[source.pick(KEYS)] = _value(source)  # type: ignore[assignment]
    header: dict[str, object] = {"__metadata__": {"bidfcl_fast": json.dumps(info)}}
    at = 0
    for name, shape in SHAPES.items():
        if source.chance(30):
            continue
        if source.chance(20):
            shape = [source.pick((1, 2, 2, 0, 3)) for _ in shape]
        if source.chance(20):
            shape = [source.integer() for _ in range(source.below(4))]
        # Sizes mostly agree: a file whose own do not is refused before anything of it is looked at.
        dtype = source.pick(("F32",) * 12 + ("F64", "I64", "BF16"))
        size = {"F32": 4, "F64": 8, "I64": 8, "BF16": 2}[dtype]
        for n in shape:
            size *= max(n, 0)
        size = min(size, 128)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    length = len(text) if not source.chance(12) else source.integer() % 2**64
    return struct.pack("<Q", length) + text + source.take(at)
