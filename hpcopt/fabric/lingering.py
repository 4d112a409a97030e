"""Keeps a rank's connections to an MPICH-based launcher open for a moment after its death.

Such a launcher kills all other ranks as soon as a rank's connections close, mostly before any of them could say what
has happened. So a shell that holds these connections too outlives its rank by half a second, unless the rank says that
it ends by itself.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress

_PROGRAM = "read word || sleep 0.5"


class Lingering:
    """The shell of one rank.

    Parameters
    ----------
    descriptor
        The descriptor of its connection to the launcher, besides standard output and error; empty: the launcher is of
        another kind, and there is no shell.
    """

    def __init__(self, descriptor: str) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        if descriptor.isdigit():
            with suppress(OSError):  # without a shell the others may remain silent
                self._shell = subprocess.Popen(
                    ["/bin/sh", "-c", _PROGRAM], stdin=subprocess.PIPE, pass_fds=[int(descriptor)], cwd="/"
                )

    def end(self) -> None:
        """Let go of the connections: the rank ends by itself."""
        if self._shell is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._shell.communicate(b"end\n", timeout=1.0)
            self._shell = None
