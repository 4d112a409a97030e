"""Proximal L-BFGS for any penalty: one round for each evaluation, few evaluations on badly scaled features.

    u = argmin over u of  g.(u - w) + (u - w)' B (u - w) / 2 + r(u),    p = u - w,    g the gradient of the loss    (1)
    w <- w + a p   with the first a in 1, a_1, a_2, ...:   f(w + a p) <= f(w) - c a p'Bp / 2                        (2)

B is L-BFGS's approximation of the Hessian of the loss, so that the steps adapt to curvature that first-order methods
only feel as a small step size. No node needs another one for (1): all have the same g and the same pairs, and minimise
it by themselves ([the two kinds of steps](parts/subproblem.py)). Lee, Sun and Saunders 2014, Proximal Newton-type
methods for minimizing composite functions (arXiv 1206.1623), Algorithm 1 and section 2.3.

    at the start   G |     one iteration   loss gradient + value | the same at further trials | ...

Ours:

1. B begins with G, the bound on the Hessian that `Metric` computes from the features: of models with up to `correlated`
   coordinates all of it, which makes the iterations nearly independent of the features' units and correlations;
   beyond, its diagonal. Vectors are in centred coordinates: an intercept absorbs the features' means.
2. For l1, l2 and the elastic net, (1) leaves out weights that are zero and need not change at w: their |g_j| is at most
   l1, and no pair in B moved them. Fixed and free sets like these are those of QUIC (Hsieh, Sustik, Dhillon, Ravikumar
   2014); with many features most of the work is saved.
3. (2) demands p'Bp / 2, which the model's decrease is at least, instead of the decrease: it has no roundoff of r.
4. a is that of a parabola through the values, within [a/10, a/2]. If no trial passes, B is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, within
from hpcopt.fabric.interface import Node
from hpcopt.problems.metric import EPS, Metric
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.line_search import ROUNDOFF
from hpcopt.solvers.parts.subproblem import QuasiHessian, Subproblem


@dataclass
class ProxLBFGSState(State):
    """The model, its value and loss gradient, the bound G, the stored pairs, and the number of evaluations."""

    gradient: Vector  # (d,); empty until the first evaluation
    value: float = np.nan
    metric: Metric | None = None
    steps: list[Vector] = field(default_factory=list)  # s_j, newest last, in centred coordinates
    changes: list[Vector] = field(default_factory=list)  # y_j, both divided by sqrt(s_j.y_j)
    evaluations: int = 0


@register("prox-lbfgs")
@dataclass(frozen=True, kw_only=True)
class ProxLBFGS(Solver[ProxLBFGSState]):
    """Proximal L-BFGS: quasi-Newton steps for any penalty; one round per evaluation.

    Parameters
    ----------
    memory
        Number of stored pairs.
    correlated
        Most coordinates of a model for which the features' correlations are computed: a matrix is then reduced once, at
        the start. Beyond, the features' mean squares.
    tolerance
        The subproblem of a step is solved until its own proximal steps are at most this fraction of the first one.
    decrease
        c, the required fraction of the predicted decrease.
    trials
        Maximum number of evaluations per line search.
    """

    needs = Needs(composite=True)
    paper = "Lee, Sun, Saunders 2014, arXiv 1206.1623"
    any_nodes = True

    memory: int = 20
    correlated: int = 1024
    tolerance: float = 0.1
    decrease: float = 1e-4
    trials: int = 40

    def __post_init__(self) -> None:
        at_least(1, memory=self.memory, trials=self.trials)
        at_least(0, correlated=self.correlated)
        within(0.0, 1.0, tolerance=self.tolerance, decrease=self.decrease)

    def init(self, node: Node, f: Oracle, w0: Vector) -> ProxLBFGSState:  # noqa: ARG002
        return ProxLBFGSState(w=w0.copy(), gradient=np.empty(0))

    def rounds(self, node: Node, f: Oracle, s: ProxLBFGSState) -> Iterator[ProxLBFGSState]:
        if s.metric is None:
            correlated = f.d if f.d <= self.correlated else 0
            s.metric = f.metric(lambda v: node.world.mean(v, weight=f.share), correlated=correlated, loss_only=True)
        if not s.evaluations:
            s.value, s.gradient = self._evaluate(node, f, s, s.w)
        while True:
            moved = self._step(node, f, s, s.metric)
            if not moved and s.steps:
                s.steps, s.changes = [], []
                moved = self._step(node, f, s, s.metric)
            if not moved:  # f cannot be lowered in float64
                return
            yield s

    def _evaluate(self, node: Node, f: Oracle, s: ProxLBFGSState, w: Vector) -> tuple[float, Vector]:
        here = f.at(w)
        message = node.world.mean(np.append(here.loss_gradient, here.value), weight=f.share)
        s.evaluations += 1
        return float(message[-1]), message[:-1]

    def _step(self, node: Node, f: Oracle, s: ProxLBFGSState, metric: Metric) -> bool:
        """Make a step; return whether there is one."""
        slope = metric.centred(s.gradient)
        chosen = _chosen(f, s, slope)
        if not chosen.size:
            return False
        inside = int(np.searchsorted(chosen, f.penalised))
        hessian = QuasiHessian(metric, s.steps, s.changes, chosen)
        subproblem = Subproblem(hessian, slope[chosen], s.w[chosen], f.penalty, inside)
        u, curvature = subproblem.minimise(self.tolerance)  # (1)
        p = np.zeros(f.d)
        p[chosen] = u - s.w[chosen]
        after = s.w + metric.displacement(p)
        after[chosen[:inside]] = u[:inside]  # zeros are exact
        if not curvature > 0.0 or np.array_equal(after, s.w):
            return False
        return self._search(node, f, s, metric, p, after, 0.5 * curvature)

    def _search(
        self, node: Node, f: Oracle, s: ProxLBFGSState, metric: Metric, p: Vector, after: Vector, demand: float
    ) -> bool:
        """Move by the first a p that meets (2), `after` being the result of a = 1; return whether there is one."""
        move, size = after - s.w, 1.0
        for _ in range(self.trials):
            w = s.w + size * move if size < 1.0 else after
            value, gradient = self._evaluate(node, f, s, w)
            if value <= s.value - self.decrease * size * demand + ROUNDOFF * abs(s.value):
                self._remember(s, metric, size * p, metric.centred(gradient - s.gradient))
                s.w, s.value, s.gradient = w, value, gradient
                return True
            best = size * demand / (2.0 * (value - s.value + size * demand))
            size *= min(max(best, 0.1), 0.5) if np.isfinite(best) else 0.1
        return False

    def _remember(self, s: ProxLBFGSState, metric: Metric, step: Vector, change: Vector) -> None:
        product = float(step @ change)
        lengths = float(step @ metric.times(step)) * metric.square(change)
        if not product > EPS * np.sqrt(lengths):  # roundoff, or no convexity
            return
        s.steps.append(step / np.sqrt(product))
        s.changes.append(change / np.sqrt(product))
        if len(s.steps) > self.memory:
            del s.steps[0], s.changes[0]

    def doubles(self, s: ProxLBFGSState, d: int) -> int:
        return s.evaluations * (d + 1) + (0 if s.metric is None else s.metric.doubles)


def _chosen(f: Oracle, s: ProxLBFGSState, slope: Vector) -> NDArray[np.int64]:
    """Return the coordinates that the next step may change."""
    shrinkage, penalised = f.penalty.shrinkage, f.penalised
    if shrinkage is None:
        return np.arange(f.d)
    free = (s.w != 0.0) | (np.abs(slope) > shrinkage)
    free[penalised:] = True
    for step in s.steps:
        free |= step != 0.0
    return np.flatnonzero(free)
