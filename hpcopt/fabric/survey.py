"""Surveys: sums over all nodes while they go on working, so that a run is measured without stopping anybody.

A survey has stages. In each, every node contributes a vector and all get the sum of the last one's; a contribution
is taken from what the node has laid aside, not from its program, so it does not matter what that is doing.
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
        In their order; the contributions to one stage have the same shape on all nodes.
    done
        Called on every node with the sum of the last stage, the same bits everywhere.
    """

    def __init__(self, stages: Sequence[Stage], done: Callable[[Vector], None]) -> None:
        self.stages = tuple(stages)
        self.done = done

    @abc.abstractmethod
    def stepped(self) -> None:
        """Say that this node has ended a step and laid its results aside."""

    @abc.abstractmethod
    def end(self) -> None:
        """Take part in the surveys that are under way, and in no others; collective over all nodes."""
