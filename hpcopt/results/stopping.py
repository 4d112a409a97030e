"""When a run ends, and the message about it."""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from hpcopt.annotations import Positive, Whole, check_types, fill
from hpcopt.arrays import Vector
from hpcopt.results.goal import Nearness
from hpcopt.results.record import Record

DEFAULT_ROUNDS = 100
GOAL_ROUNDS = 10_000  # budget if only goals are given
RESOLVED = 1e-6  # of the scaled gradient: f is within about 1e-12 f of the optimum, the accuracy of sums of many terms
VANISHED = 1e-28  # times the first objective: the square of roundoff
SETTLED = 10  # iterations without a lower objective
DIVERGED = 1e3  # times the first objective (at least 1): the run will not recover


class Status(enum.Enum):
    """How a run ended; the value is the message to the user."""

    TARGET = "reached the target"
    GRADIENT = "the gradient norm fell below the tolerance"
    KKT = "the largest magnitude in the residual fell below the tolerance"
    GAP = "the certified gap to the optimum fell below the tolerance"
    ROUNDS = "reached the limit of rounds"
    ITERATIONS = "reached the limit of iterations"
    SECONDS = "reached the limit of seconds"
    BYTES = "reached the limit of bytes"
    SLOTS = "reached the limit of time slots"
    PRECISION = "the gradient is zero to double precision"
    STALLED = "the solver stopped short of the optimum: no trial step decreases the objective"
    FINISHED = "the solver has finished"
    LEFT = "all nodes have left"
    DIVERGED = "diverged: the objective grew without bound or is NaN; the best iterate is kept"
    APART = "diverged: the nodes' models drift apart; lower gamma, the step size or the compression; the best is kept"

    @property
    def reached(self) -> bool:
        """Whether a goal was reached, rather than a budget used up."""
        return self in {Status.TARGET, Status.GRADIENT, Status.KKT, Status.GAP}

    @property
    def converged(self) -> bool:
        """Whether a goal was reached, or the optimum to attainable precision."""
        return self.reached or self is Status.PRECISION

    @property
    def diverged(self) -> bool:
        """Whether the run diverged."""
        return self in {Status.DIVERGED, Status.APART}

    @property
    def can_go_on(self) -> bool:
        """Whether the run would have gone on under another stop rule."""
        return self.reached or self in {Status.ROUNDS, Status.ITERATIONS, Status.SECONDS, Status.BYTES, Status.SLOTS}


