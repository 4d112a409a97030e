"""Distributed minibatch SGD: every step is one mean of the nodes' batch gradients.

The baseline of everything that communicates less. With `batch = 0` it is gradient descent.

    g = sum_k (n_k/n) grad f_k(w; batch),   v <- momentum v + g,   w <- w - step v
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.problems.objective import Objective
from hpcopt.solvers.base import Solver, State, Vector, at_least, register
from hpcopt.solvers.step_size import Schedule, StepSize, check_step_size, resolve


@dataclass
class SGDState(State):
    """The model, the momentum's velocity, and what was sent."""

    velocity: Vector  # (d,)
    steps: int = 0
    schedule: Schedule | None = None


@register("sgd")
@dataclass(frozen=True, kw_only=True)
class SGD(Solver[SGDState]):
    """Distributed minibatch SGD with momentum; one mean of the gradients a step.

    Parameters
    ----------
    step_size
        A number, a table { initial, decay, power }, or "auto": 1 / largest smoothness of a row's loss.
    batch
        Rows of each shard a step, drawn without replacement; 0 = all.
    momentum
        Heavy-ball factor, 0 <= momentum < 1.
    """

    paper = "Robbins and Monro 1951; Polyak 1964 (momentum)"
    floor = "with a batch and a constant step size: proportional to the step size and the gradients' variance"
    randomised = True

    step_size: StepSize = "auto"
    batch: int = 0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        at_least(0, batch=self.batch)
        if not 0.0 <= self.momentum < 1.0:
            raise InputError(f"momentum: at least 0 and below 1, got {self.momentum!r}")

    def init(self, f: Objective, w0: Vector) -> SGDState:  # noqa: ARG002
        return SGDState(w=w0.copy(), velocity=np.zeros_like(w0))

    def rounds(self, node: Node, f: Objective, s: SGDState) -> Iterator[SGDState]:
        s.schedule = s.schedule or resolve(self.step_size, node, f)
        while True:
            if 0 < self.batch < f.n:
                gradient = f.gradient_of_rows(s.w, node.rng.choice(f.n, size=self.batch, replace=False))
            else:
                gradient = f.at(s.w).gradient
            g = node.world.mean(gradient, weight=f.share)
            s.velocity = self.momentum * s.velocity + g
            s.w = s.w - s.schedule.sizes(s.steps, 1)[0] * s.velocity
            s.steps += 1
            yield s

    def doubles(self, s: SGDState, d: int) -> int:
        return s.steps * d + (self.step_size == "auto")
