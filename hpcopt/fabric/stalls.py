"""The report about ranks without progress: those that hold up the others first, and alike ones in one line."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from hpcopt.fabric.calls import BEFORE
from hpcopt.fabric.processes import state

_NAMED = 8  # most ranks that are listed individually


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is seen of one rank of this host.

    Parameters
    ----------
    rank, pid
        The rank, and its process.
    round
        The round that it is in.
    age
        Seconds since its last progress.
    answers
        Whether its watchdog has looked lately.
    operation, stack
        What it is doing, as it has noted itself; empty: in no operation, or nothing noted.
    """

    rank: int
    pid: int
    round: int
    age: float
    answers: bool
    operation: str
    stack: str


def report(everyone: Sequence[Seen], after: float) -> list[str]:
    """Return lines about the ranks of this host, of which at least one has made no progress for `after` seconds."""
    alike: dict[tuple[int, int, str], list[Seen]] = {}
    for seen in everyone:
        blame, what = _what(seen, after)
        alike.setdefault((blame, seen.round, what), []).append(seen)
    age = max(seen.age for seen in everyone)
    lines = [f"watchdog: no progress for {age:.3g} s on {socket.gethostname()}"]
    for (blame, in_round, what), ranks in sorted(alike.items()):
        calls = f": {ranks[0].stack}" if ranks[0].stack and ranks[0].age >= after else ""
        where = f", round {in_round}" if blame else f", last seen in round {in_round}"
        lines.append(f"watchdog: {_listed(ranks)} {what}{where}{calls}")
    return lines


def _what(seen: Seen, after: float) -> tuple[int, str]:
    """Return how much a rank is to blame, 0 the most, and what it is doing."""
    if not seen.answers:
        letter = state(seen.pid)
        return 0, "is stopped" if letter in {"T", "t"} else f"does not answer (state {letter or 'unknown'})"
    if seen.age < after:
        return 2, "makes progress"
    if not seen.operation:
        return 1, "is in no operation"
    if seen.operation.startswith(BEFORE):
        return 1, f"is held up {seen.operation}"
    return 3, f"waits in {seen.operation}"


def _listed(ranks: Sequence[Seen]) -> str:
    """List a few ranks; of many, give the first one and their number."""
    if len(ranks) == 1:
        return f"rank {ranks[0].rank} (process {ranks[0].pid})"
    if len(ranks) > _NAMED:
        return f"{len(ranks)} ranks ({ranks[0].rank}, ...): each"
    return f"ranks {', '.join(str(seen.rank) for seen in ranks)}: each"
