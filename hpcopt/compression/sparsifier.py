"""The base of compressors that send k of d numbers; defines the parameters for k."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from hpcopt.checks import at_least, within
from hpcopt.compression.base import Compressor
from hpcopt.errors import InputError

_LONGEST = 2**31 - 1  # indices have 32 bits


@dataclass(frozen=True, kw_only=True)
class Sparsifier(Compressor, abc.ABC):
    """Base of compressors that keep k of d numbers.

    Parameters
    ----------
    fraction
        k / d, in (0, 1]; k is rounded, and at least one.
    k
        Numbers kept, at least one; replaces `fraction`.
    """

    fraction: float = 0.01
    k: int | None = None

    def __post_init__(self) -> None:
        within(0, 1, including="high", fraction=self.fraction)
        if self.k is not None:
            at_least(1, k=self.k)

    def kept(self, d: int) -> int:
        """Return k for vectors of d numbers; raise `InputError` if `k` exceeds d."""
        if self.k is None:
            return min(d, max(1, round(self.fraction * d)))
        if self.k > d:
            raise InputError(str(self.refuses(d)))
        return self.k

    def refuses(self, d: int) -> str | None:
        if self.k is not None and self.k > d:
            return f"k: expected at most {d}, the numbers in a vector, got {self.k}"
        if d > _LONGEST:
            return f"{self.name} supports vectors of at most {_LONGEST} numbers, got {d}"
        return None
