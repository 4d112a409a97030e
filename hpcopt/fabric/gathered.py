"""The arrays of all members of a group, as an all-gather returns them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TypeVar

from hpcopt.arrays import Array

T = TypeVar("T")


class Gathered(tuple[Array, ...]):
    """Every member's array, in rank order; read-only.

    The nodes of one process receive the same object. What each of them would compute from nothing but these arrays is
    computed once, so that the work of N virtual nodes does not grow with N squared.

    Attributes
    ----------
    shared
        Whether several nodes have this object.
    """

    shared = False

    @cached_property
    def nbytes(self) -> int:
        """Number of bytes of all arrays."""
        return sum([part.nbytes for part in self])

    def once(self, name: Hashable, compute: Callable[[], T]) -> T:
        """Return `compute()`, made by the first node that asks for `name`; nobody modifies the result."""
        known: dict[Hashable, T] = self.__dict__.setdefault("_known", {})
        if name not in known:
            known[name] = compute()
        return known[name]
