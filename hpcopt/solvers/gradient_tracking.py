"""Gradient tracking: besides its model each node keeps y, which tracks the mean gradient over all nodes.

    DIGing                   x+ = W x - eta y,       y+ = W y + grad f(x+) - grad f(x),      y^0 = grad f(x^0)
    adapt, then combine      x+ = W (x - eta y),     y+ = W (y + grad f(x+) - grad f(x))

The mean of y always equals the mean gradient, so there is no floor on heterogeneous data. Two vectors per iteration to
each neighbour. Nedic, Olshevsky, Shi 2017, SIAM Journal on Optimization 27(4) (arXiv 1607.03218), Algorithm 1; the
second order: Xu, Zhu, Soh, Xie 2015, IEEE CDC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hpcopt.arrays import Vector
from hpcopt.checks import one_of
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.dgd import ORDERS
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize


@dataclass
class TrackingState(GossipState):
    """A node's model x (`w`), its gradient there, and the tracked mean gradient y."""

    y: Vector | None = None  # (d,)
    gradient: Vector | None = None  # (d,)


@register("gradient-tracking")
@dataclass(frozen=True, kw_only=True)
class GradientTracking(GossipSolver[TrackingState]):
    """Gradient tracking (DIGing): exact decentralised gradient descent, two uncompressed vectors per iteration.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L" with L the largest smoothness of a node's objective, or
        "auto": the least of 1/2, the spectral gap and (1 + the smallest eigenvalue of W)^2 / 4, over L.
    order
        Order of averaging and gradient step: "combine-then-adapt" (DIGing) or "adapt-then-combine".
    compressor
        For the vectors sent; the theory covers exact ones only.
    """

    needs = Needs(models="own", topology="graph", weights="doubly-stochastic", compressor="exact")
    paper = "Nedic, Olshevsky, Shi 2017, SIAM J. Optim. 27(4), arXiv 1607.03218"
    randomised = False

    step_size: StepSize = "auto"
    order: Literal["combine-then-adapt", "adapt-then-combine"] = "combine-then-adapt"
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        check_descent(self.step_size, 0)
        one_of(ORDERS, order=self.order)

    def init(self, node: Node, f: Oracle, w0: Vector) -> TrackingState:  # noqa: ARG002
        return TrackingState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: TrackingState) -> Iterator[TrackingState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, 0)
        smallest = gossip.mixing.smallest_eigenvalue if gossip.mixing.symmetric else 0.0
        factor = tracking_factor(smallest, gossip.mixing.gap)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, factor)
        if s.y is None or s.gradient is None:
            s.gradient = gradient(s.w, 0)
            s.y = s.gradient.copy()  # y^0 = grad f(x^0)
        while True:
            step = eta.sizes(s.steps, 1)[0]
            if self.order == "combine-then-adapt":
                s.w = gossip.send(s.w, s.steps)[1] - step * s.y
                g = gradient(s.w, s.steps)
                s.y = gossip.send(s.y, s.steps, Draw.SECOND_MESSAGE)[1] + g - s.gradient
            else:
                s.w = gossip.send(s.w - step * s.y, s.steps)[1].copy()
                g = gradient(s.w, s.steps)
                s.y = gossip.send(s.y + g - s.gradient, s.steps, Draw.SECOND_MESSAGE)[1].copy()
            s.gradient = g
            s.steps += 1
            yield s

    def exchanged(self, s: TrackingState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else 2 * s.steps * size


def tracking_factor(smallest: float, gap: float) -> float:
    """Return the default step size as a multiple of 1/L.

    Half of what is stable if all nodes have the same curvature L, (1 + lambda_min)^2 / 2 (from the 2 x 2 iteration
    matrix of each eigenvalue of W), and at most the spectral gap, since heterogeneous nodes on poorly connected graphs
    need smaller steps: measured, not proved.
    """
    return min(0.25 * (1.0 + smallest) ** 2, 0.5, gap)
