"""Proximal gradient methods in the Euclidean metric: the controls for adaptive ones, and with variance reduction.

    prox-sgd      w <- prox of step r at  w - step g,                 g = sum_k (n_k/n) grad loss_k(w; batch)
    prox-svrg     w <- prox of step r at  w - step (g - g' + G),      g' = the same batch at the snapshot, G = the full
                                                                      gradient there; a snapshot every m steps

The whole penalty r is in the proximal step. Parikh and Boyd 2014, Proximal algorithms; Xiao and Zhang 2014, A proximal
stochastic gradient method with progressive variance reduction (arXiv 1403.4699).

Deviation of `prox-svrg`: the next snapshot is the last iterate of an epoch, which is better in practice; that of the
paper's theory is their mean (`snapshot = "mean"`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.batches import batch_gradient, batch_rows
from hpcopt.solvers.parts.compressed_mean import MEMORY, UNBIASED_OR_FEEDBACK
from hpcopt.solvers.parts.exchange import Exchange, Exchanged, Memory
from hpcopt.solvers.parts.step_size import Schedule, StepSize, asks, check_step_size, resolve, schedule_of


def proximal_step(f: Oracle, w: Vector, change: Vector, step: float) -> Vector:
    """Return the proximal point, with step size `step`, of w - change."""
    after = w - change
    after[: f.penalised] = f.penalty.prox(after[: f.penalised], step)
    return after


@dataclass
class ProxSGDState(State):
    """The model and what the exchange keeps."""

    exchanged: Exchanged
    steps: int = 0
    schedule: Schedule | None = None


@register("prox-sgd")
@dataclass(frozen=True, kw_only=True)
class ProxSGD(Solver[ProxSGDState]):
    """Proximal SGD: minibatch gradients of the loss, and the proximal step of any penalty.

    Parameters
    ----------
    step_size
        A number, a table { initial, decay, power }, "c/L", or "auto": 1/L, L the largest smoothness of a row's loss.
    batch
        Rows of each shard per step, drawn without replacement; 0 = all.
    compressor
        The compressor of the loss gradients.
    error_feedback
        "none"; "ef": the compression error is added to the next gradient.
    """

    needs = Needs(composite=True, rates=True, rowless=True, also=(UNBIASED_OR_FEEDBACK,))
    paper = "Duchi and Singer 2009, JMLR 10 (FOBOS)"
    floor = "minibatches and a constant step size: gap proportional to the step size and the gradient variance"
    randomised = True

    step_size: StepSize = "auto"
    batch: int = 0
    compressor: Compressor = Identity()
    error_feedback: Memory = "none"

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        at_least(0, batch=self.batch)
        one_of(("none", "ef"), error_feedback=self.error_feedback)

    def per_node(self) -> str | None:
        return None if self.error_feedback == "none" else MEMORY

    def init(self, node: Node, f: Oracle, w0: Vector) -> ProxSGDState:  # noqa: ARG002
        return ProxSGDState(w=w0.copy(), exchanged=Exchanged(memory=np.zeros_like(w0), returned=w0[:0].copy()))

    def rounds(self, node: Node, f: Oracle, s: ProxSGDState) -> Iterator[ProxSGDState]:
        s.schedule = s.schedule or resolve(self.step_size, node, f)
        exchange = Exchange(node, self.compressor, self.error_feedback, s.exchanged)
        while True:
            step = float(s.schedule.sizes(s.steps, 1)[0])
            g = batch_gradient(node, f, s.w, self.batch, s.steps, loss_only=True)
            change = exchange.mean(step * g, f.share, s.steps)  # errors are those of steps
            assert change is not None, "without a hub all nodes make the step"
            s.w = proximal_step(f, s.w, change.vector(), step)
            s.steps += 1
            yield s

    def doubles(self, s: ProxSGDState, d: int) -> int:
        return s.exchanged.means * d + asks(self.step_size)

    def messages(self, s: ProxSGDState) -> tuple[int, int]:
        return s.exchanged.up, s.exchanged.down


@dataclass
class ProxSVRGState(State):
    """The model, the snapshot of its epoch, and counters."""

    snapshot: Vector  # (d,)
    full: Vector  # (d,), the gradient of the mean loss at the snapshot
    total: Vector  # (d,), the sum of the epoch's models
    epoch: int = 0  # steps of an epoch; 0: not yet known
    done: int = 0  # steps made in this epoch
    steps: int = 0
    means: int = 0
    scalars: int = 0
    schedule: Schedule | None = None


@register("prox-svrg")
@dataclass(frozen=True, kw_only=True)
class ProxSVRG(Solver[ProxSVRGState]):
    """Proximal SVRG: variance-reduced minibatch gradients; linear convergence with a constant step size.

    Parameters
    ----------
    step_size
        A number, a table { initial, decay, power }, "c/L", or "auto": 1/(2L), L the largest smoothness of a row's loss;
        the theory requires less than 1/(4L).
    batch
        Rows of each shard per step, drawn without replacement; 0 = all.
    epoch
        m: steps from one snapshot to the next, each one round; 0: as many as use every row twice.
    snapshot
        The model of an epoch at which the next one begins: "last" or "mean".
    """

    needs = Needs(composite=True, rates=True, rowless=True)
    paper = "Xiao and Zhang 2014, arXiv 1403.4699"
    randomised = True

    step_size: StepSize = "auto"
    batch: int = 32
    epoch: int = 0
    snapshot: Literal["last", "mean"] = "last"

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        at_least(0, batch=self.batch, epoch=self.epoch)
        one_of(("last", "mean"), snapshot=self.snapshot)

    def init(self, node: Node, f: Oracle, w0: Vector) -> ProxSVRGState:  # noqa: ARG002
        return ProxSVRGState(w=w0.copy(), snapshot=w0.copy(), full=np.zeros_like(w0), total=np.zeros_like(w0))

    def rounds(self, node: Node, f: Oracle, s: ProxSVRGState) -> Iterator[ProxSVRGState]:
        if s.schedule is None:
            largest = node.world.max(np.array([f.row_smoothness() if asks(self.step_size) else 0.0, self._passes(f)]))
            s.schedule = schedule_of(self.step_size, lambda: float(largest[0]), auto=0.5)
            s.epoch = self.epoch or int(largest[1])
            s.scalars += 2
        while True:
            if s.done == 0:
                s.snapshot, s.total = s.w.copy(), np.zeros(f.d)
                s.full = node.world.mean(f.at(s.w).loss_gradient, weight=f.share)
                s.means += 1
            step = float(s.schedule.sizes(s.steps, 1)[0])
            g = node.world.mean(self._difference(node, f, s), weight=f.share) + s.full
            s.w = proximal_step(f, s.w, step * g, step)
            s.total += s.w
            s.means += 1
            s.steps += 1
            s.done = (s.done + 1) % s.epoch
            if s.done == 0 and self.snapshot == "mean":
                s.w = s.total / s.epoch
            yield s

    def _passes(self, f: Oracle) -> float:
        """Return the steps that use every row of this shard twice, at least 1."""
        return float(max(1, -(-2 * f.n // (self.batch or max(f.n, 1)))))

    def _difference(self, node: Node, f: Oracle, s: ProxSVRGState) -> Vector:
        """Return the difference of a batch's gradients at the model and at the snapshot, shape (d,)."""
        difference = np.zeros(f.d)
        with node.slots.until(1 if f.n else 0):
            if f.n:
                rows = batch_rows(node, f.n, min(self.batch or f.n, f.n), s.steps)
                difference = f.gradient_of_rows(s.w, rows, loss_only=True)
                difference -= f.gradient_of_rows(s.snapshot, rows, loss_only=True)
        node.slots.meet(node.world)
        return difference

    def doubles(self, s: ProxSVRGState, d: int) -> int:
        return s.means * d + s.scalars
