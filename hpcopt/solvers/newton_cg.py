"""Exact distributed Newton-CG: the global Hessian, with one reduction for each Hessian-vector product.

The reference for second-order methods: no floor and quadratic convergence, but one round for each conjugate-gradient
step, which LocalNewton and GIANT save. Dembo, Eisenstat, Steihaug 1982 (inexact Newton methods: the forcing term);
Nocedal and Wright, Numerical Optimization, section 7.1.

    one iteration    gradient + value | H v | H v | ... | trial values of the line search      each bar ends a round
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.fabric.interface import Node
from hpcopt.problems.conjugate_gradient import conjugate_gradient
from hpcopt.problems.metric import Metric
from hpcopt.problems.objective import Objective, Point
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.line_search import Armijo

MESSAGES = 6  # per line search: down to steps of 2^-59, for starting points where the Hessian almost vanishes


@dataclass
class NewtonCGState(State):
    """The model, the preconditioner, and counters of what was sent."""

    metric: Metric | None = None
    first: float = 0.0  # the gradient's norm at the start, in the preconditioner's units
    iterations: int = 0  # gradients, each but the last one followed by a line search
    searches: int = 0
    products: int = 0


@register("newton-cg")
@dataclass(frozen=True, kw_only=True)
class NewtonCG(Solver[NewtonCGState]):
    """Exact distributed Newton-CG: conjugate gradients with one reduction for each Hessian-vector product.

    Parameters
    ----------
    cg_steps
        Maximum number of products per iteration.
    preconditioner
        Preconditioner of the conjugate gradients: "none", or "columns": computed from the features' means and
        variances, at the cost of one pass over the data and one or two rounds at the start; the iterates then do not
        depend on the features' units.
    line_search
        The trial steps; their values are reduced in one message. If none is accepted, as many smaller ones follow.
    """

    needs = Needs(hessian=True)
    paper = "Dembo, Eisenstat, Steihaug 1982; Nocedal and Wright, Numerical Optimization, 7.1"
    any_nodes = True
    fit_defaults = {"preconditioner": "columns"}  # noqa: RUF012

    cg_steps: int = 200
    preconditioner: Literal["none", "columns"] = "none"
    line_search: Armijo = Armijo(slope=1e-4, trials=10)

    def __post_init__(self) -> None:
        at_least(1, cg_steps=self.cg_steps)
        one_of(("none", "columns"), preconditioner=self.preconditioner)

    def init(self, node: Node, f: Objective, w0: Vector) -> NewtonCGState:  # noqa: ARG002
        return NewtonCGState(w=w0.copy())

    def rounds(self, node: Node, f: Objective, s: NewtonCGState) -> Iterator[NewtonCGState]:
        if self.preconditioner == "columns" and s.metric is None:
            s.metric = f.metric(lambda v: node.world.mean(v, weight=f.share))
        while True:
            here = f.at(s.w)
            g = node.world.mean(here.gradient, weight=f.share)
            s.iterations += 1
            if not g.any():
                return
            p = self._direction(node, f, here, g, s)
            step = self._search(node, f, here, p, g, s)
            if step is None:  # f cannot be lowered in float64
                return
            s.w = s.w - step * p
            yield s

    def _direction(self, node: Node, f: Objective, here: Point, g: Vector, s: NewtonCGState) -> Vector:
        """Return an approximate H^-1 g; one round per product."""

        def product(v: Vector) -> Vector:
            return node.world.mean(here.hessian_product(v), weight=f.share)

        if s.metric is None:
            forcing = float(np.linalg.norm(g))
            solved = conjugate_gradient(product, g, min(0.5, math.sqrt(forcing)), self.cg_steps)
        else:
            norm = s.metric.norm(g)
            s.first = s.first or norm
            forcing = norm / (s.first or 1.0)  # independent of the units of features and targets; squares may underflow
            solved = conjugate_gradient(product, g, min(0.5, math.sqrt(forcing)), self.cg_steps, s.metric.solve)
        s.products += solved.products
        return solved.x

    def _search(self, node: Node, f: Objective, here: Point, p: Vector, g: Vector, s: NewtonCGState) -> float | None:
        line_search = self.line_search
        for _ in range(MESSAGES):
            step = line_search.over_cluster(node, f, here, p, g)
            s.searches += 1
            if step is not None:
                return step
            line_search = replace(line_search, initial=line_search.steps[-1] * line_search.shrink)
        return None

    def doubles(self, s: NewtonCGState, d: int) -> int:
        setup = 0 if s.metric is None else s.metric.doubles
        return setup + (s.iterations + s.products) * d + s.searches * (self.line_search.trials + 1)
