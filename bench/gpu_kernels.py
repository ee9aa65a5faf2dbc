"""Bytes that each CUDA kernel has to move, and the floors they imply: what bench/gpu.py holds measured times against.

python bench/gpu_kernels.py      the table of docs/cuda.md
"""

from __future__ import annotations

from typing import NamedTuple

PEAK = 3.35e12  # bytes a second: an H200's or H100's memory as its data sheet has it


class Kernel(NamedTuple):
    """One kernel at N rows of M treatments in float32 (or a vector of N numbers)."""

    pattern: str  # what its name holds, among the names a profiler shows
    bytes_a_row: str  # a formula in M
    instructions_a_row: str  # of one thread: the arithmetic and shared memory of the row, counted in the source
    does: str

    def bytes(self, n: int, m: int) -> float:
        return n * eval(self.bytes_a_row, {"M": m})

    def instructions(self, n: int, m: int) -> float:
        return n * eval(self.instructions_a_row, {"M": m})

    def floor(self, n: int, m: int) -> float:
        """Seconds."""
        return self.bytes(n, m) / PEAK


# Tiles: a cell is one load of a quarter of 16 bytes, an address (about 6) and a store to shared memory, then one load again.
KERNELS = {
    "survey": Kernel("SurveyBody", "8*M", "24*M + 20", "largest magnitudes, closed and broken rows"),
    "sweep": Kernel("SweepBody", "8*M + 4", "34*M + 120", "both ends of the bracket, choices written once"),
    "decide": Kernel("DecideBody", "8*M + 4", "28*M + 100", "one multiplier, choices written once"),
    "ppl value": Kernel("LossBody<float, (bidfcl::LossOrder)0>", "8*M + 16", "50*M + 120", "loss and slopes"),
    "ppl gradient": Kernel("LossBody<float, (bidfcl::LossOrder)1>", "16*M + 16", "70*M + 120", "loss and both gradients"),
    "ppl hessian": Kernel("LossBody<float, (bidfcl::LossOrder)2>", "24*M + 16", "110*M + 150", "Hessian times a direction"),
    "cg bend": Kernel("::Bend<float>", "12", "12", "product += damping*p; two sums"),
    "cg step": Kernel("::Step<float>", "24", "16", "x, r; two sums"),
    "cg turn": Kernel("::Turn<float>", "12", "8", "p"),
    "activate": Kernel("Activate<float>", "16", "60", "value and two derivatives (SiLU)"),
}  # fmt: skip


def table(n: int = 1_000_000, m: int = 10) -> str:
    out = [
        "| kernel | bytes a row | 10⁶ rows, M = 10: MB | floor at 3.35 TB/s, µs | instructions a row, about |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, kernel in KERNELS.items():
        formula = kernel.bytes_a_row.replace("*", "·")
        out.append(
            f"| {name}: {kernel.does} | {formula} | {kernel.bytes(n, m) / 1e6:.0f} | {1e6 * kernel.floor(n, m):.1f} "
            f"| {kernel.instructions_a_row.replace('*', '·')} |"
        )
    return "\n".join(out)


if __name__ == "__main__":
    print(table())
