"""A progress line on stderr for a person to watch; silent where nobody watches."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TextIO


class Progress:
    """One line that rewrites itself: what is being done, how far it is, how long it took; with a `unit`, also how many of
    those a second, and how long the rest will take.

    It is drawn only on a terminal, at most ten times a second, and wiped when done, so that pipes, logs and
    notebooks stay clean.
    """

    def __init__(
        self, what: str, total: int = 0, *, show: bool = True, stream: TextIO | None = None, unit: str = ""
    ) -> None:
        self.what, self.total, self.done, self.unit = what, total, 0, unit
        self._stream = sys.stderr if stream is None else stream
        self._show = show and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._start = time.perf_counter()
        self._drawn = -1.0

    def __enter__(self) -> Progress:
        self._draw(force=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._show:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def step(self, what: str | None = None, by: int = 1) -> None:
        """Say that `by` more of `total` are done, and what comes now."""
        self.done += by
        self.what = what or self.what
        self._draw(force=what is not None)

    def _draw(self, force: bool = False) -> None:
        now = time.perf_counter() - self._start
        if not self._show or (not force and now - self._drawn < 0.1):
            return
        self._drawn = now
        bar = ""
        if self.total:
            full = round(20 * min(self.done / self.total, 1.0))
            bar = f" [{'=' * full}{' ' * (20 - full)}] {self.done}/{self.total}"
            if self.unit:
                bar = f"{bar[: bar.index(']') + 1]} {self.done:,} of {self.total:,} {self.unit}"
            if self.unit and self.done and now > 0:
                rate = self.done / now
                bar += f", {rate:,.0f} a second, {max(0, self.total - self.done) / rate:.0f} s left,"
        self._stream.write(f"\r\x1b[K{self.what}{bar} {now:.0f} s")
        self._stream.flush()
