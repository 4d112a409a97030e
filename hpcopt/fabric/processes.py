"""What the system knows about other processes of this host."""

from __future__ import annotations

from pathlib import Path


def about(pid: int, what: str) -> bytes:
    """Return the contents of a file of a process in /proc; empty if it can't be read."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def name(pid: int) -> str:
    """Return the name of a process; empty if it is gone."""
    return about(pid, "comm").decode(errors="replace").strip()


def status(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the process's name: its state, its parent, ...; empty if it is gone."""
    return about(pid, "stat").rpartition(b")")[2].decode(errors="replace").split()


def state(pid: int) -> str:
    """Return the state of a process in a letter: R runs, S and D wait, T is stopped, Z has ended; empty: is gone."""
    return next(iter(status(pid)), "")


def children(pid: int) -> int:
    """Return how many children of a process have not ended."""
    everyone = (status(int(path.name)) for path in Path("/proc").glob("[0-9]*"))
    return sum(1 for fields in everyone if fields and fields[1] == str(pid) and fields[0] != "Z")
