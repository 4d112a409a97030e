"""Checks of available memory before allocation: lack of memory gives a one-line error instead of a killed job.

The free memory is the minimum of what the machine, the control group (a container, a SLURM job) and the process's own
limit leave; the first two are divided by the number of ranks on the host. It is an estimate: other processes may
allocate some meanwhile.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from hpcopt.errors import InputError

DOUBLE = 8  # bytes
VECTORS = 7  # least number of model-sized vectors of any run on a node, those of its records included, as measured

_SURELY_FREE = 1 << 26  # bytes that need no check
_NO_LIMIT = 1 << 60  # control groups of version 1 use a number above this for "no limit"
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


_sharing = 1  # processes of this job on this host


def share(processes: int) -> None:
    """Divide the free memory of this host by the number of processes that the job has on it."""
    global _sharing  # noqa: PLW0603
    _sharing = processes


def ask(needed: int, what: str) -> None:
    """Raise an error if more memory is needed than is free.

    Parameters
    ----------
    needed
        Number of bytes needed at one time, at least.
    what
        What needs them, for the message: "data.rows, data.features: 10 x 10 numbers".

    Raises
    ------
    InputError
        "{what} take 16 GB of memory, of which 8.1 GB are free here".
    """
    if needed >= _SURELY_FREE and needed > (there_is := free()):
        each = f" for each of the {_sharing} processes of this host" if _sharing > 1 else ""
        raise InputError(f"{what} take {in_words(needed)} of memory, of which {in_words(there_is)} are free here{each}")


def ask_for_model(size: int, what: str) -> None:
    """Raise an error if a model's vectors, of `size` numbers each, need more memory than is free; see `ask`."""
    vector = size * DOUBLE
    ask(
        VECTORS * vector,
        f"{what}: the {VECTORS} vectors of that many numbers that a run needs, {in_words(vector)} each,",
    )


def largest_model() -> int:
    """Return the largest possible size of a model, see `ask_for_model`."""
    return free() // (VECTORS * DOUBLE)


def free(root: Path = Path("/")) -> int:
    """Return the number of bytes that this process may still allocate; `root` contains /proc and /sys."""
    of_host = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_machine(root), *_groups(root)]
    limits = [limit // _sharing for limit in of_host]
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    if own != resource.RLIM_INFINITY:
        pages = int(_text(root / "proc/self/statm").partition(" ")[0] or 0)
        limits.append(own - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(limits))


def in_words(size: int) -> str:
    """Format a number of bytes: "16 GB"."""
    unit, power = 1, 0
    while size >= 1000 * unit and power < len(_UNITS) - 1:
        unit, power = 1000 * unit, power + 1
    return f"{size / unit:.3g} {_UNITS[power]}"


def _machine(root: Path) -> Iterator[int]:
    """Yield the machine's free memory, as estimated by Linux."""
    available = _table(root / "proc/meminfo").get("MemAvailable:")
    if available is not None:
        yield 1024 * available


def _groups(root: Path) -> Iterator[int]:
    """Yield the memory left by the control groups of this process and by their parents, for both versions."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        kind, _, path = line.partition(":")[2].partition(":")
        if kind in {"", "memory"}:
            mount = root / "sys/fs/cgroup" / kind
            group = Path(path.lstrip("/"))
            for place in dict.fromkeys((mount / group, *(mount / above for above in group.parents))):
                yield from _group(place)


def _group(place: Path) -> Iterator[int]:
    """Yield limit minus usage of one control group, if it has a limit; reclaimable file pages count as free."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most = _text(place / limit).strip()
        if most.isdigit() and int(most) < _NO_LIMIT:
            in_use = int(_text(place / used).strip() or 0)
            yield int(most) - max(0, in_use - _table(place / "memory.stat").get(cached, 0))


def _table(path: Path) -> dict[str, int]:
    """Parse a file with a name and a number on each line."""
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _text(path: Path) -> str:
    """Return the contents of a system file; empty if there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
