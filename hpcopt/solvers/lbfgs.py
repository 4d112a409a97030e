"""L-BFGS with a distributed gradient: one round for each evaluation, including those of the line search.

The first method a practitioner tries, and the strongest first-order baseline. Liu and Nocedal 1989; the weak Wolfe
conditions are met by bisection (Lewis and Overton 2013, Algorithm 2.6), which needs no interpolation and cannot
stall between two trial points. Value and gradient are reduced together: d + 1 doubles per round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of, within
from hpcopt.fabric.interface import Node
from hpcopt.problems.metric import Metric
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.parts.line_search import ROUNDOFF

FIRST_TRIALS = 200  # the scale of the first step is unknown: down to 2^-200


@dataclass
class LBFGSState(State):
    """The model, its value and gradient, the preconditioner, the stored pairs, and counters of what was sent."""

    gradient: Vector  # (d,); empty until the first evaluation
    value: float = np.nan
    metric: Metric | None = None
    steps: list[Vector] = field(default_factory=list)  # s_j = w_{j+1} - w_j, newest last
    changes: list[Vector] = field(default_factory=list)  # y_j = g_{j+1} - g_j
    evaluations: int = 0


@register("lbfgs")
@dataclass(frozen=True, kw_only=True)
class LBFGS(Solver[LBFGSState]):
    """L-BFGS on the exact distributed gradient; one round per evaluation.

    Parameters
    ----------
    memory
        Number of stored pairs.
    decrease
        Weak Wolfe, sufficient decrease: the required fraction of the predicted decrease.
    curvature
        Weak Wolfe, curvature: the fraction of the initial slope that may remain.
    trials
        Maximum number of evaluations per line search, after the first one.
    preconditioner
        The initial inverse Hessian: "none": a multiple of the identity; "columns": a multiple of the features' inverse
        variances, at the cost of one pass over the data and one or two rounds at the start; the iterates then do not
        depend on the features' units.
    """

    paper = "Liu and Nocedal 1989; Lewis and Overton 2013 (line search)"
    any_nodes = True
    fit_defaults = {"preconditioner": "columns"}  # noqa: RUF012

    memory: int = 10
    decrease: float = 1e-4
    curvature: float = 0.9
    trials: int = 30
    preconditioner: Literal["none", "columns"] = "none"

    def __post_init__(self) -> None:
        at_least(1, memory=self.memory, trials=self.trials)
        within(0.0, 1.0, decrease=self.decrease, curvature=self.curvature)
        one_of(("none", "columns"), preconditioner=self.preconditioner)

    def init(self, node: Node, f: Oracle, w0: Vector) -> LBFGSState:  # noqa: ARG002
        return LBFGSState(w=w0.copy(), gradient=np.empty(0))

    def rounds(self, node: Node, f: Oracle, s: LBFGSState) -> Iterator[LBFGSState]:
        if self.preconditioner == "columns" and s.metric is None:
            s.metric = f.metric(lambda v: node.world.mean(v, weight=f.share))
        if not s.evaluations:
            s.value, s.gradient = self._evaluate(node, f, s, s.w)
        while True:
            g = s.gradient
            if not g.any():
                return
            p = two_loop(g, s.steps, s.changes, _unchanged if s.metric is None else s.metric.solve)  # p = H_j g
            step = 1.0
            if not s.steps and s.metric is None:
                step = min(1.0, 1.0 / max(float(np.linalg.norm(g)), np.finfo(float).tiny))
            found = self._search(node, f, s, p, step)
            if found is None:  # f cannot be lowered in float64
                return
            w, value, gradient = found
            self._remember(s, w - s.w, gradient - g)
            s.w, s.value, s.gradient = w, value, gradient
            yield s

    def _evaluate(self, node: Node, f: Oracle, s: LBFGSState, w: Vector) -> tuple[float, Vector]:
        here = f.at(w)
        message = node.world.mean(np.append(here.gradient, here.value), weight=f.share)
        s.evaluations += 1
        return float(message[-1]), message[:-1]

    def _search(
        self, node: Node, f: Oracle, s: LBFGSState, p: Vector, step: float
    ) -> tuple[Vector, float, Vector] | None:
        """Return the first trial along -p that meets the weak Wolfe conditions, by bisection."""
        slope = float(p @ s.gradient)
        low, high = 0.0, np.inf
        for _ in range(self.trials if s.steps else max(self.trials, FIRST_TRIALS)):
            w = s.w - step * p
            value, gradient = self._evaluate(node, f, s, w)
            if not value <= s.value - self.decrease * step * slope + ROUNDOFF * abs(s.value):
                high = step
            elif float(p @ gradient) > self.curvature * slope:
                low = step
            else:
                return w, value, gradient
            step = 2.0 * low if np.isinf(high) else 0.5 * (low + high)
        return None

    def _remember(self, s: LBFGSState, step: Vector, change: Vector) -> None:
        if not float(step @ change) > 0.0:  # roundoff near the optimum: H would lose positive definiteness
            return
        s.steps.append(step)
        s.changes.append(change)
        if len(s.steps) > self.memory:
            del s.steps[0], s.changes[0]

    def doubles(self, s: LBFGSState, d: int) -> int:
        return s.evaluations * (d + 1) + (0 if s.metric is None else s.metric.doubles)


def _unchanged(v: Vector) -> Vector:
    return v


def two_loop(
    g: Vector, steps: list[Vector], changes: list[Vector], precondition: Callable[[Vector], Vector] = _unchanged
) -> Vector:
    """Return H g for the inverse Hessian approximation H of the pairs (Nocedal and Wright, Algorithm 7.4).

    The initial matrix is a multiple of the preconditioner `precondition`, scaled so that the lengths of the last step
    and the last change agree.
    """
    q = g.copy()
    weights = []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1.0 / float(step @ change)
        weights.append(rho * float(step @ q))
        q -= weights[-1] * change
    q = precondition(q)
    if steps:
        q *= float(steps[-1] @ changes[-1]) / float(changes[-1] @ precondition(changes[-1]))
    for step, change, weight in zip(steps, changes, reversed(weights), strict=True):
        rho = 1.0 / float(step @ change)
        q += (weight - rho * float(change @ q)) * step
    return q
