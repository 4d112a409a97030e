"""Pictures at the end of a run, after everything else is written: a failure only prints a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcopt.results.canvas import NotDrawnError, drawing
from hpcopt.results.terminal import warn


@contextmanager
def drawn_last(picture: Path) -> Iterator[None]:
    """Wrap all work on a picture; any failure becomes a line on the error stream."""
    try:
        with drawing(picture):
            yield
    except NotDrawnError as error:
        warn(str(error))
