"""Asynchronous LocalNewton: the local Newton steps of LocalNewton with the asynchronous averaging of DSGD-AAU.

    worker j     w~_j = w_j;  L times:  w~_j <- w~_j - a H_j(w~_j)^-1 g_j(w~_j)       Armijo's a on its own shard
                 w~_j <- w_j + damping (w~_j - w_j)
                 publish w~_j, arrive, combine:  w_j = sum_i M_ij w~_i                as in `hpcopt.solvers.dsgd_aau`

An experiment of ours: this solver is not published, and nothing is proved about it. It ends where the workers' steps
cancel, sum_j r_j H_j^-1 g_j = 0 with r_j the rate at which worker j takes part; this is near the optimum if the
shards' Hessians are similar. If they are not (shards with few labels), a damping below 1 keeps workers from moving to
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
    """Asynchronous LocalNewton: local Newton steps, averaged asynchronously as in DSGD-AAU; experimental, unpublished.

    Parameters
    ----------
    local_steps
        L, Newton steps between two averages.
    damping
        The fraction of the L steps' displacement that is applied, in (0, 1].
    line_search
        For each Newton step, on the shard's own loss: no communication.
    rule, members, grace
        Which workers average with each other, and when: see `dsgd-aau`.
    """

    needs = replace(AdaptiveAveraging.needs, hessian=True, compressor="any")
    paper = "none; local-newton's steps (arXiv 2105.07320) with dsgd-aau's averaging (arXiv 2306.06559)"
    floor = "gap to f* grows with L and the data heterogeneity, and decreases with the rows per shard"
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
