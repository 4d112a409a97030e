"""Reports the progress of reading a file to a listener.

A context variable instead of a parameter: the readers of all kinds of files are between the listener and the code that
reads, and none of them needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Listener = Callable[[Path, int, int], None]
"""Called with a file, the number of its bytes read so far, and their total."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Report everything that this thread reads inside the block to `listener`."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(path: Path, passed: int, total: int) -> None:
    """Report that `passed` of the `total` bytes of the file have been read."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(path, passed, total)
