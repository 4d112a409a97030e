"""Pictures at the end of a run, when all that counts is written: one that fails costs a line, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcopt.results.canvas import NotDrawnError, drawing
from hpcopt.results.terminal import warn


@contextmanager
def drawn_last(picture: Path) -> Iterator[None]:
    """Wrap all work on a picture; whatever fails is a line on the error stream."""
    try:
        with drawing(picture):
            yield
    except NotDrawnError as error:
        warn(str(error))
