"""Reading ahead, and writing behind, in threads of their own: so that files and arithmetic do not wait for each other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_DEPTH = 3  # items under way


class _End:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, which a thread fetches a few ahead; its error comes where its item would have come."""
    line: queue.Queue[Any] = queue.Queue(_DEPTH)
    stop = threading.Event()

    def put(thing: Any) -> bool:
        while not stop.is_set():
            try:
                line.put(thing, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fetch() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:
            put(_End(error))

    thread = threading.Thread(target=fetch, name="bidfcl-read", daemon=True)
    thread.start()
    try:
        while True:
            item = line.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()


class Behind(Generic[T]):
    """Calls `take` for every item given, in turn, in a thread; its error is raised at the next `give`, or at the end."""

    def __init__(self, take: Callable[[T], None]) -> None:
        self._take, self._error = take, None
        self._line: queue.Queue[Any] = queue.Queue(_DEPTH)
        self._thread = threading.Thread(target=self._run, name="bidfcl-write", daemon=True)

    def __enter__(self) -> Behind[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.put(_End())
        self._thread.join()
        if kind is None:
            self._check()

    def give(self, item: T) -> None:
        self._check()
        self._line.put(item)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not isinstance(item := self._line.get(), _End):
            if self._error is None:
                try:
                    self._take(item)
                except BaseException as error:
                    self._error = error  # type: ignore[assignment]
