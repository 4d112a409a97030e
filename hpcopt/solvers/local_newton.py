"""LocalNewton: L Newton steps on each node's own shard, then one average.

One round is one mean of d doubles however large L is; the cost is a floor above f* that grows with L and
decreases with the rows per shard. The adaptive schedules lower L when rounds stop making progress and end in GIANT,
which has no floor.

    node 0   w --p, a--> w --p, a--> w --+
    node 1   w --p, a--> w --p, a--> w --+-- mean --> the same w everywhere      one round, L = 2

Gupta, Ghosh, Derezinski, Khanna, Ramchandran, Mahoney: "LocalNewton: reducing communication bottleneck for distributed
learning", UAI 2021 (arXiv 2105.07320), Algorithms 1 and 2. Deviations: (1) a round ends with the mean, which the
listing puts at the start of the next; (2) Armijo's beta and back-off factor are not in the paper: ours are 0.1 and
1/2; (3) the delta rule is first evaluated after the first round (at t = 0 there is no decrease yet), and its scalar
reduction is a separate round; (4) rule (5) tolerates an increase of 8 units of roundoff of f, without which a node at
its minimiser would take random steps; (5) the paper allows exact solves or CG: see `Point.newton_direction`.

Beyond the paper, all off by default: `carried` (the delta rule without a separate round), `weights = "rows"`
(shards of unequal size), `global_line_search` (Bischoff et al., arXiv 2109.02388), `mixing = "preconditioned"`
(FedPM, arXiv 2511.09100), `regulariser = "debiased"` (Derezinski et al., arXiv 2007.01327).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective, Point
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.giant import giant_doubles, giant_iteration
from hpcopt.solvers.needs import Condition, Needs, Objection, Setting
from hpcopt.solvers.parts.line_search import Armijo

PAPER_SCHEDULE = (3, 2, 1)  # L in rounds 1, 2, 3; GIANT after
GLOBAL_STEPS = Armijo(trials=10)
DELTA = 0.1
DENSE_LIMIT = 10_000  # most features for which a node forms and sends a Hessian, 800 MB


@dataclass
class LocalNewtonState(State):
    """The model, the position in the schedule, and counters of what was sent."""

    local_steps: int = 0  # L of the next round; 0: GIANT from now on
    value: float | None = None  # f at the last mean, once the delta rule has evaluated it
    means: int = 0
    checks: int = 0
    searches: int = 0
    giants: int = 0


def _dense(solver: LocalNewton, setting: Setting) -> Objection | None:
    for key, option in (("mixing", "preconditioned"), ("regulariser", "debiased")):
        if getattr(solver, key) == option and setting.d is not None and setting.d > DENSE_LIMIT:
            what = f'"{option}" forms d x d matrices: at most {DENSE_LIMIT:,} features, got {setting.d:,}'
            return Objection(f"solver.{key}", what, can_be_forced=False)
    return None


@register("local-newton")
@dataclass(frozen=True, kw_only=True)
class LocalNewton(Solver[LocalNewtonState]):
    """LocalNewton: local Newton steps on each shard, one average per round; adaptive schedules end in GIANT.

    Parameters
    ----------
    local_steps
        L, Newton steps between two means (with schedule "adaptive": the initial L).
    schedule
        "constant": L steps in every round (Algorithm 1). "paper": 3, 2, 1 steps in the first three rounds, then
        GIANT, as in the paper's experiments. "adaptive": the delta rule (Algorithm 2).
    delta
        Delta rule: a round that lowers f by less than this lowers L by one; at L = 1, GIANT takes over.
    carried
        Delta rule: f is reduced with the next model instead of in a separate round; the rule then acts one round later.
    line_search
        Rule (5) of the paper, on the shard's own loss: no communication.
    weights
        Weights of the mean: "equal" (1/K, as in the paper) or "rows" (n_k/n).
    mixing
        Combination of the models: "mean", or "preconditioned": (sum H_k)^-1 sum H_k w_k, one round of d^2 + d doubles.
    regulariser
        Regulariser of the local Hessians: "plain" (l2), or "debiased": l2 (1 - d_eff/n_k), at least a tenth of l2.
    global_line_search
        Whether to search along the averaged step on the objective over all nodes: one more round.
    giant_line_search
        The line search of GIANT, at the end.
    """

    needs = Needs(
        hessian=True,
        also=(Condition(f"at most {DENSE_LIMIT:,} features with options that form d x d matrices", _dense),),
    )
    paper = "Gupta, Ghosh, Derezinski, Khanna, Ramchandran, Mahoney 2021, arXiv 2105.07320"
    floor = "constant L: gap to f* grows with L and decreases with the rows per shard"
    fit_defaults = {"schedule": "adaptive"}  # noqa: RUF012

    local_steps: int = 3
    schedule: Literal["constant", "paper", "adaptive"] = "constant"
    delta: float = DELTA
    carried: bool = False
    line_search: Armijo = Armijo()
    weights: Literal["equal", "rows"] = "equal"
    mixing: Literal["mean", "preconditioned"] = "mean"
    regulariser: Literal["plain", "debiased"] = "plain"
    global_line_search: bool = False
    giant_line_search: Armijo = Armijo(slope=0.01, shrink=0.25, trials=10)

    def __post_init__(self) -> None:
        at_least(1, local_steps=self.local_steps)
        at_least(0, delta=self.delta)
        one_of(("constant", "paper", "adaptive"), schedule=self.schedule)
        one_of(("equal", "rows"), weights=self.weights)
        one_of(("mean", "preconditioned"), mixing=self.mixing)
        one_of(("plain", "debiased"), regulariser=self.regulariser)
        if self.schedule == "paper" and self.local_steps != PAPER_SCHEDULE[0]:
            raise InputError('local_steps: schedule = "paper" fixes it to 3, 2, 1, then GIANT; remove local_steps')
        if self.schedule != "adaptive" and (self.carried or self.delta != DELTA):
            name = "carried" if self.carried else "delta"
            raise InputError(f'{name}: only used with schedule = "adaptive"; schedule is "{self.schedule}"')

    def init(self, node: Node, f: Objective, w0: Vector) -> LocalNewtonState:  # noqa: ARG002
        first = PAPER_SCHEDULE[0] if self.schedule == "paper" else self.local_steps
        return LocalNewtonState(w=w0.copy(), local_steps=first)

    def rounds(self, node: Node, f: Objective, s: LocalNewtonState) -> Iterator[LocalNewtonState]:
        if self.schedule == "adaptive" and not self.carried and s.value is None:
            s.value = self._global_value(node, f, s)
        while s.local_steps > 0:
            start = here = f.at(s.w)
            for _ in range(s.local_steps):
                before = here
                p = before.newton_direction(ridge=self._ridge(before))  # H_k^-1 g_k
                here = f.at(before.w - self.line_search.local(before, p) * p)  # (5)
            mixed, carried = self._mix(node, f, before, here.w, start)  # sync, t in I_T
            s.means += 1
            s.w = self._search_globally(node, f, s, mixed) if self.global_line_search else mixed
            self._reschedule(node, f, s, carried)
            yield s
        while True:
            s.w, _ = giant_iteration(node, f, s.w, self.giant_line_search)
            s.giants += 1
            yield s

    def _mix(self, node: Node, f: Objective, before: Point, w: Vector, start: Point) -> tuple[Vector, float | None]:
        """Return the model after the mean and, with `carried`, f at the start of the round. One round."""
        weight = f.share if self.weights == "rows" else 1.0 / node.size
        message = w
        if self.mixing == "preconditioned":
            preconditioner = before.hessian()
            message = np.concatenate((preconditioner @ w, preconditioner.ravel()))
        if self.carried:
            message = np.append(message, start.value * f.share / weight)
        mean = node.world.mean(message, weight=weight)
        carried = float(mean[-1]) if self.carried else None
        if self.mixing == "mean":
            return mean[: f.d], carried
        preconditioner = mean[f.d : f.d + f.d**2].reshape(f.d, f.d)
        # Least squares, since without l2 the sum of a few Hessians may be singular.
        solution: Vector = scipy.linalg.lstsq(preconditioner, mean[: f.d], lapack_driver="gelsy", check_finite=False)[0]
        return solution, carried

    def _ridge(self, here: Point) -> float | None:
        """Return c (1 - d_eff / n_k), c the penalty's curvature, kept positive; None for the plain regulariser."""
        if self.regulariser == "plain":
            return None
        f = here.f
        return f.penalty.curvature * max(1.0 - here.effective_dimension() / f.n, 0.1)

    def _search_globally(self, node: Node, f: Objective, s: LocalNewtonState, mixed: Vector) -> Vector:
        """Return the best of w + m (mixed - w), m = 0, 1, 1/2, 1/4, ...: never worse than w."""
        ahead = s.w - mixed
        steps = np.concatenate((GLOBAL_STEPS.steps, [0.0]))
        values = node.world.mean(f.at(s.w).along(ahead).values(steps), weight=f.share)
        s.searches += 1
        best = steps[np.argmin(np.where(np.isnan(values), np.inf, values))]
        return np.asarray(s.w - best * ahead)

    def _reschedule(self, node: Node, f: Objective, s: LocalNewtonState, carried: float | None) -> None:
        if self.schedule == "paper":
            s.local_steps = PAPER_SCHEDULE[s.means] if s.means < len(PAPER_SCHEDULE) else 0
        elif self.schedule == "adaptive":
            before, s.value = s.value, self._global_value(node, f, s) if carried is None else carried
            if before is not None and not before - s.value >= self.delta:  # also for an increase and for NaN
                s.local_steps -= 1

    def _global_value(self, node: Node, f: Objective, s: LocalNewtonState) -> float:
        s.checks += 1
        return float(node.world.mean(np.array([f.at(s.w).value]), weight=f.share)[0])

    def doubles(self, s: LocalNewtonState, d: int) -> int:
        mean = (d if self.mixing == "mean" else d * d + d) + self.carried
        return (
            s.means * mean
            + s.searches * (GLOBAL_STEPS.trials + 1)
            + s.checks
            + s.giants * giant_doubles(self.giant_line_search, d)
        )
