"""Bytes that each CUDA kernel has to move, and the floors they imply: what bench/gpu.py holds measured times against.

python bench/gpu_kernels.py      the table of docs/cuda.md
"""

from __future__ import annotations

from typing import NamedTuple

PEAK = 3.35e12  # bytes a second: an H200's or H100's memory as its data sheet has it


class Kernel(NamedTuple):
    """One kernel over rows of M treatments in float32, or over a vector's numbers."""

    pattern: str  # what its name holds, among the names a profiler shows
    call: str  # the call of bench/gpu.py that runs it
    row: str  # what a row is
    bytes_a_row: str  # a formula in M
    instructions_a_row: str  # of one thread: the arithmetic and shared memory of the row, counted in the source
    does: str

    def bytes(self, rows: int, m: int) -> float:
        return rows * eval(self.bytes_a_row, {"M": m})

    def instructions(self, rows: int, m: int) -> float:
        return rows * eval(self.instructions_a_row, {"M": m})

    def floor(self, rows: int, m: int) -> float:
        """Seconds."""
        return self.bytes(rows, m) / PEAK


# Tiles: four cells are one load of 16 bytes, an address (about 20) and four stores to shared memory (3 each), then a load each.
USER, OPEN, SAMPLED, NUMBER = "user", "open user", "sampled user", "number"
KERNELS = {
    "survey": Kernel("SurveyBody", "solve", USER, "8*M", "24*M + 20", "largest magnitudes, closed and broken rows"),
    "probe": Kernel("Probe<float>", "solve", SAMPLED, "8*M", "32*(8*M + 40)", "spend at 32 multipliers, a round"),
    "sweep": Kernel("SweepBody", "solve", USER, "8*M + 4", "36*M + 120", "both ends of the bracket, choices written once"),
    "walk": Kernel("WalkBody", "solve", OPEN, "8*M + 8 + 48*M/2", "M*M*30 + 100*M", "hulls; edges in the bracket"),
    "apply": Kernel("ApplyBody", "solve", OPEN, "8*M + 8", "M*M*30 + 60*M", "choices of open users, up to the split edge"),
    "decide": Kernel("DecideBody", "decide", USER, "8*M + 4", "30*M + 100", "one multiplier, choices written once"),
    "interval": Kernel("OneInterval<float>", "labelled", USER, "8*M + 24", "45*M + 30", "where the treatment received is chosen"),
    "ppl value": Kernel("LossBody<float, (LossOrder)0>", "loss", USER, "8*M + 16", "55*M + 120", "loss and slopes"),
    "ppl gradient": Kernel("LossBody<float, (LossOrder)1>", "loss", USER, "16*M + 16", "80*M + 120", "loss and both gradients"),
    "ppl hessian": Kernel("LossBody<float, (LossOrder)2>", "hessian", USER, "24*M + 16", "120*M + 150", "Hessian times a direction"),
    "drp gradient": Kernel("DrpBody<float, (LossOrder)1>", "drp", USER, "4*M + 24", "14*M + 90", "return on investment, M steps"),
    "cg bend": Kernel("Bend<float>", "cg", NUMBER, "12", "12", "product += damping*p; two sums"),
    "cg step": Kernel("Step<float>", "cg", NUMBER, "24", "16", "x, r; two sums"),
    "cg turn": Kernel("Turn<float>", "cg", NUMBER, "12", "8", "p"),
    "cg cross": Kernel("Cross<float>", "cg preconditioned", NUMBER, "12", "14", "two sums, for a preconditioner given as a function"),
    "activate": Kernel("Activate<float>", "network", NUMBER, "16", "60", "value and two derivatives (SiLU)"),
    "slide": Kernel("Slide<float>", "network", NUMBER, "20", "12", "a direction through an activation, and what its bend adds"),
    "return": Kernel("Return<float>", "network", NUMBER, "16", "10", "back through an activation"),
}  # fmt: skip


def table(rows: int = 1_000_000, m: int = 10) -> str:
    out = [
        "| kernel | a row is | bytes a row | 10⁶ rows, M = 10: MB | floor at 3.35 TB/s, µs | instructions a row, about |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, kernel in KERNELS.items():
        formula, work = (x.replace("*", "·") for x in (kernel.bytes_a_row, kernel.instructions_a_row))
        out.append(
            f"| {name}: {kernel.does.replace('*', '·')} | {kernel.row} | {formula} | {kernel.bytes(rows, m) / 1e6:.0f} "
            f"| {1e6 * kernel.floor(rows, m):.1f} | {work} |"
        )
    return "\n".join(out)


if __name__ == "__main__":
    print(table())
