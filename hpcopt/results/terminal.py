"""Whether output goes to a terminal (bar and colours) or to a batch log (plain lines), and warnings."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def is_terminal() -> bool:
    """Return whether standard output is a terminal that the user sees.

    Open MPI's mpiexec gives rank 0 a pseudo-terminal even if its own output goes to a file; that pseudo-terminal has no
    columns.
    """
    try:
        return sys.stdout.isatty() and os.get_terminal_size(sys.stdout.fileno()).columns > 0
    except (OSError, ValueError):  # not backed by a file
        return False


def warn(line: str) -> None:
    """Write a line to the error stream; a closed stream is ignored."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"hpcopt: {line}\n")
        sys.stderr.flush()
