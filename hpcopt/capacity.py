"""Memory asked for before it is taken: what does not fit ends in one line, not in the system's killing the job.

What is free is the least of what the machine, the control group (a container, a SLURM job) and the process's own limit
leave. It is an estimate: the ranks of one host share it, and others may take some meanwhile.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from hpcopt.errors import InputError

DOUBLE = 8  # bytes
VECTORS = 4  # of the size of a model that any solver holds at least: start, iterate, gradient, and what it returns

_SURELY_FREE = 1 << 26  # bytes for which nobody needs to look
_NO_LIMIT = 1 << 60  # control groups of the first version write some such number for "none"
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def ask(needed: int, what: str) -> None:
    """Refuse what takes more memory than is free here.

    Parameters
    ----------
    needed
        Bytes, at least, that it takes at one time.
    what
        What takes them, for the message: "data.rows, data.features: 10 x 10 numbers".

    Raises
    ------
    InputError
        "{what} take 16 GB of memory, of which 8.1 GB are free here".
    """
    if needed >= _SURELY_FREE and needed > (there_is := free()):
        raise InputError(f"{what} take {in_words(needed)} of memory, of which {in_words(there_is)} are free here")


def ask_for_model(size: int, what: str) -> None:
    """Refuse a model whose vectors, of `size` numbers each, take more memory than is free here; see `ask`."""
    vector = size * DOUBLE
    ask(
        VECTORS * vector,
        f"{what}: the {VECTORS} vectors of that many numbers that a solver needs, {in_words(vector)} each,",
    )


def largest_model() -> int:
    """Return how large a model may be, see `ask_for_model`."""
    return free() // (VECTORS * DOUBLE)


def free(root: Path = Path("/")) -> int:
    """Return how many bytes this process may still take; `root` is where /proc and /sys are."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_machine(root), *_groups(root)]
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    if own != resource.RLIM_INFINITY:
        pages = int(_text(root / "proc/self/statm").partition(" ")[0] or 0)
        limits.append(own - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(limits))


def in_words(size: int) -> str:
    """Return a number of bytes in words: "16 GB"."""
    unit, power = 1, 0
    while size >= 1000 * unit and power < len(_UNITS) - 1:
        unit, power = 1000 * unit, power + 1
    return f"{size / unit:.3g} {_UNITS[power]}"


def _machine(root: Path) -> Iterator[int]:
    """Yield what the machine has free, as Linux estimates it."""
    available = _table(root / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        yield 1024 * available


def _groups(root: Path) -> Iterator[int]:
    """Yield what the control groups of this process, and those above them, leave; both versions of them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        kind, _, path = line.partition(":")[2].partition(":")
        if kind in {"", "memory"}:
            mount = root / "sys/fs/cgroup" / kind
            group = Path(path.lstrip("/"))
            for place in dict.fromkeys((mount / group, *(mount / above for above in group.parents))):
                yield from _group(place)


def _group(place: Path) -> Iterator[int]:
    """Yield limit less use of one control group, if it has a limit; pages of files that can go count as free."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most = _text(place / limit).strip()
        if most.isdigit() and int(most) < _NO_LIMIT:
            in_use = int(_text(place / used).strip() or 0)
            yield int(most) - max(0, in_use - _table(place / "memory.stat").get(cached, 0))


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number on each line."""
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _text(path: Path) -> str:
    """Return what a file of the system says, nothing where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
