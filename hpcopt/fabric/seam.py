"""The seam: the one place through which every operation of the fabric passes, and its observers.

Public operations of groups, neighbourhoods, windows, boards and mailboxes are final; a cluster implements the
underscored ones. Each of these is bracketed by calls of the node's observers, the last one attached being the
outermost:

    begin: operations, timeline, slow links | the operation itself | end: ledger, slow links, timeline, operations

A new observer is a class in its own file, and a line that attaches it to `node.seam`. Operations that only coordinate
(the window under the board of real ranks) have a separate seam, observed only by the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

OfTrees = Literal["sum", "reduce", "max", "broadcast", "gather", "allgather", "broadcast_varying", "gather_varying"]
OfGroups = Literal[OfTrees, "alltoall", "barrier"]
OfNeighbourhoods = Literal["exchange", "exchange_varying"]
OfWindows = Literal["put", "get", "accumulate", "fetch_and_op", "compare_and_swap"]
OfBoards = Literal["post"]
OfMailboxes = Literal["send", "take", "drain"]
OfSeveral = Literal["flush", "wait", "round"]  # wait for completion; wait for a word or a mail; start a round
Kind = Literal[OfGroups, OfNeighbourhoods, OfWindows, OfBoards, OfMailboxes, OfSeveral]


class Operation:
    """The description of an operation given to observers. Each group, window etc. has one and reuses it for every call.

    Attributes
    ----------
    kind
        The kind of operation.
    thing
        The group, neighbourhood, window, board or mailbox that performs it.
    link_class
        The ledger's name for the class of links it uses.
    peers
        Ranks of the nodes that take part or receive: all members of a group, the targets of a neighbourhood.
    peer
        The index, in `peers`, of the root of a tree; the rank of the target of a window operation or of a mailbox's
        message.
    sent, received
        Bytes in both directions: up to the root of a tree and down from it; otherwise to and from each peer. Of what a
        node is charged for, `received` is the part that came down.
    rounds, messages, bytes
        Charges of this node; the bytes are the total of its messages. Nothing is charged twice: a message from a
        neighbour is charged to its sender.
    by_edge
        Whether they are booked on the edge to `peer`.
    edges
        Ranks of the nodes to each of which `sent` bytes are booked by edge; mostly none.
    leaves
        When a mailbox's message leaves, as a time of `time.perf_counter`, if an observer delays it.
    lost
        Whether an observer lets a mailbox's message get lost.
    instead
        What an observer puts in the place of an all-gather's result, which nodes share; mostly None.
    """

    __slots__ = (
        "by_edge",
        "bytes",
        "edges",
        "instead",
        "kind",
        "leaves",
        "link_class",
        "lost",
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
        self.lost = False
        self.instead: Any = None


class Observer:
    """Observes every operation of a node; a subclass implements the methods that it needs.

    An operation that raises is begun but not ended.
    """

    __slots__ = ()

    def begin(self, op: Operation) -> None:
        """Note the start of an operation; for some, the bytes received and the cost are not known yet."""

    def end(self, op: Operation, result: Any) -> None:
        """Note the end of an operation, and its result."""

    def met(self, came: float, last: float, left: float) -> None:
        """Note when, in an operation, this node arrived, when the last of the others arrived, and when this node left.

        Only a virtual cluster knows these times, and ranks whose timeline is recorded (`timeline.Scouts`).
        """


class Seam:
    """The observers of one node.

    Parameters
    ----------
    ledger
        The first observer.

    Attributes
    ----------
    begins, ends, meets
        Their methods to be called, in that order.
    quiet
        Whether the ledger is the only observer; operations without charges then need no call, and the kind isn't set.
    """

    __slots__ = ("_observers", "begins", "ends", "meets", "quiet")

    def __init__(self, ledger: Observer) -> None:
        self._observers: list[Observer] = []
        self.attach(ledger)
        self.quiet = True

    def attach(self, observer: Observer) -> None:
        """Add an observer of all operations from now on, including those of objects created before."""
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