class Disagreement:
    """Monitors the nodes' distance to their mean model: compressed gossip can fail late, and slowly at first.

    The models drift apart if that distance is `FACTOR` times the largest of the run's first half, has risen in most of
    the last `RECENT` measurements, and exceeds the distance of the mean model from its start. If heterogeneous data
    pull the models apart, the distance grows at most in proportion to the steps, so it at most doubles in the second
    half of the run. This is valid only once all nodes have made some steps: in asynchronous runs many measurements may
    precede the second node's first step. And a node that does not move falls behind by at most the distance that the
    others have covered.

    Parameters
    ----------
    size
        Number of nodes.
    start
        The mean model at first, shape (d,).
    """

    FACTOR = 10.0
    RECENT = 5
    EARLIEST = 10  # measurements, and steps per node

    def __init__(self, size: int, start: Vector) -> None:
        self._size = size
        self._start = start
        self._steps: list[float] = []  # per node, at each measurement
        self._largest: list[float] = []  # the largest distance up to each measurement
        self._rises: deque[bool] = deque(maxlen=self.RECENT)
        self._last = 0.0

    def verdict(self, record: Record, model: Vector) -> Status | None:
        """Add a record and its model; return the status if the models drift apart, or None."""
        consensus = record.consensus
        if consensus is None:
            return None
        steps = record.iteration if record.gradients is None else record.gradients / self._size
        if not self._grows(consensus, steps):
            return None
        return Status.APART if consensus > np.linalg.norm(model - self._start) else None

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {
            "start": self._start.copy(),
            "steps": list(self._steps),
            "largest": list(self._largest),
            "rises": list(self._rises),
            "last": self._last,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restore the state that `snapshot` returned."""
        self._start = snapshot["start"].copy()
        self._steps, self._largest = list(snapshot["steps"]), list(snapshot["largest"])
        self._rises = deque(snapshot["rises"], maxlen=self.RECENT)
        self._last = snapshot["last"]

    def _grows(self, consensus: float, steps: float) -> bool:
        self._rises.append(consensus > self._last)
        self._last = consensus
        self._largest.append(max([consensus, *self._largest[-1:]]))
        self._steps.append(steps)
        half = bisect_right(self._steps, steps / 2)
        return (
            len(self._steps) >= self.EARLIEST
            and steps >= self.EARLIEST
            and half > 0
            and 2 * sum(self._rises) > self.RECENT
            and consensus > self.FACTOR * self._largest[half - 1] > 0.0
        )


BUDGETS = ("rounds", "iterations", "seconds", "bytes", "slots")


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """When a run ends, the table [stop] of a specification: at the first of these rules that holds.

    Every run has a budget: without any key, rounds = 100; with goals alone, rounds = 10000.

    Parameters
    ----------
    rounds, iterations
        Budgets: communication rounds; steps of the solver's listing.
    seconds, bytes
        Budgets: on the run's clock (wall or virtual); sent by all nodes together. Monitoring is left out of both.
    slots
        Budget: time slots, for solvers that make their steps in slots (hub networks, operating rates).
    target
        Goal: the objective is at most this number; or, with `problem.optimum`, its distance to the optimum is at most
        `suboptimality`, or at most the fraction `relative` of the distance at the start.
    target_on
        The objective to which the target applies if each node has its own model: that of the mean model ("objective"),
        the mean over the nodes' models ("mean_objective"), or that of the worst one ("worst_objective"). The last two
        are for synchronous solvers: asynchronous runs measure them at their end only.
    gradient_norm
        Goal: the Euclidean norm of the objective's gradient; with a penalty that is not smooth, these three are about
        its subgradient of least norm, the residual.
    relative_gradient
        Goal: the same, as a fraction of the norm at the start.
    scaled_gradient
        Goal: a norm of the gradient that depends neither on the units of the features nor on those of the targets. Its
        square estimates (f(w) - f*) / f(w), from the features' means, variances and (up to 256 features) correlations.
    kkt
        Goal: the largest magnitude in the residual; for penalties that are not smooth.
    gap
        Goal: the certified bound ||gradient||^2 / (2 l2) on f(w) - f*, from strong convexity; needs l2 > 0 and no
        intercept.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    rounds: Whole | None = None
    iterations: Whole | None = None
    seconds: Positive | None = None
    bytes: Positive | None = None
    slots: Whole | None = None
    target: float | Nearness | None = None
    target_on: Literal["objective", "mean_objective", "worst_objective"] = "objective"
    gradient_norm: Positive | None = None
    relative_gradient: Positive | None = None
    scaled_gradient: Positive | None = None
    kkt: Positive | None = None
    gap: Positive | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if all(getattr(self, budget) is None for budget in BUDGETS):
            fill(self, rounds=GOAL_ROUNDS if self.measures else DEFAULT_ROUNDS)

    @property
    def measures(self) -> bool:
        """Whether any rule needs measurements (rounds and iterations don't)."""
        free = {"rounds", "iterations", "target_on"}
        return any(getattr(self, f.name) is not None for f in fields(self) if f.name not in free)

    def verdict(self, record: Record, first: Record, strong_convexity: float) -> Status | None:
        """Return the status if the run ends at this record, or None if it continues, given the first record.

        Divergence takes precedence over goals, and goals over budgets.
        """
        used = {column: getattr(record, column) or 0 for column in ("round", "iteration", "seconds", "bytes", "slots")}
        return self.judged(record, first, strong_convexity) or self.spent(used)

    def judged(self, record: Record, first: Record, strong_convexity: float) -> Status | None:
        """Return the status if the run ends because of the model at this record, regardless of budgets."""
        known = math.isfinite(record.objective) and math.isfinite(record.grad_norm)
        if not known or record.objective > DIVERGED * max(abs(first.objective), 1.0):
            return Status.DIVERGED
        norm = record.grad_norm
        gap = norm * norm / (2.0 * strong_convexity) if strong_convexity > 0.0 else math.inf
        scaled, kkt = record.scaled_gradient, record.kkt
        assert not isinstance(self.target, Nearness), "resolved before the run"
        checks = (
            (Status.TARGET, self.target, record.judged(self.target_on).objective),
            (Status.GRADIENT, self.gradient_norm, norm),
            (Status.GRADIENT, self.relative_gradient, norm / (first.grad_norm or 1.0)),
            (Status.GRADIENT, self.scaled_gradient, math.inf if scaled is None else scaled),
            (Status.KKT, self.kkt, math.inf if kkt is None else kkt),
            (Status.GAP, self.gap, gap),
        )
        for status, goal, value in checks:
            if goal is not None and value <= goal:
                return status
        vanished = self.scaled_gradient is not None and record.objective <= VANISHED * first.objective
        return Status.PRECISION if vanished else None

    def settled(self, record: Record, best: Record) -> Status | None:
        """Return the status if the goal is a scaled gradient and roundoff prevents further progress, or None."""
        resolved = self.scaled_gradient is not None and (record.scaled_gradient or 0.0) <= RESOLVED
        return Status.PRECISION if resolved and record.iteration - best.iteration >= SETTLED else None

    def ended(self, record: Record, first: Record, strong_convexity: float, *, exact: bool) -> Status:
        """Return the status of a run whose solver has ended by itself; the record has its `scaled_gradient`.

        Parameters
        ----------
        exact
            Whether the solver's iterates reach the optimum (it has no floor).
        """
        status = self.verdict(record, first, strong_convexity)
        if status is not None:
            return status
        if record.grad_norm == 0.0 or (record.scaled_gradient is not None and record.scaled_gradient <= RESOLVED):
            return Status.PRECISION
        return Status.STALLED if exact else Status.FINISHED

    def spent(self, used: Mapping[str, float]) -> Status | None:
        """Return the status of a used-up budget, if any, given round, iteration, seconds and bytes in `used`."""
        budgets = (
            (Status.ROUNDS, self.rounds, "round"),
            (Status.ITERATIONS, self.iterations, "iteration"),
            (Status.SECONDS, self.seconds, "seconds"),
            (Status.BYTES, self.bytes, "bytes"),
            (Status.SLOTS, self.slots, "slots"),
        )
        for status, budget, column in budgets:
            if budget is not None and used.get(column, 0.0) >= budget:
                return status
        return None
