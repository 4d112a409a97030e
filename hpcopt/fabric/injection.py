"""The injector: an observer that makes the faults of a run happen on one node, in the rounds given.

A fault begins in the operation that starts the round, before any of its messages leave.

kill
    On ranks, SIGKILL of the process. A virtual node leaves before its next step.
pause
    The node does nothing for some seconds, and serves nobody. On ranks it sleeps; a virtual node's clock advances.
slow
    The node's work takes longer, as under [cluster.stragglers].
drop-link
    No message from one node to the other arrives any more. Whoever waits for one waits forever: the receiver in an
    exchange and in a collective that carries its data, the origin in a one-sided operation. A mailbox's message is
    lost, and nobody is told. Boards, and the other direction, are not affected.
corrupt
    The next message from one node to the other arrives with some of its bytes inverted: of an exchange, a collective
    that carries its data, or a mailbox. One-sided operations and boards are not affected.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, get_args

import numpy as np

from hpcopt.arrays import Array
from hpcopt.fabric.faults import Fault
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.heterogeneity import Pace
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.seam import Observer, OfNeighbourhoods, Operation

_FROM_ALL = frozenset({"sum", "max", "allgather", "alltoall", "barrier"})
_TO_ROOT = frozenset({"reduce", "gather", "gather_varying"})
_FROM_ROOT = frozenset({"broadcast", "broadcast_varying"})
_EXCHANGES = frozenset(get_args(OfNeighbourhoods))
_ONE_SIDED = frozenset({"put", "get", "accumulate", "fetch_and_op", "compare_and_swap"})
_PERIOD = 8  # of the inverted bytes, which are the last of each double: its sign and most of its exponent


class Victim(Protocol):
    """The interface of a node that the injector needs."""

    rank: int
    ledger: Ledger
    pace: Pace

    def die(self) -> None: ...
    def hang(self, seconds: float) -> None: ...
    def stall(self, why: str) -> None: ...


def faults_of(rank: int, faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults in rounds that the injector of node `rank` is to make."""
    return [fault for fault in faults if rank in fault.ranks and not fault.phase]


class Injector(Observer):
    """Makes the faults of one node.

    Parameters
    ----------
    node
        The node.
    faults
        Those that concern it.
    """

    def __init__(self, node: Victim, faults: Iterable[Fault]) -> None:
        self._node = node
        self._account = node.ledger.solver
        self._faults = list(faults)

    def begin(self, op: Operation) -> None:
        node, account = self._node, self._account
        if node.ledger.current is not account:
            return
        before, now = account.rounds, account.rounds + op.rounds
        for fault in self._faults.copy():
            if fault.kind == "drop-link":
                if now >= fault.round:
                    self._drop(op, fault)
            elif fault.kind == "slow":
                if now >= fault.round:
                    self._faults.remove(fault)
                    node.pace.slow_down(fault.factor)
            elif before < fault.round <= now:  # a run that resumes behind that round does not have it again
                if fault.kind == "kill":
                    node.die()
                elif fault.kind == "pause":
                    node.hang(fault.seconds)

    def _drop(self, op: Operation, fault: Fault) -> None:
        source, target = fault.source, fault.target
        rank = self._node.rank
        if op.kind == "send" and rank == source:
            op.lost = op.peer == target
            return
        waits = (
            op.peer == target if op.kind in _ONE_SIDED and rank == source else rank == target and _carries(op, fault)
        )
        if waits:
            self._node.stall(f"node {rank} waits forever: the link from node {source} to node {target} is dropped")

    def end(self, op: Operation, result: Any) -> None:
        node = self._node
        if node.ledger.current is not self._account:
            return
        for fault in self._faults.copy():
            if fault.kind != "corrupt" or fault.target != node.rank or self._account.rounds < fault.round:
                continue
            if _corrupted(op, fault, result):
                self._faults.remove(fault)


def _carries(op: Operation, fault: Fault) -> bool:
    """Return whether an operation of the link's target carries data of its source."""
    if op.kind in _EXCHANGES:
        return fault.source in op.thing.sources
    if fault.source not in op.peers:
        return False
    root = op.peers[op.peer] if op.kind in _TO_ROOT or op.kind in _FROM_ROOT else None
    if op.kind in _FROM_ALL:
        return True
    return (op.kind in _TO_ROOT and root == fault.target) or (op.kind in _FROM_ROOT and root == fault.source)


def _corrupted(op: Operation, fault: Fault, result: Any) -> bool:
    """Invert bytes of what arrived from the link's source; return whether anything did."""
    if op.kind in {"take", "drain"}:
        return _in_list(result, next((i for i, (source, _) in enumerate(result) if source == fault.source), None))
    if op.kind in {"barrier", "round"} or not _carries(op, fault):
        return False
    if op.kind in _EXCHANGES:
        return _in_list(result, op.thing.sources.index(fault.source))
    place = op.peers.index(fault.source)
    if isinstance(result, Gathered):
        parts = list(result)
        parts[place] = parts[place].copy()
        _invert(parts[place])
        op.instead = Gathered(parts)
        return bool(parts[place].size)
    if isinstance(result, list):
        return _in_list(result, place)
    part = result[place] if op.kind == "gather" else result
    _invert(part)
    return bool(part.size)


def _in_list(parts: list[Any], place: int | None) -> bool:
    """Invert bytes of one part: in place, or, if others read the same memory, of a copy that takes its place."""
    if place is None:
        return False
    tagged = isinstance(parts[place], tuple)
    part: Array = parts[place][1] if tagged else parts[place]
    if not part.flags.writeable or tagged:
        part = part.copy()
        parts[place] = (parts[place][0], part) if tagged else part
    _invert(part)
    return bool(part.size)


def _invert(part: Array) -> None:
    raw = part.reshape(-1).view(np.uint8)
    first = min(_PERIOD, raw.size) - 1
    if raw.size:
        raw[first::_PERIOD] ^= 0xFF
