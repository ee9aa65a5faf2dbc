"""No array of N × M numbers beside the gradients: the peak of resident memory over each loss, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import bidfcl_fast as bf

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from bidfcl_fast import losses

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

def case(n):
    g = torch.Generator().manual_seed(0)
    value, cost = (torch.rand(n, 10, generator=g).requires_grad_() for _ in range(2))
    y, x, w = (torch.rand(n, generator=g) for _ in range(3))
    return value, cost, torch.randint(10, (n,), generator=g), y, x, w, torch.rand(n, 10, generator=g) < 0.8

def calls(value, cost, t, y, x, w, mask):
    implicit = {"multiplier_grad": "implicit", "cost_outcome": x, "centre": True}
    out = {
        "ppl": lambda: losses.ppl_loss(value, cost, t, y, w, 0.5),
        "a weighted ppl": lambda: 0.3 * losses.ppl_loss(value, cost, t, y, w, 0.5),
        "masked": lambda: losses.ppl_loss(value, cost, t, y, w, 0.5, mask=mask),
        "implicit": lambda: losses.ppl_loss(value, cost, t, y, w, [0.3, 0.5], **implicit),
        "pifd": lambda: losses.pifd_loss(value, cost, t, y, w, 0.5, min_gap=0.1),
        "difd": lambda: losses.difd_loss(value, cost, t, y, x, w, [0.1, 0.5, 0.9], variant="exact", window=0.3),
    }
    made = {name: lambda f=f: torch.autograd.grad(f(), (value, cost)) for name, f in out.items()}
    turns = value.detach(), cost.detach()
    def twice():
        grads = torch.autograd.grad(out["ppl"](), (value, cost), create_graph=True)
        return *grads, *torch.autograd.grad(grads, (value, cost), turns)
    return made | {"with a second derivative": twice}

for f in calls(*case(2000)).values():  # threads, compiled code
    f()
n, kept, found = 600_000, [], {}
work = calls(*case(n))
Path("/proc/self/clear_refs").write_text("5")
for name, f in work.items():
    before = resident("VmRSS")
    kept.append(f())  # alive, so that no case finds memory of another
    arrays = len(kept[-1])
    found[name] = (resident("VmHWM") - before) / (n * 10 * 4) - arrays
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux only")
@pytest.mark.parametrize("name", ["cpp", "numba"])
def test_no_temporary_as_large_as_a_gradient(name):
    if name not in bf.backends.available():
        pytest.skip(f"no {name} here")
    code = f"import bidfcl_fast as bf\nbf.backends.use({name!r})\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    beside = json.loads(done.stdout)
    # In arrays of N × M beside those returned; labels of N numbers, centred, are a tenth each.
    assert max(beside.values()) < 0.6, beside
