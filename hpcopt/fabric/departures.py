"""Nodes that leave a run or die, and those that remain and go on without them.

Where the conditions of a run say that it survives, an operation that cannot end because another node is gone raises
`NodesLost` on each of the others, whatever it waits in. The cluster then makes a smaller one of the nodes that remain
(`Cluster.without`), with ranks of its own; `Remaining` says which nodes these were at the start.
"""

from __future__ import annotations

from dataclasses import dataclass


class NodesLost(Exception):  # noqa: N818  (an event, and no error of anybody's)
    """Other nodes have left or died, so that the operation in which this node was cannot end."""


@dataclass(frozen=True)
class Remaining:
    """The nodes that remain of those at the start of a run.

    Parameters
    ----------
    nodes
        The rank that each node had at the start, ascending.
    of
        Number of nodes at the start.
    """

    nodes: tuple[int, ...]
    of: int

    @property
    def lost(self) -> tuple[int, ...]:
        """The nodes that have left, by their ranks at the start, ascending."""
        return tuple(sorted(set(range(self.of)).difference(self.nodes)))
