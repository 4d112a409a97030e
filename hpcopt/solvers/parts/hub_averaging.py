"""Averaging in a hub network: in a sub-network, up the levels above it, and over the graph of the top level.

With v_i the weight of node i in its group, b_d that of a group at the top, and H the hub matrix, H b = b:

    z^(d) = sum_i v_i x_i            in each group of a level: its first member, the hub, speaks for it
    y^(d) = sum_j H_jd z^(j)         at the top, between neighbours
    x_i   = y^(d)                    down again

Both leave u = sum_i a_i x_i as it is, with a_i the node's weight among all.
"""

from __future__ import annotations

from hpcopt.arrays import Vector
from hpcopt.fabric.place import Place
from hpcopt.solvers.parts.hub_mixing import HubMean, HubMixing, OuterStep


class HubAveraging:
    """The averages of one node.

    Parameters
    ----------
    place
        The node's place in the network.
    mixing
        What the hubs at the top do.
    outer
        What each of them does then with the mixed model; None: nothing.
    """

    def __init__(self, place: Place, mixing: HubMixing | HubMean, outer: OuterStep | None) -> None:
        self._place = place
        self._mixing = mixing
        self._outer = outer

    def mean(self, x: Vector, due: int, step: int) -> Vector:
        """Return the average of every node's `x`, shape (d,), up to the `due`-th level; the same within a group.

        Parameters
        ----------
        due
            1: within the sub-networks; the number of levels + 1: up to the top.
        step
            Keys the random numbers of compressed messages.
        """
        return self._mean(x, self._up_to(due), step, 0)

    def overlapping_mean(self, x: Vector, due: int, step: int, late: Vector) -> Vector:
        """Return the average of the sub-network's `x`, while what the levels above change comes a round later.

        The hub goes on alone with the levels above while its workers make their next steps, and adds what these changed
        to the next average. The mean of all is preserved, as the changes of all hubs cancel.

        Parameters
        ----------
        late
            Shape (d,), zero at first: on a hub, what its last exchange adds to the next average; changed in place.
        """
        place, due = self._place, self._up_to(due)
        group, weighted = place.groups[0], place.shares[0] * x
        if place.is_hub:
            weighted += late
            late[:] = 0.0
        y = group.sum(weighted, out=weighted)
        if due > 1 and place.is_hub:
            late[:] = self._mean(y, due, step, 1) - y
        elif due > 1:
            group.count_rounds(self._rounds(due) - 2)
        return y

    def _up_to(self, due: int) -> int:
        """Return the level that an average ends at: a single hub at the top has nobody to mix with."""
        place = self._place
        alone = self._outer is None and len(place.network.top) == 1
        return min(due, len(place.network.levels)) if alone else due

    def _rounds(self, due: int) -> int:
        """Return how many rounds one after another an average up to the `due`-th level takes."""
        levels = len(self._place.network.levels)
        return 2 * due - 1 if due <= levels else 2 * levels + self._mixing.rounds

    def _mean(self, x: Vector, due: int, step: int, level: int) -> Vector:
        """Return the average of the `x` of the members of each group of `level`, and of the levels above it."""
        place = self._place
        if level == len(place.network.levels):
            y = self._mixing(x, step)
            return y if self._outer is None else self._outer(y)
        group, weighted = place.groups[level], place.shares[level] * x
        if due == level + 1:
            return group.sum(weighted, out=weighted)
        z = group.reduce(weighted)
        y = x if z is None else self._mean(z, due, step, level + 1)
        if z is None:
            group.count_rounds(self._rounds(due) - 2 * (level + 1))
        return group.broadcast(y)
