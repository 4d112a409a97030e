"""Faults to be injected into a run, as text: a process that dies, a node that hangs, a link that loses its messages.

    kill:rank=2,round=5                      pause:rank=1,round=3,seconds=2
    kill:rank=1,phase=read                   slow:rank=0,factor=5,from=10
    drop-link:from=0,to=1,round=4            corrupt:from=0,to=1,round=4

Rounds are those of the trace, counted from 1. `hpcopt.fabric.injection` says what each fault does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from hpcopt.errors import InputError
from hpcopt.portions import number, whole

FaultKind = Literal["kill", "pause", "slow", "drop-link", "corrupt"]

FORMS: dict[FaultKind, str] = {
    "kill": "kill:rank=R,round=N or kill:rank=R,phase=PHASE",
    "pause": "pause:rank=R,round=N,seconds=S",
    "slow": "slow:rank=R,factor=F or slow:rank=R,factor=F,from=N",
    "drop-link": "drop-link:from=A,to=B,round=N",
    "corrupt": "corrupt:from=A,to=B,round=N",
}
_NEEDED: dict[FaultKind, tuple[str, ...]] = {
    "kill": ("rank",),
    "pause": ("rank", "round", "seconds"),
    "slow": ("rank", "factor"),
    "drop-link": ("from", "to", "round"),
    "corrupt": ("from", "to", "round"),
}
_MORE: dict[FaultKind, tuple[str, ...]] = {"kill": ("round", "phase"), "slow": ("from",)}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Parameters
    ----------
    kind
        What happens.
    text
        The fault as it was given.
    rank
        The node to which it happens: of a link, the one whose operation notices it first.
    round
        The first round in which it can happen, from 1.
    phase
        The phase of the run at whose beginning it happens instead; empty: in a round.
    seconds, factor
        How long a pause lasts, and how many times as long the work of a slow node takes.
    source, target
        The ends of a link.
    """

    kind: FaultKind
    text: str
    rank: int = 0
    round: int = 1
    phase: str = ""
    seconds: float = 0.0
    factor: float = 1.0
    source: int = 0
    target: int = 0

    @property
    def ranks(self) -> tuple[int, ...]:
        """The nodes that the fault concerns."""
        return (self.source, self.target) if self.kind in {"drop-link", "corrupt"} else (self.rank,)


def faults_from(texts: Iterable[str], phases: Collection[str]) -> tuple[Fault, ...]:
    """Return the faults that the texts describe.

    Parameters
    ----------
    phases
        The names of the phases of a run.

    Raises
    ------
    InputError
        In one line, with the text and the form that it should have.
    """
    return tuple(_fault(text, phases) for text in texts)


def check_ranks(faults: Iterable[Fault], size: int, *, virtual: bool) -> None:
    """Raise an error for a fault that a cluster of `size` nodes cannot have.

    Raises
    ------
    InputError
        If there is no such node, or if a virtual node, which has no process of its own, is to die in a phase.
    """
    for fault in faults:
        stranger = max(fault.ranks)
        if stranger >= size:
            raise InputError(f'inject: "{fault.text}": no node {stranger}: nodes are numbered from 0 to {size - 1}')
        if virtual and fault.phase:
            raise InputError(f'inject: "{fault.text}": virtual nodes share one process; give round instead of phase')


def _fault(text: str, phases: Collection[str]) -> Fault:
    named, colon, rest = text.strip().partition(":")
    kind: FaultKind | None = next((kind for kind in FORMS if kind == named), None)
    if kind is None:
        raise InputError(f'inject: "{text}": expected {", ".join(FORMS)} followed by ":" and its keys')

    def wrong(why: str) -> InputError:
        return InputError(f'inject: "{text}": {why}; expected {FORMS[kind]}')

    allowed = (*_NEEDED[kind], *_MORE.get(kind, ()))
    given: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in allowed or not equals:
            raise wrong(f'no key "{key}"' if equals else f'"{part.strip()}" is not KEY=VALUE')
        if key in given:
            raise wrong(f"{key} is given twice")
        given[key] = value
    missing = [key for key in _NEEDED[kind] if key not in given]
    if missing:
        raise wrong(f"{missing[0]} is missing")
    if kind == "kill" and len({"round", "phase"} & given.keys()) != 1:
        raise wrong("one of round and phase is needed")
    phase = given.get("phase", "")
    if phase and phase not in phases:
        raise wrong(f"phase: expected one of {', '.join(phases)}, got {phase}")
    first = "from" if kind == "slow" else "round"
    fault = Fault(
        kind=kind,
        text=text.strip(),
        rank=_integer(given, "rank", 0, wrong),
        round=_integer(given, first, 1, wrong),
        phase=phase,
        seconds=_real(given, "seconds", 0.0, wrong),
        factor=_real(given, "factor", 1.0, wrong),
        source=0 if kind == "slow" else _integer(given, "from", 0, wrong),
        target=_integer(given, "to", 0, wrong),
    )
    if kind in {"drop-link", "corrupt"} and fault.source == fault.target:
        raise wrong("from and to are the same node")
    return fault


def _integer(given: dict[str, str], key: str, least: int, wrong: Callable[[str], InputError]) -> int:
    value = whole(given.get(key, str(least)))
    if value is None or value < least:
        raise wrong(f"{key}: expected an integer >= {least}, got {given[key]}")
    return value


def _real(given: dict[str, str], key: str, least: float, wrong: Callable[[str], InputError]) -> float:
    value = number(given.get(key, str(least)))
    if value is None or value < least:
        raise wrong(f"{key}: expected a number >= {least:g}, got {given[key]}")
    return value
