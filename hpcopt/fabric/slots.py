"""Time slots: a worker makes a step in each with the probability that is its operating rate, and idles in the others.

The model of unequal workers of Multi-Level Local SGD (Castiglia, Das, Patterson 2021, arXiv 2007.13819): a round of tau
slots ends after tau slots, however many steps a worker has made. Solvers that wait for slow workers instead let slots
pass until a number of steps is made:

    with node.slots.of(tau) as steps:  # nobody waits: steps <= tau
    with node.slots.until(steps):      # in any number of slots; others may need more: `meet` them

A slot lasts as long as a step takes on that node, or as many seconds as the cluster says. Unequal workers of real speed
make as many steps as fit into a deadline (`within`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from hpcopt.fabric.group import Group
from hpcopt.fabric.streams import Draw

_SECONDS = ("step", "since", "shortest", "saved")  # what a snapshot keeps beside the counts


class Ticking(Protocol):
    """The node whose slots are counted: its clock and its random numbers."""

    def now(self) -> float:
        """Return seconds on its clock."""

    def idle(self, seconds: float) -> None:
        """Let seconds pass on its clock."""

    def draws(self, what: int, *counters: int) -> np.random.Generator:
        """Return random numbers for one purpose."""

    def monitoring(self) -> Any:
        """Book what is inside as monitoring."""


class Slots:
    """The time slots of one node.

    Parameters
    ----------
    node
        The node.
    rate
        Its operating rate, in (0, 1]; None where no node of the cluster has one: then a step is made in every slot.
    seconds
        The duration of a slot; None: that of one of the node's steps.

    Attributes
    ----------
    count
        Slots that have passed.
    steps
        Steps that were made in them.
    """

    __slots__ = (
        *("_asked", "_begun", "_node", "_owed", "_saved", "_seconds", "_shortest", "_since", "_step"),
        *("count", "rate", "steps"),
    )

    def __init__(self, node: Ticking, rate: float | None, seconds: float | None) -> None:
        self.rate = rate
        self.count = 0
        self.steps = 0
        self._node = node
        self._seconds = seconds
        self._asked = (0, 0)  # slots, and steps in them
        self._begun = 0.0
        self._step = 0.0  # seconds that the latest steps took each
        self._owed = 0  # slots before the first step
        self._since = 0.0  # when the first of these began
        self._shortest = 0.0  # seconds of a step that a deadline allows for
        self._saved = 0.0  # seconds idled before deadlines that are shorter than that

    def of(self, slots: int) -> Slots:
        """Let `slots` slots pass; `with` returns in how many of them a step is to be made, inside the block."""
        steps = slots
        if self.rate is not None and self.rate < 1.0:
            steps = int(np.count_nonzero(self._node.draws(Draw.SLOTS, self.count).random(slots) < self.rate))
        self._asked = slots, steps
        return self

    def until(self, steps: int) -> Slots:
        """Let slots pass until `steps` steps are made, inside the block; `with` returns the steps."""
        slots = steps
        if self.rate is not None and self.rate < 1.0:
            slots = int(self._node.draws(Draw.SLOTS, self.count).geometric(self.rate, steps).sum())
        self._asked = slots, steps
        return self

    def __enter__(self) -> int:
        self._begun = self._node.now()
        return self._asked[1]

    def __exit__(self, *error: object) -> None:
        slots, steps = self._asked
        self.count += slots
        self.steps += steps
        worked = self._node.now() - self._begun
        rest = self._unknown(slots, steps, worked) if self._seconds is None else slots * self._seconds - worked
        if rest > 0.0:
            self._node.idle(rest)

    def _unknown(self, slots: int, steps: int, worked: float) -> float:
        """Return how long to idle in slots that last as long as the node's latest steps took.

        Before its first step that is not known; then the node makes up for what it has not waited for others meanwhile.
        """
        rest = 0.0
        if steps:
            self._step = worked / steps
            rest = max(0.0, self._owed * self._step - (self._begun - self._since)) if self._owed else 0.0
            self._owed = 0
        elif not self._step:
            self._since = self._since if self._owed else self._begun
            self._owed += slots
        return rest + (slots - steps) * self._step

    def within(self, seconds: float) -> Iterator[int]:
        """Yield the number of each step that fits into the next `seconds`, from 0 on; then idle until these are over.

        A step fits if the shortest so far, or in this call the last one, would end in time. One that is longer than
        `seconds` is made, beyond them, once the node has idled for as long. Rates do not matter here: the node's real
        speed does.
        """
        begun = now = self._node.now()
        last = self._shortest
        if last > seconds:
            self._saved += seconds
            if self._saved >= last:
                self._saved = last = 0.0
        made = 0
        while now + last <= begun + seconds:
            yield made
            made += 1
            last, now = self._node.now() - now, self._node.now()
            self._shortest = min(last, self._shortest or last)
        self.count += made
        self.steps += made
        if now < begun + seconds:
            self._node.idle(begun + seconds - now)

    def skip(self, slots: int) -> None:
        """Let `slots` slots pass on a node that works in none of them: a hub without rows."""
        self.count += slots

    def meet(self, group: Group) -> None:
        """Go on together from the slot of the group's last member; collective, booked as monitoring."""
        if self.rate is not None:
            with self._node.monitoring():
                self.count = int(group.max(np.array([float(self.count)]))[0])

    def snapshot(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        counts = {"count": self.count, "steps": self.steps, "owed": self._owed}
        return {**counts, **{name: getattr(self, f"_{name}") for name in _SECONDS}}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.count, self.steps, self._owed = (int(snapshot[name]) for name in ("count", "steps", "owed"))
        self._step, self._since, self._shortest, self._saved = (float(snapshot[name]) for name in _SECONDS)
