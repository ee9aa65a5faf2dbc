"""Where these tests run: on a GPU, and without one on the CUDA sources as C++, with torch's CPU tensors for a device's.

So that they hold no mistake of their own when a GPU first runs them: `make gpu-test`.
"""

from __future__ import annotations

import emulated
import pytest

import bidfcl_fast as bf
from bidfcl_fast import _device, backends

torch = pytest.importorskip("torch")

REAL = "cuda" in bf.backends.available()


class Gpu:
    """A backend and a device of torch's, or what stands for them."""

    def __init__(self, name: str, device: str) -> None:
        self.name, self.device, self.real = name, torch.device(device), name == "cuda"

    def __call__(self, x, **kwargs):
        """A NumPy array as a tensor there."""
        return torch.as_tensor(x, device=self.device, **kwargs)

    @property
    def ops(self):
        module = backends.resolve(self.name)
        return module.ops() if self.real else module


@pytest.fixture(params=["cuda"] if REAL else ["cuda_emulated"])
def gpu(request, monkeypatch) -> Gpu:
    if request.param == "cuda":
        return Gpu("cuda", "cuda:0")
    why = emulated.register()
    if why is not None:
        assert "error:" not in why, why[-2000:]
        pytest.skip(why[:400])
    monkeypatch.setattr(_device, "TORCH_DEVICES", {"cpu", "cuda"})
    return Gpu("cuda_emulated", "cpu")
