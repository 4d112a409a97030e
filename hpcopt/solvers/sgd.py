"""Distributed minibatch SGD: every step is one mean of the nodes' batch gradients.

The baseline of all communication-efficient methods. With `batch = 0` it is gradient descent.

    g = sum_k (n_k/n) grad f_k(w; batch),   v <- momentum v + step g,   w <- w - v

With a compressor the gradients are sent compressed: TernGrad (Wen et al. 2017, arXiv 1705.07878) is `ternary`, QSGD
(Alistarh et al. 2017, arXiv 1610.02132) is `qsgd` with `scaled = false`; `error_feedback` corrects biased compressors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of, within
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.batches import batch_gradient
from hpcopt.solvers.parts.compressed_mean import FEEDBACKS, MEMORY, UNBIASED_OR_FEEDBACK, CompressedMean, Feedback
from hpcopt.solvers.parts.step_size import Schedule, StepSize, asks, check_step_size, resolve


@dataclass
class SGDState(State):
    """The model, the momentum's velocity, the memory of error feedback, and counters of what was sent."""

    velocity: Vector  # (d,)
    memory: Vector  # (d,), of error feedback: the accumulated error ("ef"), or this node's copy ("ef21")
    copies: Vector  # (d,), "ef21": the mean of all nodes' copies
    steps: int = 0
    schedule: Schedule | None = None


@register("sgd")
@dataclass(frozen=True, kw_only=True)
class SGD(Solver[SGDState]):
    """Distributed minibatch SGD with momentum; one mean of the gradients per step.

    Parameters
    ----------
    step_size
        A number, a table { initial, decay, power }, "c/L", or "auto": 1/L, L the largest smoothness of a row's loss.
    batch
        Rows of each shard per step, drawn without replacement; 0 = all.
    momentum
        Heavy-ball factor, 0 <= momentum < 1.
    compressor
        The compressor of the gradients.
    error_feedback
        "none"; "ef": the compression error is added to the next gradient; "ef21": the difference to a copy that all
        nodes keep is sent.
    """

    needs = Needs(
        rates=True,
        rowless=True,
        also=(UNBIASED_OR_FEEDBACK,),
    )
    paper = "Robbins and Monro 1951; Polyak 1964 (momentum)"
    floor = "minibatches and a constant step size: gap proportional to the step size and the gradient variance"
    randomised = True

    step_size: StepSize = "auto"
    batch: int = 0
    momentum: float = 0.0
    compressor: Compressor = Identity()
    error_feedback: Feedback = "none"

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        at_least(0, batch=self.batch)
        one_of(FEEDBACKS, error_feedback=self.error_feedback)
        if self.error_feedback == "ef21" and self.batch:
            raise InputError(f'error_feedback: "ef21" requires full gradients, batch = 0; got batch = {self.batch}')
        within(0, 1, including="low", momentum=self.momentum)

    def per_node(self) -> str | None:
        return None if self.error_feedback == "none" else MEMORY

    def init(self, node: Node, f: Oracle, w0: Vector) -> SGDState:  # noqa: ARG002
        return SGDState(w=w0.copy(), velocity=np.zeros_like(w0), memory=np.zeros_like(w0), copies=np.zeros_like(w0))

    def rounds(self, node: Node, f: Oracle, s: SGDState) -> Iterator[SGDState]:
        s.schedule = s.schedule or resolve(self.step_size, node, f)
        compressed = CompressedMean(node, self.compressor, self.error_feedback, s.memory, s.copies)
        while True:
            gradient = batch_gradient(node, f, s.w, self.batch, s.steps)
            step = s.schedule.sizes(s.steps, 1)[0]
            if isinstance(self.compressor, Identity):
                change = step * node.world.mean(gradient, weight=f.share)
            elif self.error_feedback == "ef":
                change = compressed(step * node.size * f.share * gradient, s.steps)  # errors are those of steps
            else:
                change = step * compressed(node.size * f.share * gradient, s.steps)
            s.velocity = self.momentum * s.velocity + change
            s.w = s.w - s.velocity
            s.steps += 1
            yield s

    def doubles(self, s: SGDState, d: int) -> int:
        means = s.steps * d if isinstance(self.compressor, Identity) else 0  # messages are gathered, not reduced
        return means + asks(self.step_size)
