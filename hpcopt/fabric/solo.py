"""Group, neighbourhood, window, board and mailbox of a node without peers: every operation completes at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Vector, Words
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.group import Group
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Mailbox, Messages
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.window import Eights, Op, Window


class WaitsForEverError(RuntimeError):
    """The only node of a cluster waits for an action of another node."""


class SoloGroup(Group):
    """The group of one node: every operation returns its argument. Rounds are counted; no bytes are sent."""

    def __init__(self, seam: Seam | None = None, link_class: str = "world") -> None:
        super().__init__(0, range(1), seam or Seam(Ledger()), link_class)

    def _sum(self, x: Vector, out: Vector | None) -> Vector:
        if out is None:
            return x.copy()
        if out is not x:
            out[...] = x
        return out

    def _reduce(self, x: Vector, root: int) -> Vector | None:  # noqa: ARG002
        return x.copy()

    def _max(self, x: Vector) -> Vector:
        return x.copy()

    def _broadcast(self, x: Vector, root: int) -> Vector:  # noqa: ARG002
        return x.copy()

    def _gather(self, x: Vector, root: int) -> Vector | None:  # noqa: ARG002
        return np.array(x[np.newaxis])

    def _gather_varying(self, x: NDArray[Any], root: int) -> list[NDArray[Any]]:  # noqa: ARG002
        return [x.copy()]

    def _broadcast_varying(self, x: NDArray[Any], root: int) -> NDArray[Any]:  # noqa: ARG002
        return x.copy()

    def _allgather(self, x: NDArray[Any]) -> Gathered:
        return Gathered([x.copy()])

    def _alltoall(self, parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [parts[0].copy()]

    def _barrier(self) -> None:
        pass


class SoloNeighbourhood(Neighbourhood):
    """The neighbourhood of the only node: it sends and receives nothing. Rounds are counted."""

    def _exchange(self, message: Bytes) -> list[Bytes]:  # noqa: ARG002
        return []

    def _exchange_varying(self, message: Bytes) -> list[Bytes]:  # noqa: ARG002
        return []


class SoloWindow(Window):
    """The window of the only node."""

    def __init__(self, words: int, seam: Seam, link_class: str, *, by_edge: bool) -> None:
        super().__init__(words, seam, 0, link_class, by_edge=by_edge)
        self.local = np.zeros(words, dtype=np.int64)

    def _part(self, x: Eights, target: int, at: int) -> Eights:
        if target != 0:
            raise ValueError(f"a cluster of one node has no node {target}")
        return self.local[at : at + len(x)].view(x.dtype)

    def _put(self, x: Eights, target: int, at: int) -> None:
        self._part(x, target, at)[:] = x

    def _get(self, target: int, at: int, out: Eights) -> None:
        out[:] = self._part(out, target, at)

    def _accumulate(self, x: Eights, target: int, at: int) -> None:
        part = self._part(x, target, at)
        part += x

    def _fetch_and_op(self, value: int, target: int, at: int, op: Op) -> int:  # noqa: ARG002
        before = int(self.local[at])
        if op != "no-op":
            self.local[at] = before + value if op == "sum" else value
        return before

    def _compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:  # noqa: ARG002
        before = int(self.local[at])
        if before == expected:
            self.local[at] = desired
        return before

    def _flush(self, target: int) -> None:
        pass

    def sync(self) -> None:
        pass

    def _wait(self, at: int, until: Callable[[int], bool], seconds: float) -> int:  # noqa: ARG002
        word = int(self.local[at])
        if not until(word):
            raise WaitsForEverError("a cluster of one node waits for a word of its window to change")
        return word


class SoloBoard(Board):
    """The board of the only node."""

    def __init__(self, seam: Seam, machine: Machine) -> None:
        super().__init__(seam)
        self._machine = machine
        self._state = np.zeros(machine.words, dtype=np.int64)
        self._mails: deque[Words] = deque()
        machine.begin(self._state)

    def _post(self, kind: int, value: int) -> None:
        event = np.array([[kind, 0, value]], dtype=np.int64)
        self._mails += [words.copy() for _, words in self._machine.apply(self._state, event)]

    def _wait(self) -> Words:
        if not self._mails:
            raise WaitsForEverError("a cluster of one node waits for mail from the board")
        return self._mails.popleft()


class SoloMailbox(Mailbox):
    """The mailbox of the only node: there is no node to send to."""

    def _send(self, target: int, message: Bytes, leaves: float) -> None:  # noqa: ARG002
        raise ValueError(f"a cluster of one node has no node {target}")

    def _flush(self) -> None:
        pass

    def _take(self) -> Messages:
        return []

    def _wait(self) -> None:
        raise WaitsForEverError("a cluster of one node waits for messages")

    def _drain(self) -> Messages:
        return []
