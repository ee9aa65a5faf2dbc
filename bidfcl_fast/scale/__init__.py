"""Beyond one machine's memory, and beyond one machine: drivers of one search, which return the plan one process returns.

parquet             allocate on Parquet files and folders of any size, in bounded memory
torch_distributed   `solve_mckp` where every rank of a process group holds some of the users
spark               allocate on a PySpark DataFrame, without collecting users

Each is loaded when it is first used: importing this package loads none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["parquet", "spark", "torch_distributed"]

if TYPE_CHECKING:
    from . import parquet, spark, torch_distributed


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
