"""Multilevel LocalNewton: local Newton steps under hubs that mix on their graph. An extension of ours.

    worker i of hub d:   x^(i) <- y^(d)
        tau times:       x^(i) <- x^(i) - alpha H_i(x^(i))^-1 g_i(x^(i))     alpha by a line search on its shard
    hub d:               z^(d) <- sum_i v_i x^(i);  every q rounds  y^(d) <- sum_j H_jd z^(j),  else y^(d) <- z^(d)

LocalNewton (Gupta et al. 2021, arXiv 2105.07320) with the averages of Multi-Level Local SGD (Castiglia, Das, Patterson
2021, arXiv 2007.13819). As LocalNewton's, its fixed point is the mean of the shards' Newton maps, not the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective, Point
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.line_search import Armijo
from hpcopt.solvers.parts.multilevel import MultilevelSolver, MultilevelState


@register("multilevel-local-newton")
@dataclass(frozen=True, kw_only=True)
class MultilevelLocalNewton(MultilevelSolver):
    """Multilevel LocalNewton: local Newton steps at each worker, averages in sub-networks, mixing between hubs.

    Parameters
    ----------
    local_steps
        tau: Newton steps, one per time slot, between two averages of a sub-network.
    line_search
        For each step, on the worker's own loss: no communication.
    """

    needs = Needs(**{**vars(MultilevelSolver.needs), "hessian": True})
    paper = "none; local-newton's steps (arXiv 2105.07320) with multilevel-sgd's averaging (arXiv 2007.13819)"
    floor = "gap to f* grows with tau and the hubs' disagreement, and decreases with the rows per shard"

    local_steps: int = 1
    line_search: Armijo = Armijo()

    def local_work(self, node: Node, f: Objective, s: MultilevelState, slots: int) -> Vector:
        here = f.at(s.w)
        if self.deadline:
            for _ in node.slots.within(self.deadline):
                here = self._step(f, here)
            return here.w
        with node.slots.of(slots) as steps:
            for _ in range(steps):
                here = self._step(f, here)
        return here.w

    def _step(self, f: Objective, here: Point) -> Point:
        p = here.newton_direction()
        return f.at(here.w - self.line_search.local(here, p) * p)
