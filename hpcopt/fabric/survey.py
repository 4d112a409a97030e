"""Surveys: non-blocking reductions over all nodes, which measure an asynchronous run without stopping it.

A survey has stages. In each, every node contributes a vector, and all get the sum of the previous stage. A node
contributes data that it stored after its last step, so its program need not take part.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

from hpcopt.arrays import Vector

Stage = Callable[[float, Vector], Vector]
"""Given when the survey was taken, on this node's clock, and the sum of the stage before (empty in the first), returns
this node's contribution."""


class Survey(abc.ABC):
    """One node's side of repeated surveys.

    Parameters
    ----------
    stages
        The stages in order; the contributions to a stage have the same shape on all nodes.
    done
        Called on every node with the sum of the last stage, bitwise equal everywhere.
    """

    def __init__(self, stages: Sequence[Stage], done: Callable[[Vector], None]) -> None:
        self.stages = tuple(stages)
        self.done = done

    @abc.abstractmethod
    def stepped(self) -> None:
        """Signal that this node has finished a step and stored its results."""

    @abc.abstractmethod
    def end(self) -> None:
        """Complete the surveys in progress, without starting others; collective over all nodes."""
