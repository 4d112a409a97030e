"""Decentralised gradient descent (DGD): average with the neighbours, and step along the node's own gradient.

    combine, then adapt      x_i <- sum_j w_ij x_j - eta grad f_i(x_i)
    adapt, then combine      x_i <- sum_j w_ij (x_j - eta grad f_j(x_j))

With Q gossip steps W^Q stands for W. Nedic and Ozdaglar 2009, IEEE Transactions on Automatic Control 54(1); Yuan, Ling,
Yin 2016, SIAM Journal on Optimization 26(3). With minibatches it is D-PSGD: Lian et al. 2017 (arXiv 1705.09056).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize
from hpcopt.topology.mixing import Mixing

ORDERS = ("combine-then-adapt", "adapt-then-combine")


@register("dgd")
@dataclass(frozen=True, kw_only=True)
class DGD(GossipSolver[GossipState]):
    """DGD: decentralised gradient descent, uncompressed, with one or more gossip steps per gradient step.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L" with L the largest smoothness of a node's objective, or
        "auto": 1/L, at most (1 + the smallest eigenvalue of W^Q) / L, on directed graphs 2 min w_ii^Q / L.
    gossip_steps
        Q: the weights are W^Q.
    order
        Order of averaging and gradient step: "combine-then-adapt" or "adapt-then-combine".
    batch
        Rows of each shard per gradient; 0 = all.
    compressor
        For the models sent; the theory covers exact ones only.
    """

    needs = Needs(models="own", topology="graph", weights="doubly-stochastic", compressor="exact")
    paper = "Nedic and Ozdaglar 2009, IEEE TAC 54(1); Yuan, Ling, Yin 2016, SIAM J. Optim. 26(3)"
    floor = "constant step size: gap proportional to eta^2, where gradient and consensus terms balance"

    step_size: StepSize = "auto"
    gossip_steps: int = 1
    order: Literal["combine-then-adapt", "adapt-then-combine"] = "combine-then-adapt"
    batch: int = 0
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)
        at_least(1, gossip_steps=self.gossip_steps)
        one_of(ORDERS, order=self.order)

    def init(self, node: Node, f: Oracle, w0: Vector) -> GossipState:  # noqa: ARG002
        return GossipState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: GossipState) -> Iterator[GossipState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, self.batch)
        combines_first = self.order == "combine-then-adapt"
        factor = stable_factor(gossip.mixing, self.gossip_steps) if combines_first else 1.0
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, factor)
        while True:
            step = eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)
            if combines_first:
                s.w = self._mixed(gossip, s.w, s.steps) - step
            else:
                s.w = self._mixed(gossip, s.w - step, s.steps)
            s.steps += 1
            yield s

    def _mixed(self, gossip: Gossip, x: Vector, t: int) -> Vector:
        """Return sum_j (W^Q)_ij x_j."""
        for q in range(self.gossip_steps):
            x = gossip.send(x, t * self.gossip_steps + q)[1].copy()
        return x

    def exchanged(self, s: GossipState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else s.steps * self.gossip_steps * size


def stable_factor(mixing: Mixing, gossip_steps: int = 1) -> float:
    """Return the multiple of 1/L, at most 1, at which combine-then-adapt is stable: eta < (1 + lambda_min(W^Q)) / L.

    If W is not symmetric, eta < 2 min_i w_ii^Q / L, as its eigenvalues lie in Gershgorin's discs around the w_ii.
    """
    if not mixing.symmetric:
        own = min(float(matrix.diagonal().min()) for matrix in mixing.matrices)
        return min(1.0, 0.99 * 2.0 * own**gossip_steps)
    smallest = mixing.smallest_eigenvalue
    return 0.99 * (1.0 - abs(smallest) ** gossip_steps) if smallest < 0.0 and gossip_steps % 2 else 1.0


@register("d-psgd")
@dataclass(frozen=True, kw_only=True)
class DPSGD(DGD):
    """D-PSGD: decentralised parallel SGD; DGD with minibatches and one gossip step per batch.

    Parameters
    ----------
    gossip_steps
        Always 1.
    batch
        Rows of each shard per gradient; 0 = all.

    See `dgd` for the others.
    """

    paper = "Lian, Zhang, Zhang, Hsieh, Zhang, Liu 2017, arXiv 1705.09056"

    gossip_steps: Literal[1] = 1
    batch: int = 32
