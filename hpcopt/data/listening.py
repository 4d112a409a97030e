"""How far a file has been read, told to whoever listens.

A context variable rather than a parameter: between who listens and who reads stand the readers of every kind of file,
none of which has a use for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Listener = Callable[[Path, int, int], None]
"""Takes a file, how many of its bytes are read, and how many it has."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Tell `listener` meanwhile of all that this thread reads."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(path: Path, passed: int, total: int) -> None:
    """Tell that `passed` bytes of the `total` in the file have been read."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(path, passed, total)
