"""Compressed gradient tracking: BEER and C-GT. Model and tracked gradient are both sent as compressed differences.

    BEER (columns are nodes; H and G are public copies of X and V)
        X+ = X + gamma H (W - I) - eta V                      H+ = H + C(X+ - H)
        V+ = V + gamma G (W - I) + grad F(X+) - grad F(X)     G+ = G + C(V+ - G)          V^0 = grad F(X^0), H = G = 0

There is no floor on heterogeneous data, whatever the compressor. Zhao, Li, Li, Richtarik, Chi 2022 (arXiv 2201.13320),
Algorithm 1. `form = "c-gt"`: DIGing with x sent as x^ = h + C(x - h), h += alpha C(x - h), and y likewise; Liao, Li,
Huang, Pu 2022 (arXiv 2105.01813). In both a node keeps H W instead of its neighbours' copies, which is equivalent.

Beyond the papers, off by default: `gossip_steps` = Q > 1 mixes each of X and V by Q compressed gossip steps a gradient
step, as DeLi-CoCo does with X alone. The mean of V is the mean gradient after every one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of, within
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.gradient_tracking import tracking_factor
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.consensus_step import Gamma, check_gamma, resolve_gamma
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize


@dataclass
class Copies:
    """A public copy and the weighted sum of the neighbours' copies: h, and sum_j w_ij h_j."""

    own: Vector  # (d,)
    mixed: Vector  # (d,)


@dataclass(kw_only=True)
class CompressedTrackingState(GossipState):
    """A node's model x (`w`), its gradient there, the tracked mean gradient v, and the copies of both."""

    h: Copies
    g: Copies
    v: Vector | None = None  # (d,)
    gradient: Vector | None = None  # (d,)


@register("compressed-gradient-tracking")
@dataclass(frozen=True, kw_only=True)
class CompressedGradientTracking(GossipSolver[CompressedTrackingState]):
    """Compressed gradient tracking (BEER, C-GT): exact on heterogeneous data, two compressed messages per iteration.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L", or "auto": as in `gradient-tracking`, with
        (1 - gamma) I + gamma W for W.
    gamma
        Consensus step size in (0, 1]; "auto": half of the value found by a short trial of gossip alone; "theory":
        that of CHOCO-Gossip.
    compressor
        C, for both messages; contractive.
    form
        The algorithm: "beer" or "c-gt".
    alpha
        For "c-gt": the step size with which the copies follow the messages, in (0, 1].
    gossip_steps
        For "beer": compressed messages of each vector to each neighbour per iteration.
    """

    needs = Needs(models="own", topology="graph", weights="symmetric", fixed_graph=True, compressor="contractive")
    paper = "Zhao, Li, Li, Richtarik, Chi 2022, arXiv 2201.13320; Liao, Li, Huang, Pu 2022, arXiv 2105.01813"
    randomised = True

    step_size: StepSize = "auto"
    gamma: Gamma = "auto"
    compressor: Compressor = Identity()
    form: Literal["beer", "c-gt"] = "beer"
    alpha: float = 1.0
    gossip_steps: int = 1

    def __post_init__(self) -> None:
        check_descent(self.step_size, 0)
        check_gamma(self.gamma)
        one_of(("beer", "c-gt"), form=self.form)
        at_least(1, gossip_steps=self.gossip_steps)
        within(0, 1, including="high", alpha=self.alpha)
        if self.form == "beer" and self.alpha != 1.0:
            raise InputError('alpha: only used with form = "c-gt"; form is "beer"')
        if self.form == "c-gt" and self.gossip_steps != 1:
            raise InputError('gossip_steps: more than one requires form = "beer"; form is "c-gt"')

    def init(self, node: Node, f: Oracle, w0: Vector) -> CompressedTrackingState:  # noqa: ARG002
        h, g = (Copies(np.zeros_like(w0), np.zeros_like(w0)) for _ in range(2))
        return CompressedTrackingState(w=w0.copy(), h=h, g=g)

    def rounds(self, node: Node, f: Oracle, s: CompressedTrackingState) -> Iterator[CompressedTrackingState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, 0)
        gamma = s.gamma = s.gamma or self._gamma(node, gossip, f.d, s)
        smallest = gossip.mixing.smallest_eigenvalue if gossip.mixing.symmetric else 0.0
        factor = tracking_factor(
            1.0 - gamma * (1.0 - smallest), gamma * gossip.mixing.gap
        )  # of (1 - gamma) I + gamma W
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, factor)
        step = self._beer if self.form == "beer" else self._cgt
        if s.v is None or s.gradient is None:
            s.gradient = gradient(s.w, 0)
            s.v = s.gradient.copy()  # V^0 = grad F(X^0)
        while True:
            s.w = step(gossip, s.w, s.h, gamma, -eta.sizes(s.steps, 1)[0] * s.v, Draw.MESSAGE, s.steps)
            before, s.gradient = s.gradient, gradient(s.w, s.steps)
            s.v = step(gossip, s.v, s.g, gamma, s.gradient - before, Draw.SECOND_MESSAGE, s.steps)
            s.steps += 1
            yield s

    def _gamma(self, node: Node, gossip: Gossip, d: int, s: CompressedTrackingState) -> float:
        """Return half of the gamma for gossip with the new copies, since x moves by the previous step's copies."""
        gamma = resolve_gamma(self.gamma, node, gossip, self.compressor, d, s)
        lossless = self.compressor.contraction(d) == 1.0
        return gamma / 2.0 if self.gamma == "auto" and not lossless else gamma

    def _beer(self, gossip: Gossip, x: Vector, h: Copies, gamma: float, change: Vector, what: int, t: int) -> Vector:
        """Return X + gamma H (W - I) + change and update the copies; then make Q - 1 further gossip steps."""
        for q in range(self.gossip_steps):
            x = x + gamma * (h.mixed - h.own)
            if q == 0:
                x += change
            D, DW = gossip.send(x - h.own, t * self.gossip_steps + q, what)
            h.own += D
            h.mixed += DW
        return x

    def _cgt(self, gossip: Gossip, x: Vector, h: Copies, gamma: float, change: Vector, what: int, t: int) -> Vector:
        """Return x - gamma (I - W) x^ + change with x^ = h + C(x - h), and let h follow by alpha C(x - h)."""
        D, DW = gossip.send(x - h.own, t, what)
        after = x - gamma * ((h.own + D) - (h.mixed + DW)) + change
        h.own += self.alpha * D
        h.mixed += self.alpha * DW
        return after

    def exchanged(self, s: CompressedTrackingState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else (2 * s.steps * self.gossip_steps + s.probed) * size
