"""The seam: the one place through which every operation of the fabric passes, and those who observe it there.

Public operations of groups, neighbourhoods, windows, boards and mailboxes are final; a cluster implements the
underscored ones. Around each of them the node's observers are told, the one attached last outermost:

    begin: timeline, slow links | the operation itself | end: ledger, slow links, timeline

A new observer is a class in a file of its own, and a line that attaches it to `node.seam`. What only coordinates (the
window under the board of real ranks) has a seam of its own, with the ledger and nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

OfGroups = Literal["sum", "max", "broadcast", "gather", "allgather", "alltoall", "barrier"]
OfNeighbourhoods = Literal["exchange", "exchange_varying"]
OfWindows = Literal["put", "get", "accumulate", "fetch_and_op", "compare_and_swap"]
OfBoards = Literal["post"]
OfMailboxes = Literal["send", "take", "drain"]
OfSeveral = Literal["flush", "wait", "round"]  # wait until what was begun is done; for word or mail; begin a round
Kind = Literal[OfGroups, OfNeighbourhoods, OfWindows, OfBoards, OfMailboxes, OfSeveral]


class Operation:
    """What is told of an operation. Each thing that a node speaks with has one, which all its operations fill anew.

    Attributes
    ----------
    kind
        What is done.
    thing
        The group, neighbourhood, window, board or mailbox that does it.
    link_class
        The class of links that it goes over, as the ledger names it.
    peers
        Ranks of the nodes that take part or hear of it: all members of a group, the targets of a neighbourhood.
    peer
        The place, in `peers`, of the root of a tree; the rank of the one node that an operation of a window or a
        message of a mailbox is for.
    sent, received
        Bytes both ways: up to the root of a tree and down from it; else to, and from, each peer.
    rounds, messages, bytes
        What this node is charged for; the bytes are those of all its messages. Nothing is charged twice: what comes
        from a neighbour is its sender's.
    by_edge
        Whether the edge to `peer` carries them.
    edges
        Ranks of the nodes to each of which an edge carries `sent` bytes; mostly none.
    leaves
        When a message of a mailbox leaves, on the clock of `time.perf_counter`, where an observer holds it back.
    """

    __slots__ = (
        "by_edge",
        "bytes",
        "edges",
        "kind",
        "leaves",
        "link_class",
        "messages",
        "peer",
        "peers",
        "received",
        "rounds",
        "sent",
        "thing",
    )

    def __init__(self, thing: Any, link_class: str, peers: Sequence[int] = ()) -> None:
        self.kind: Kind = "wait"
        self.thing = thing
        self.link_class = link_class
        self.peers = peers
        self.peer = 0
        self.sent = self.received = 0
        self.rounds = self.messages = self.bytes = 0
        self.by_edge = False
        self.edges: Sequence[int] = ()
        self.leaves = 0.0


class Observer:
    """Who is told of every operation of a node; a subclass has those of the methods that it needs.

    An operation that raises has a beginning and no end.
    """

    __slots__ = ()

    def begin(self, op: Operation) -> None:
        """Be told that an operation begins; of some, what comes back and what it costs is not known yet."""

    def end(self, op: Operation, result: Any) -> None:
        """Be told that it has ended, and what it returns."""

    def met(self, came: float, last: float, left: float) -> None:
        """Be told, inside an operation, that a node came at `came`, met the last of the others at `last`, and left.

        Only a virtual cluster knows.
        """


class Seam:
    """The observers of one node.

    Parameters
    ----------
    ledger
        The first of them.

    Attributes
    ----------
    begins, ends, meets
        What is called of them, in that order.
    quiet
        Whether there is only the ledger: what books nothing need not be told, nor what kind of operation it is.
    """

    __slots__ = ("_observers", "begins", "ends", "meets", "quiet")

    def __init__(self, ledger: Observer) -> None:
        self._observers: list[Observer] = []
        self.attach(ledger)
        self.quiet = True

    def attach(self, observer: Observer) -> None:
        """Tell `observer` of all that comes, of things made before as well."""
        self._observers.append(observer)
        self.quiet = False
        self.begins: tuple[Callable[[Operation], None], ...] = tuple(
            other.begin for other in reversed(self._observers) if type(other).begin is not Observer.begin
        )
        self.ends: tuple[Callable[[Operation, Any], None], ...] = tuple(
            other.end for other in self._observers if type(other).end is not Observer.end
        )
        self.meets: tuple[Callable[[float, float, float], None], ...] = tuple(
            other.met for other in self._observers if type(other).met is not Observer.met
        )
