"""Asynchronous LocalNewton: the local Newton steps of LocalNewton, averaged when and with whom DSGD-AAU would.

    worker j     w~_j = w_j;  L times:  w~_j <- w~_j - a H_j(w~_j)^-1 g_j(w~_j)       Armijo's a on the own shard
                 w~_j <- w_j + damping (w~_j - w_j)
                 publish w~_j, arrive, combine:  w_j = sum_i M_ij w~_i                as in `hpcopt.solvers.dsgd_aau`

An experiment of ours: nobody has published this solver, and nothing is proved of it. It ends where the workers' steps
cancel out, sum_j r_j H_j^-1 g_j = 0 with r_j how often worker j takes part, which is near the optimum as far as the
shards' Hessians are alike. Where they are not (shards with few labels) a damping below 1 keeps workers from leaving for
their own optima.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, within
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Point
from hpcopt.solvers.base import register
from hpcopt.solvers.dsgd_aau import AAUState, Adapt, AdaptiveAveraging
from hpcopt.solvers.parts.line_search import Armijo


@register("async-local-newton")
@dataclass(frozen=True, kw_only=True)
class AsyncLocalNewton(AdaptiveAveraging):
    """LocalNewton without rounds: local Newton steps, averaged asynchronously as in DSGD-AAU; an experiment of ours.

    Parameters
    ----------
    local_steps
        L, Newton steps between two averages.
    damping
        Part of the way of the L steps that is gone, over 0, at most 1.
    line_search
        Of each Newton step, on the shard's own loss: no traffic.
    rule, members, grace
        Who averages with whom, and when: see `dsgd-aau`.
    """

    needs = replace(AdaptiveAveraging.needs, hessian=True, compressor="any")
    paper = "ours: dsgd-aau's averaging (arXiv 2306.06559) of local-newton's steps (arXiv 2105.07320)"
    floor = (
        "ends above f* by an amount that grows with L and the shards' differences, and falls with the rows of a shard"
    )
    randomised = False

    local_steps: int = 1
    damping: float = 1.0
    line_search: Armijo = Armijo()
    rule: Literal["unseen", "component"] = "unseen"
    members: Literal["all_linked", "all", "piece", "star"] = "all_linked"
    grace: float = 0.0

    weight = "equal"
    overlap = False
    gamma = "auto"

    def __post_init__(self) -> None:
        self.check()
        at_least(1, local_steps=self.local_steps)
        within(0, 1, including="high", damping=self.damping)

    def adapter(self, node: Node, f: Any, s: AAUState) -> Adapt:  # noqa: ARG002
        def adapted(w: Vector, factor: float) -> Vector:  # noqa: ARG001  (equal weights)
            here: Point = f.at(w)
            for _ in range(self.local_steps):
                p = here.newton_direction()
                here = f.at(here.w - self.line_search.local(here, p) * p)
            return w + self.damping * (here.w - w)

        return adapted
