"""Armijo backtracking, on one node's shard and over the whole cluster.

    take the largest a in {a0, a0 r, a0 r^2, ...} with  phi(a) <= phi(0) - c a p.g          (LocalNewton (5))

On one shard a node evaluates its own ray, trial by trial, without communication; over the cluster all trial values are
reduced in one message, so that a search is one round (GIANT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, within
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective, Point

ROUNDOFF = 8.0 * np.finfo(np.float64).eps  # relative: near an optimum f cannot resolve the required decrease


@dataclass(frozen=True, kw_only=True)
class Armijo:
    """Armijo's rule, as above.

    Parameters
    ----------
    slope
        c, the required fraction of the predicted decrease; 0 < c < 1/2 (at 1/2, a quadratic's full step meets it only
        with equality).
    shrink
        r, the factor between two trials.
    initial
        a0, the first trial.
    trials
        Maximum number of trials.
    """

    slope: float = 0.1
    shrink: float = 0.5
    initial: float = 1.0
    trials: int = 60

    def __post_init__(self) -> None:
        within(0.0, 0.5, slope=self.slope)
        within(0.0, 1.0, shrink=self.shrink)
        at_least(np.finfo(float).tiny, initial=self.initial)
        at_least(1, trials=self.trials)
        within(0, 1001, trials=self.trials)

    @property
    def steps(self) -> Vector:
        """All trial steps, largest first, shape (trials,)."""
        return np.asarray(self.initial * self.shrink ** np.arange(self.trials, dtype=np.float64))

    def local(self, here: Point, p: Vector) -> float:
        """Return the accepted step along -p for this shard's objective; 0 if there is none. No communication."""
        slope = float(p @ here.gradient)
        if not slope > 0.0:  # not a descent direction: at a minimiser, or p is NaN
            return 0.0
        ray = here.along(p)
        steps = self.steps
        first = ray.values(np.array([0.0, steps[0]]))  # phi(0) is summed like phi(a), with the same roundoff
        if _accepts(first[0], first[1:], steps[:1], self.slope * slope)[0]:
            return float(steps[0])
        for trials in np.split(steps[1:], range(4, self.trials - 1, 4)):
            accepted = _accepts(first[0], ray.values(trials), trials, self.slope * slope)
            if accepted.any():
                return float(trials[np.argmax(accepted)])
        return 0.0

    def over_cluster(self, node: Node, f: Objective, here: Point, p: Vector, g: Vector) -> float | None:
        """Return the accepted step along -p for the objective over all nodes; None if there is none.

        One round of trials + 1 doubles.
        """
        steps = np.concatenate(([0.0], self.steps))
        values = node.world.mean(here.along(p).values(steps), weight=f.share)
        accepted = _accepts(values[0], values[1:], steps[1:], self.slope * float(p @ g))
        return float(steps[1 + np.argmax(accepted)]) if accepted.any() else None


def _accepts(start: float, values: Vector, steps: Vector, demand: float) -> NDArray[np.bool_]:
    """Return which trials decrease `start` by `demand` per unit of step; NaN and inf never do."""
    return np.asarray(values <= start - steps * demand + ROUNDOFF * abs(start))
