"""Exact distributed Newton-CG: the whole Hessian, one reduction for every product with it.

The gold standard of the second-order methods here: no floor, quadratic end, and a round for each
conjugate-gradient step, which is what LocalNewton and GIANT save. Dembo, Eisenstat, Steihaug 1982 (inexact Newton
methods: the forcing term); Nocedal and Wright, Numerical Optimization, section 7.1.

    one iteration    gradient + value | H v | H v | ... | trial values of the line search      each bar a round ends
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.fabric.interface import Node
from hpcopt.problems.conjugate_gradient import conjugate_gradient
from hpcopt.problems.objective import Objective, Point
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.line_search import Armijo

MESSAGES = 6  # of a line search: down to steps of 2^-59, for starts where the Hessian has all but vanished


@dataclass
class NewtonCGState(State):
    """The model and what was sent."""

    iterations: int = 0  # gradients, each followed by one line search unless it was the end
    searches: int = 0
    products: int = 0


@register("newton-cg")
@dataclass(frozen=True, kw_only=True)
class NewtonCG(Solver[NewtonCGState]):
    """Exact distributed Newton: conjugate gradients with one reduction for each Hessian-vector product.

    Parameters
    ----------
    cg_steps
        At most so many products an iteration.
    line_search
        The steps tried, all in one message; where none passes, as many smaller ones follow in another message.
    """

    needs = Needs(hessian=True)
    paper = "Dembo, Eisenstat, Steihaug 1982; Nocedal and Wright, Numerical Optimization, 7.1"
    cg_steps: int = 200
    line_search: Armijo = Armijo(slope=1e-4, trials=10)

    def __post_init__(self) -> None:
        at_least(1, cg_steps=self.cg_steps)

    def init(self, node: Node, f: Objective, w0: Vector) -> NewtonCGState:  # noqa: ARG002
        return NewtonCGState(w=w0.copy())

    def rounds(self, node: Node, f: Objective, s: NewtonCGState) -> Iterator[NewtonCGState]:
        while True:
            here = f.at(s.w)
            g = node.world.mean(here.gradient, weight=f.share)
            s.iterations += 1
            norm = float(np.linalg.norm(g))
            if norm == 0.0:
                return
            solved = conjugate_gradient(
                lambda v, here=here: node.world.mean(here.hessian_product(v), weight=f.share),  # type: ignore[misc]
                g,
                tolerance=min(0.5, math.sqrt(norm)),
                cap=self.cg_steps,
            )
            s.products += solved.products
            step = self._search(node, f, here, solved.x, g, s)
            if step is None:  # f cannot be lowered in float64
                return
            s.w = s.w - step * solved.x
            yield s

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
        return (s.iterations + s.products) * d + s.searches * (self.line_search.trials + 1)
