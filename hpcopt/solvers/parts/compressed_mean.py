"""Means of compressed vectors: every node sends C(.) to all others, and all sum the decoded vectors in rank order.

    "none"   mean of C(x_k)                                                   C unbiased (TernGrad, QSGD)
    "ef"     mean of C(x_k + e_k),   e_k <- x_k + e_k - C(x_k + e_k)          error feedback: the error is sent later
    "ef21"   mean of h_k,            h_k <- h_k + C(x_k - h_k)                differences to a copy on all nodes

"ef": Karimireddy, Rebjock, Stich, Jaggi 2019 (arXiv 1901.09847); "ef21": Richtarik, Sokolov, Fatkhullin 2021 (arXiv
2106.05203). The sum of two messages is not a message, so messages are gathered, not reduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor, Message
from hpcopt.compression.memory import ErrorFeedback, PublicCopy
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.solvers.needs import Condition, Objection, Setting

Feedback = Literal["none", "ef", "ef21"]
FEEDBACKS = ("none", "ef", "ef21")


class CompressedMean:
    """The mean over all nodes of one compressed vector each.

    Parameters
    ----------
    memory
        e_k or h_k, shape (d,), initially zero; part of the solver's state and updated in place.
    copies
        For "ef21": the mean of all h_k, shape (d,), likewise.
    """

    def __init__(self, node: Node, compressor: Compressor, feedback: Feedback, memory: Vector, copies: Vector) -> None:
        self._node = node
        self._compressor = compressor
        self._copies = copies if feedback == "ef21" else None
        self._sender = PublicCopy(compressor, memory) if feedback == "ef21" else ErrorFeedback(compressor, memory)
        self._forgets = feedback == "none"
        self._memory = memory

    def __call__(self, x: Vector, step: int) -> Vector:
        """Send `x`, shape (d,), and return the mean; one round. `step` selects the random numbers."""
        messages = self._node.world.allgather(self.message(x, step))
        return self._mean(messages.once("sum", lambda: self._sum(messages)))

    def message(self, x: Vector, step: int) -> Message:
        """Return this node's message of `x`, shape (d,)."""
        if self._forgets:
            self._memory[:] = 0.0
        return self._sender.send(x, self._node.key(Draw.MESSAGE, step))

    def mean(self, messages: Sequence[Message]) -> Vector:
        """Return the mean from the messages of all nodes, in rank order, shape (d,)."""
        return self._mean(self._sum(messages))

    def _sum(self, messages: Sequence[Message]) -> Vector:
        return decoded_sum(self._compressor, messages, self._memory.size)

    def _mean(self, total: Vector) -> Vector:
        mean = total / self._node.size
        if self._copies is None:
            return mean
        self._copies += mean
        return self._copies.copy()


def decoded_sum(compressor: Compressor, messages: Sequence[Message], d: int) -> Vector:
    """Return the sum of decoded messages, added in their order, shape (d,)."""
    total, part = np.zeros(d), np.empty(d)
    for message in messages:
        total += compressor.decode(message, part)
    return total


def _feedback(solver: Any, setting: Setting) -> Objection | None:
    compressor, feedback, d = solver.compressor, solver.error_feedback, setting.d
    if d is not None and feedback == "none" and compressor.variance(d) is None:
        offered = get_args(get_type_hints(type(solver))["error_feedback"]) or FEEDBACKS
        feedbacks = " or ".join(f'"{name}"' for name in offered if name != "none")
        what = (
            f"requires an unbiased compressor, or error_feedback = {feedbacks}; "
            f"{compressor.name} with these parameters is biased"
        )
        return Objection("solver.compressor", what, can_be_forced=True)
    if d is not None and feedback != "none" and compressor.contraction(d) is None:
        what = (
            f'error_feedback = "{feedback}" requires a contractive compressor; {compressor.name} with these parameters '
            "is not contractive"
        )
        return Objection("solver.compressor", what, can_be_forced=True)
    return None


UNBIASED_OR_FEEDBACK = Condition("unbiased compressor, or contractive with error feedback", _feedback)
"""The requirement of solvers with the parameters `compressor` and `error_feedback`."""

MEMORY = "each node has the memory of its error feedback"
"""What their states have that belongs to single nodes, with error feedback."""
