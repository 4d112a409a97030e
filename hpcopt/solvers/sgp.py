"""SGP, stochastic gradient push: decentralised SGD by push-sum, synchronous, on directed and undirected graphs.

    node i    x_i <- x_i - eta grad f_i(z_i; xi)                       adapt,
              send (x_i, y_i) / (1 + out_i) to the out_i targets       push,
              (x_i, y_i) <- own part + all parts received              y_i = 1 initially
              z_i = x_i / y_i                                          the model

The sender chooses the parts (columns sum to one), so neighbours need no common weights, and edges may be directed and
change from step to step: "one-peer-exponential" is the paper's graph. Of the cluster's topology only the edges are
used, not the mixing weights. On an undirected regular graph y stays 1 and this is D-PSGD in the order
adapt-then-combine.

Assran, Loizou, Ballas, Rabbat: "Stochastic gradient push for distributed deep learning", ICML 2019 (arXiv 1811.10792),
Algorithm 1. Its overlap of communication and computation (Algorithm 2) is not implemented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.gossip import GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.push_sum import mass_of, model_of, packed, smallest_weight, unpacked
from hpcopt.solvers.parts.step_size import StepSize


@dataclass
class SGPState(GossipState):
    """A node's model z = x / y, and its mass."""

    mass: Vector = field(default_factory=lambda: np.empty(0))  # (d + 1,): x, y


@register("sgp")
@dataclass(frozen=True, kw_only=True)
class SGP(GossipSolver[SGPState]):
    """SGP: stochastic gradient push, that is synchronous push-sum SGD, on directed and time-varying graphs.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L" with L the largest smoothness of a node's objective, or
        "auto": y/L with y the smallest push-sum weight of any node, at most 1.
    batch
        Rows of each shard per gradient; 0 = all.
    """

    needs = Needs(models="own", topology="graph")
    paper = "Assran, Loizou, Ballas, Rabbat 2019, ICML, arXiv 1811.10792"
    floor = "constant step size: error grows with the step size, the gradient noise and the data heterogeneity"

    step_size: StepSize = "auto"
    batch: int = 32

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)

    def init(self, node: Node, f: Oracle, w0: Vector) -> SGPState:  # noqa: ARG002
        return SGPState(w=w0.copy(), mass=mass_of(w0))

    def rounds(self, node: Node, f: Oracle, s: SGPState) -> Iterator[SGPState]:
        mixing = node.mixing
        assert mixing is not None, "a decentralised solver requires a topology"
        rows = [mixing.row(node.rank, step) for step in range(mixing.period)]
        links = [node.neighbourhood(row.sources, row.targets) for row in rows]
        gradient = LocalGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, smallest_weight(mixing))
        while True:
            link = links[s.steps % len(links)]
            s.mass[:-1] -= eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)
            part = s.mass / (1 + len(link.targets))
            parts = {source: unpacked(m) for source, m in zip(link.sources, link.exchange(packed(part)), strict=True)}
            parts[node.rank] = part
            s.mass = np.add.reduce([parts[rank] for rank in sorted(parts)])  # bitwise equal on any cluster
            s.w = model_of(s.mass)
            s.steps += 1
            yield s

    def exchanged(self, s: SGPState, d: int) -> int:
        return 8 * (d + 1) * s.steps
