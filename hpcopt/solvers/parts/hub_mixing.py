"""What the hubs at the top of a network do with their models: mix them on the graph, or average them; then step on."""

from __future__ import annotations

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.fabric.place import Place
from hpcopt.solvers.parts.gossip import Gossip


class HubMixing:
    """y^(d) = sum_j H_jd z^(j) over the neighbours of each hub.

    With inexact messages the hubs mix public copies of their models, as in CHOCO-Gossip, so that what one message loses
    is sent with later ones, and the mean is preserved all the same:

        copy <- copy + C(z - copy),   y = z + gamma (sum_j H_jd copy^(j) - copy)

    Parameters
    ----------
    compressor, gamma
        Of the messages, and the consensus step size: y = z + gamma (sum_j H_jd z^(j) - z) with exact ones.
    copy, surroundings
        Shape (d,), zero at first: this hub's public copy and the mixed copies of its neighbours; changed in place.

    Attributes
    ----------
    rounds
        Rounds that a mixing takes; the same on all nodes, also on those that are no hubs.
    """

    def __init__(
        self, node: Node, place: Place, compressor: Compressor, gamma: float, d: int, copy: Vector, surroundings: Vector
    ) -> None:
        network = place.network
        self.rounds = 0 if len(network.top) == 1 else 2 if compressor.size(d) is None else 1  # lengths travel first
        self._is_exact = isinstance(compressor, Identity)
        self._gamma = gamma
        self._copy = copy
        self._surroundings = surroundings
        self._links: Gossip | None = None
        if place.mixing is not None:
            self._links = Gossip(node, compressor, d, place.mixing, network.top, network.link_classes[-1])

    def __call__(self, z: Vector, step: int) -> Vector:
        """Return y^(d) of this hub, (d,), given z^(d); `step` keys the random numbers of compressed messages."""
        if self._links is None:
            return z
        if self._is_exact:
            mixed = self._links.send(z, step)[1]
            return mixed.copy() if self._gamma == 1.0 else z + self._gamma * (mixed - z)
        own, mixed = self._links.send(z - self._copy, step)
        self._copy += own
        self._surroundings += mixed
        return z + self._gamma * (self._surroundings - self._copy)


class HubMean:
    """y = sum_d b_d z^(d): the mean of all hubs at the top; `rounds` as in `HubMixing`."""

    def __init__(self, place: Place) -> None:
        self.rounds = 0 if len(place.network.top) == 1 else 1
        self._place = place

    def __call__(self, z: Vector, step: int) -> Vector:  # noqa: ARG002
        """Return the mean, (d,), given this hub's z^(d)."""
        hubs = self._place.hubs
        return z if hubs is None or hubs.size == 1 else hubs.sum(self._place.top_share * z)


class OuterStep:
    """The outer optimiser of a hub: gradient descent with Nesterov momentum on the step made since its last one.

        delta = y - mixed,   v <- mu v + delta,   y <- y - lr (delta + mu v)

    With mu = 0 and lr = 1 it returns `mixed`. Wang, Tantia, Ballas, Rabbat 2020 (SlowMo, arXiv 1910.00643); Douillard
    et al. 2023 (DiLoCo, arXiv 2311.08105), whose Nesterov form this is.

    Parameters
    ----------
    origin, velocity
        Shape (d,): y, the model of the last outer step, and v, zero at first; changed in place.
    step_size, momentum
        lr and mu.
    """

    def __init__(self, origin: Vector, velocity: Vector, step_size: float, momentum: float) -> None:
        self._origin = origin
        self._velocity = velocity
        self._step_size = step_size
        self._momentum = momentum

    def __call__(self, mixed: Vector) -> Vector:
        """Return the hub's next model, (d,), given the mixed one."""
        delta = self._origin - mixed
        self._velocity *= self._momentum
        self._velocity += delta
        self._origin -= self._step_size * (delta + self._momentum * self._velocity)
        return self._origin.copy()
