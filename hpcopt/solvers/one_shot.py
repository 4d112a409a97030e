"""One-shot averaging: every node solves its own shard, and the models are averaged once.

A single round, with a floor that further rounds cannot lower. Zhang, Duchi, Wainwright 2013 (arXiv 1209.4129).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.line_search import Armijo


@dataclass
class OneShotState(State):
    """The model, and whether the mean was taken."""

    means: int = 0


@register("one-shot")
@dataclass(frozen=True, kw_only=True)
class OneShot(Solver[OneShotState]):
    """One-shot averaging: the mean of the local minimisers of the shards; a single round.

    Parameters
    ----------
    tolerance
        Local Newton steps stop when the local Newton decrement, the square root of g^T H^-1 g, relative to the initial
        one, is at most this. It does not depend on the features' units.
    newton_steps
        Maximum number of local Newton steps.
    weights
        Weights of the mean: "equal" (1/K) or "rows" (n_k/n).
    """

    needs = Needs(hessian=True)
    paper = "Zhang, Duchi, Wainwright 2013, arXiv 1209.4129"
    floor = "the mean of the shards' minimisers is not the minimiser of their mean"

    tolerance: float = 1e-10
    newton_steps: int = 100
    weights: Literal["equal", "rows"] = "equal"

    def __post_init__(self) -> None:
        at_least(0, tolerance=self.tolerance)
        at_least(1, newton_steps=self.newton_steps)
        one_of(("equal", "rows"), weights=self.weights)

    def init(self, node: Node, f: Objective, w0: Vector) -> OneShotState:  # noqa: ARG002
        return OneShotState(w=w0.copy())

    def rounds(self, node: Node, f: Objective, s: OneShotState) -> Iterator[OneShotState]:
        if s.means:
            return
        minimiser = self._minimise(f, s.w)
        s.w = node.world.mean(minimiser, weight=f.share if self.weights == "rows" else None)
        s.means += 1
        yield s

    def _minimise(self, f: Objective, w: Vector) -> Vector:
        line_search = Armijo()
        here = f.at(w)
        first = 0.0
        for _ in range(self.newton_steps):
            p = here.newton_direction()
            decrement = math.sqrt(max(float(p @ here.gradient), 0.0))
            first = first or decrement
            if decrement <= self.tolerance * first:
                break
            step = line_search.local(here, p)
            if step == 0.0:  # f_k cannot be lowered in float64
                break
            here = f.at(here.w - step * p)
        return here.w

    def doubles(self, s: OneShotState, d: int) -> int:
        return s.means * d
