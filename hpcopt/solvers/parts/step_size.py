"""Step sizes of first-order methods: a number, a schedule, a multiple of 1/L, or "auto"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.portions import portion
from hpcopt.problems.oracle import Oracle


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """initial / (1 + decay t)^power at step t = 0, 1, 2, ...

    Parameters
    ----------
    initial
        The first step size; 0: the model does not move.
    decay
        Rate of decrease; 0: constant.
    power
        0.5 for the usual stochastic rate, 1 for strongly convex problems.
    """

    initial: float
    decay: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        at_least(0, initial=self.initial, decay=self.decay, power=self.power)

    def sizes(self, start: int, count: int) -> Vector:
        """Return the step sizes of steps start, ..., start + count - 1, shape (count,)."""
        steps = np.arange(start, start + count, dtype=np.float64)
        return np.asarray(self.initial / (1.0 + self.decay * steps) ** self.power)


StepSize = float | Schedule | str
"""A number, a schedule, "c/L" with L a smoothness constant chosen by the solver, or "auto"."""


def check_step_size(step_size: StepSize) -> None:
    """Raise an error for a step size that is neither positive, a schedule, "c/L" nor "auto"."""
    if isinstance(step_size, Schedule) or step_size == "auto":
        return
    if (portion(step_size, "L") or 0.0) > 0.0:
        return
    if not isinstance(step_size, (int, float)) or not step_size > 0:
        wanted = 'a number > 0, "auto", a multiple of 1/L such as "0.5/L", or a table { initial, decay, power }'
        raise InputError(f"step_size: expected {wanted}; got {step_size!r}")


def schedule_of(step_size: StepSize, smoothness: Callable[[], float], auto: float = 1.0) -> Schedule:
    """Return the schedule for `step_size`.

    Parameters
    ----------
    smoothness
        Computes L; called only if it is needed.
    auto
        The multiple of 1/L that "auto" stands for.
    """
    if isinstance(step_size, Schedule):
        return step_size
    if not isinstance(step_size, str):
        return Schedule(initial=float(step_size))
    part = portion(step_size, "L") or auto
    largest = smoothness()
    return Schedule(initial=part / largest if largest > 0.0 else 1.0)  # 0: the objective is constant


def asks(step_size: StepSize) -> bool:
    """Return whether `step_size` is a multiple of 1/L, so that L must be computed."""
    return isinstance(step_size, str)


def resolve(step_size: StepSize, node: Node, f: Oracle) -> Schedule:
    """Return the schedule for `step_size`, with L the largest smoothness of a row's loss on any node.

    With 1/L, the meaning of "auto", no step of any batch can diverge. Computing L costs one round of one double.
    """
    return schedule_of(step_size, lambda: float(node.world.max(np.array([f.row_smoothness()]))[0]))
