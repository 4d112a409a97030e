"""How the nodes of an asynchronous run end together: a word on every node in which the others count notices."""

from __future__ import annotations

import numpy as np

from hpcopt.fabric.interface import Node
from hpcopt.results.stopping import StopRule

STOP = 2**32  # nodes that have ended, notices of the end, and requests to pause are counted in parts of one word
PAUSE = 2**48


class Notices:
    """A node's word; created by all nodes together.

    Parameters
    ----------
    stop
        Its budgets are checked by each node itself.
    """

    def __init__(self, node: Node, stop: StopRule) -> None:
        self._node = node
        self._stop = stop
        self._window = node.window(1, "monitoring", by_edge=False)

    def tell_if_over(self, iteration: int) -> None:
        """Notify all nodes of the end of the run if this node, at `iteration`, knows it and none has notified it."""
        if (self._node.stopping or self.is_spent(iteration)) and not self.heard():
            self._add(STOP)

    def is_spent(self, iteration: int) -> bool:
        """Return whether this node has used up a budget."""
        node = self._node
        used = {"round": node.ledger.solver.rounds, "iteration": iteration, "seconds": node.now()}
        return self._stop.spent(used) is not None

    def pause(self) -> None:
        """Ask all nodes to stop for a checkpoint, unless they stop anyway."""
        if not self.heard():
            self._add(PAUSE)

    def heard(self) -> bool:
        """Return whether a notice has arrived: this node is to stop, for good or for a checkpoint."""
        return self._read() >= STOP

    def is_over(self) -> bool:
        """Return whether a notice of the end has arrived."""
        return self._read() % PAUSE >= STOP

    def rest(self, seconds: float) -> None:
        """Rest for `seconds`, or until a notice arrives."""
        node = self._node
        if self._stop.seconds is not None:
            seconds = min(seconds, self._stop.seconds - node.now())
        if self.heard() or node.stopping:
            return
        if node.size == 1:
            node.idle(seconds)
            return
        timeline, node.timeline = node.timeline, None  # a pause is not waiting for others
        self._window.wait(0, lambda word: word >= STOP or node.stopping, seconds)
        node.timeline = timeline

    def wait(self) -> None:
        """Report that this node has ended, and wait for a notice or until all nodes have ended."""
        if self.heard():
            return
        self._add(1)
        with self._node.monitoring():
            self._window.wait(0, lambda word: word >= STOP or word == self._node.size)

    def _read(self) -> int:
        return self._window.fetch_and_op(0, self._node.rank, 0, "no-op")

    def _add(self, value: int) -> None:
        added = np.full(1, value, dtype=np.int64)
        with self._node.monitoring():
            for rank in range(self._node.size):
                self._window.accumulate(added, rank)
            for rank in range(self._node.size):
                self._window.flush(rank)
