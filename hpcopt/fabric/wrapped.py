"""A window around another: the same operations, for those who add something to some of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from hpcopt.fabric.window import Eights, Op, Window


class WrappedWindow(Window):
    """Passes everything on to `window`, which books."""

    def __init__(self, window: Window) -> None:
        self.words = window.words
        self.rank = window.rank
        self.local = window.local
        self._window = window

    def count_round(self) -> None:
        self._window.count_round()

    def put(self, x: Eights, target: int, at: int = 0) -> None:
        self._window.put(x, target, at)

    def get(self, target: int, at: int, out: Eights) -> None:
        self._window.get(target, at, out)

    def accumulate(self, x: Eights, target: int, at: int = 0) -> None:
        self._window.accumulate(x, target, at)

    def fetch_and_op(self, value: int, target: int, at: int, op: Op = "sum") -> int:
        return self._window.fetch_and_op(value, target, at, op)

    def compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        return self._window.compare_and_swap(expected, desired, target, at)

    def flush(self, target: int) -> None:
        self._window.flush(target)

    def sync(self) -> None:
        self._window.sync()

    def wait(self, at: int, until: Callable[[int], bool], seconds: float = math.inf) -> int:
        return self._window.wait(at, until, seconds)
