"""Step sizes of first-order methods: a number, a schedule, or "auto"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective
from hpcopt.solvers.base import at_least

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """initial / (1 + decay t)^power at step t = 0, 1, 2, ...

    Parameters
    ----------
    initial
        The first step size.
    decay
        How fast it falls; 0 keeps it constant.
    power
        0.5 for the usual stochastic rate, 1 for strongly convex problems.
    """

    initial: float
    decay: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        at_least(np.finfo(float).tiny, initial=self.initial)
        at_least(0, decay=self.decay, power=self.power)

    def sizes(self, start: int, count: int) -> Vector:
        """Return the step sizes of steps start, ..., start + count - 1, shape (count,)."""
        steps = np.arange(start, start + count, dtype=np.float64)
        return np.asarray(self.initial / (1.0 + self.decay * steps) ** self.power)


StepSize = float | Schedule | Literal["auto"]


def check_step_size(step_size: StepSize) -> None:
    """Refuse a step size that is neither positive, a schedule nor "auto"."""
    if isinstance(step_size, Schedule) or step_size == "auto":
        return
    if not isinstance(step_size, (int, float)) or not step_size > 0:
        raise InputError(f"step_size: a number > 0, a table {{ initial, decay, power }} or 'auto'; got {step_size!r}")


def resolve(step_size: StepSize, node: Node, f: Objective) -> Schedule:
    """Return the schedule meant by `step_size`.

    "auto" is 1 / (the largest smoothness constant of any one row's loss on any node): no step of any batch
    can then diverge. It costs one round of one double.
    """
    if isinstance(step_size, Schedule):
        return step_size
    if step_size == "auto":
        smoothness = float(node.world.max(np.array([f.row_smoothness()]))[0])
        return Schedule(initial=1.0 / smoothness if smoothness > 0.0 else 1.0)  # 0: the objective is constant
    return Schedule(initial=float(step_size))
