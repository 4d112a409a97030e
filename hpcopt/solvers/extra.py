"""EXTRA: DGD with a correction from the previous step that removes its floor.

    x^1     = W x^0 - alpha grad f(x^0)
    x^{k+2} = (I + W) x^{k+1} - W~ x^k - alpha (grad f(x^{k+1}) - grad f(x^k)),    W~ = (I + W) / 2

One exchange of one vector per iteration: W x^{k+1} is kept for the next. Shi, Ling, Wu, Yin 2015, SIAM Journal on
Optimization 25(2) (arXiv 1404.6264), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import Schedule, StepSize


@dataclass
class ExtraState(GossipState):
    """A node's model x^{k+1} (`w`), and the previous iterate x^k with W x^k and its gradient."""

    before: Vector | None = None  # (d,)
    mixed: Vector | None = None  # (d,)
    gradient: Vector | None = None  # (d,)


@register("extra")
@dataclass(frozen=True, kw_only=True)
class Extra(GossipSolver[ExtraState]):
    """EXTRA: exact decentralised gradient descent with a constant step size, uncompressed.

    Parameters
    ----------
    step_size
        alpha: a number, "c/L" with L the largest smoothness of a node's objective, or "auto": the smallest eigenvalue
        of (I + W) / 2 over L, half of what the theory allows.
    compressor
        For the models sent; the theory covers exact ones only.
    """

    needs = Needs(models="own", topology="graph", weights="symmetric", fixed_graph=True, compressor="exact")
    paper = "Shi, Ling, Wu, Yin 2015, SIAM J. Optim. 25(2), arXiv 1404.6264"
    randomised = False

    step_size: StepSize = "auto"
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        check_descent(self.step_size, 0)
        if isinstance(self.step_size, Schedule):
            raise InputError("step_size: EXTRA requires a constant step size; got a table { initial, decay, power }")

    def init(self, node: Node, f: Oracle, w0: Vector) -> ExtraState:  # noqa: ARG002
        return ExtraState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: ExtraState) -> Iterator[ExtraState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, 0)
        smallest = gossip.mixing.smallest_eigenvalue if gossip.mixing.symmetric else 0.0
        alpha = s.schedule = s.schedule or gradient.schedule(self.step_size, s, 0.5 * (1.0 + smallest))
        while True:
            x, g = s.w, gradient(s.w, s.steps)
            Wx = gossip.send(x, s.steps)[1].copy()
            step = alpha.sizes(s.steps, 1)[0]
            if s.before is None or s.mixed is None or s.gradient is None:
                s.w = Wx - step * g
            else:
                s.w = x + Wx - 0.5 * (s.before + s.mixed) - step * (g - s.gradient)
            s.before, s.mixed, s.gradient = x, Wx, g
            s.steps += 1
            yield s

    def exchanged(self, s: ExtraState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else s.steps * size
