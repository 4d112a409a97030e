"""Whether somebody looks on (a bar and colours are for a terminal, plain lines for a batch log), and a line to them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def is_terminal() -> bool:
    """Tell whether standard output is a terminal that a person sees.

    Open MPI's mpiexec gives rank 0 a pseudo-terminal even where its own output goes into a file; that one has
    no columns.
    """
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stdout.fileno()).columns > 0
    except (OSError, ValueError):  # no real file behind it
        return False


def warn(line: str) -> None:
    """Write a line to the error stream; nothing depends on anybody's reading it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"hpcopt: {line}\n")
        sys.stderr.flush()
