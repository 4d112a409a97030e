"""GIANT: the mean of local Newton directions for the *global* gradient; three rounds per iteration.

The global gradient removes the floor of purely local methods. An iteration costs one round for the gradient, one for
the direction and one for the line search. Adaptive LocalNewton switches to GIANT at the end.

Wang, Roosta, Xu, Mahoney: "GIANT: globally improved approximate Newton method for distributed optimization",
NeurIPS 2018 (arXiv 1709.03528). Deviations: (1) f(w) is sent with the trial values, whereas the authors keep it from
the previous iteration; (2) if no trial step is accepted, the smallest is taken, as in the authors' code; (3) the slope
constant is 0.01, as in their code, whose comment says 0.1; (4) the local solves use the Hessian, whereas the script of
the LocalNewton authors forms the unweighted Gram matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.line_search import Armijo


@dataclass
class GiantState(State):
    """The model, the last accepted step, and counters of what was sent."""

    step: float = 1.0
    iterations: int = 0


@register("giant")
@dataclass(frozen=True, kw_only=True)
class Giant(Solver[GiantState]):
    """GIANT: averaged local Newton directions for the global gradient; three rounds per iteration.

    Parameters
    ----------
    line_search
        The trial steps; their values are reduced in one message.
    """

    needs = Needs(hessian=True)
    paper = "Wang, Roosta, Xu, Mahoney 2018, arXiv 1709.03528"
    line_search: Armijo = Armijo(slope=0.01, shrink=0.25, trials=10)

    def init(self, node: Node, f: Objective, w0: Vector) -> GiantState:  # noqa: ARG002
        return GiantState(w=w0.copy())

    def rounds(self, node: Node, f: Objective, s: GiantState) -> Iterator[GiantState]:
        while True:
            s.w, s.step = giant_iteration(node, f, s.w, self.line_search)
            s.iterations += 1
            yield s

    def doubles(self, s: GiantState, d: int) -> int:
        return s.iterations * giant_doubles(self.line_search, d)


def giant_iteration(node: Node, f: Objective, w: Vector, line_search: Armijo) -> tuple[Vector, float]:
    """Return the next iterate and the step taken; three rounds."""
    here = f.at(w)
    g = node.world.mean(here.gradient, weight=f.share)  # round 1: g = sum_k (n_k/n) g_k
    p = node.world.mean(here.newton_direction(g), weight=f.share)  # round 2: p = sum_k (n_k/n) H_k^-1 g
    step = line_search.over_cluster(node, f, here, p, g)  # round 3
    if step is None:
        step = float(line_search.steps[-1])
    return w - step * p, step


def giant_doubles(line_search: Armijo, d: int) -> int:
    """Return the number of float64 that one iteration reduces."""
    return 2 * d + line_search.trials + 1
