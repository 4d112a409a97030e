"""Slow links between ranks: real delays, of as much as a slow link adds in the model of the network.

Over a link that is `factor` times as slow, m bytes take (factor - 1) m / bandwidth seconds longer than over the others.
That is added to what the machine itself takes, and somebody waits for it: whoever asked for a one-sided operation, in
its flush; a neighbour, for the messages of its slow sources; the members of a group, as along a binomial tree. What is
put in a mailbox leaves it so much later, and its sender goes on. Measuring is never slowed.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache

from mpi4py import MPI

from hpcopt.arrays import Array, Bytes
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mpi.group import MPIGroup
from hpcopt.fabric.mpi.mailbox import MPIMailbox
from hpcopt.fabric.mpi.neighbourhood import MPINeighbourhood
from hpcopt.fabric.network import Network
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.window import Eights, Window
from hpcopt.fabric.wrapped import WrappedWindow


class SlowLinks:
    """What slow links cost one node.

    Parameters
    ----------
    rank
        The node.
    heterogeneity
        Which links are slow.
    bandwidth
        Bytes a second on a link that is not.
    wait
        Lets so many seconds pass on the node's clock, unless it is measured.
    """

    def __init__(
        self, rank: int, heterogeneity: Heterogeneity, bandwidth: float, wait: Callable[[float], None]
    ) -> None:
        self.rank = rank
        self.wait = wait
        self.tree = lru_cache(maxsize=64)(self._along_tree)  # sizes may vary from round to round
        """`tree(ranks, up, down)`: seconds that this node is longer in a collective, `up` bytes going to the first of
        `ranks` and `down` bytes coming from it."""
        self._even = Network(0.0, bandwidth)
        self._uneven = self._even.idle(heterogeneity)
        self._factor = cache(heterogeneity.link_factor)

    def is_slow(self, other: int) -> bool:
        """Tell whether the link between this node and another is slow."""
        return other != self.rank and self._factor(self.rank, other) > 1.0

    def seconds(self, other: int, size: int) -> float:
        """Return how much longer `size` bytes take between this node and another."""
        if not self.is_slow(other):
            return 0.0
        return (self._factor(self.rank, other) - 1.0) * size / self._even.bandwidth

    def _along_tree(self, ranks: tuple[int, ...], up: int, down: int) -> float:
        def end(network: Network) -> float:
            idle = replace(network)
            times = idle.up(ranks, [0.0] * len(ranks), up)
            if down:  # else nobody waits for those above
                times = idle.down(ranks, times, down)
            return times[ranks.index(self.rank)]

        return end(self._uneven) - end(self._even)


class SlowGroup(MPIGroup):
    """A communicator over slow links."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        ledger: Ledger,
        links: SlowLinks,
        ranks: Sequence[int],
        *,
        ordered: bool,
        progress: Progress,
    ) -> None:
        super().__init__(comm, ledger, ordered=ordered, progress=progress)
        self._links = links
        self._ranks = tuple(ranks)

    def _book(self, up: int, down: int, root: int = 0) -> None:
        super()._book(up, down, root)
        ranks = self._ranks
        self._links.wait(self._links.tree((ranks[root], *ranks[:root], *ranks[root + 1 :]), up, down))

    def alltoall(self, parts: Sequence[Array]) -> list[Array]:
        received = super().alltoall(parts)
        links = self._links
        links.wait(max(links.seconds(rank, x.nbytes) for rank, x in zip(self._ranks, received, strict=True)))
        return received


class SlowNeighbourhood(MPINeighbourhood):
    """A rank's links, some of them slow."""

    def __init__(
        self, comm: MPI.Intracomm, sources: Sequence[int], targets: Sequence[int], ledger: Ledger, links: SlowLinks
    ) -> None:
        super().__init__(comm, sources, targets, ledger)
        self._links = links

    def exchange(self, message: Bytes) -> list[Bytes]:
        return self._late(super().exchange(message))

    def exchange_varying(self, message: Bytes) -> list[Bytes]:
        return self._late(super().exchange_varying(message))

    def _late(self, received: list[Bytes]) -> list[Bytes]:
        came = (self._links.seconds(source, x.nbytes) for source, x in zip(self.sources, received, strict=True))
        self._links.wait(max(came, default=0.0))
        return received


class SlowWindow(WrappedWindow):
    """A window over slow links: what goes to or comes from a rank takes its time in the flush of that rank."""

    def __init__(self, window: Window, links: SlowLinks) -> None:
        super().__init__(window)
        self._links = links
        self._owed: defaultdict[int, int] = defaultdict(int)  # target -> bytes since the last flush

    def put(self, x: Eights, target: int, at: int = 0) -> None:
        self._owed[target] += x.nbytes
        super().put(x, target, at)

    def get(self, target: int, at: int, out: Eights) -> None:
        self._owed[target] += out.nbytes
        super().get(target, at, out)

    def accumulate(self, x: Eights, target: int, at: int = 0) -> None:
        self._owed[target] += x.nbytes
        super().accumulate(x, target, at)

    def flush(self, target: int) -> None:
        super().flush(target)
        self._links.wait(self._links.seconds(target, self._owed.pop(target, 0)))


class SlowMailbox(MPIMailbox):
    """A rank's box, whose messages over slow links leave late, one after another on each link."""

    def __init__(self, comm: MPI.Intracomm, ledger: Ledger, progress: Progress, links: SlowLinks) -> None:
        self._links = links
        self._late: deque[tuple[float, int, Bytes]] = deque()  # (when it leaves, to whom, what)
        self._free: defaultdict[int, float] = defaultdict(float)  # target -> when its link is
        super().__init__(comm, ledger, progress)

    def _leave(self, target: int, message: Bytes) -> None:
        if not self._links.is_slow(target):
            super()._leave(target, message)
            return
        seconds = self._links.seconds(target, message.nbytes)
        due = self._free[target] = max(time.perf_counter(), self._free[target]) + seconds
        self._late.append((due, target, message))

    def _under_way(self) -> int:
        return len(self._late) + super()._under_way()

    def _move(self) -> None:
        now = time.perf_counter()
        for _ in range(len(self._late)):
            due, target, message = self._late.popleft()
            if due <= now:
                super()._leave(target, message)
            else:
                self._late.append((due, target, message))
        super()._move()
