"""Base of asynchronous solvers: nodes iterate at their own pace, and end together without a barrier.

The generator yields after each step of its own node, independently of the others. It checks `node.stopping` after each
step, and when it is set notifies the nodes that wait for it. The driver measures by surveys, which are non-blocking
reductions.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.solvers.base import S
from hpcopt.solvers.parts.gossip import GossipSolver, GossipState, LocalGradient


@dataclass
class AsynchronousState(GossipState):
    """A node's own model `w`, and the progress of the node and the system."""

    COMMON: ClassVar[tuple[str, ...]] = ()

    iteration: int = 0  # of the whole system, as far as this node knows
    discarded: int = 0  # gradients that were computed but not applied to any model


class AsynchronousSolver(GossipSolver[S], abc.ABC):
    """Base of asynchronous solvers."""

    needs = replace(GossipSolver.needs, pace="own")

    def exchanged(self, s: S, d: int) -> int:  # noqa: ARG002
        return -1  # depends on the course of the run


class PiecewiseGradient(LocalGradient):
    """The gradient of `LocalGradient`, in pieces for large batches, so that other nodes' operations make progress.

    The pieces are the same on every cluster, so the gradient is bitwise equal.
    """

    def __call__(self, x: Vector, step: int) -> Vector:
        if (self._batch or self._f.n) <= self._f.piece:
            return super().__call__(x, step)
        rows = self._rows(step) if self._batch else np.arange(self._f.n)
        total = np.zeros_like(x)
        for start in range(0, len(rows), self._f.piece):
            piece = rows[start : start + self._f.piece]
            total += len(piece) * self._f.gradient_of_rows(x, piece)
        return self._weight / len(rows) * total
