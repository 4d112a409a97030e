"""The base of all compressors: frozen parameters, `encode` to bytes, `decode`, and declared error bounds.

A message is everything that is sent: it includes scales, indices and keys, so `len(message)` is the number of bytes
sent. It does not include the length of the vector, since the receiver knows d. The format is little-endian on all
ranks, and decoding depends only on the bytes. Encoding gives the same bytes on CPUs of the same kind; others may sum in
a different order.
"""

from __future__ import annotations

import abc
import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.registry import Registry

Message = NDArray[np.uint8]
Floats = NDArray[Any]
"""float32 or float64, shape (d,), contiguous."""

EXACT = 1e-12  # relative squared error below which a compressor counts as exact

if sys.byteorder != "little":  # the kernels write words in native byte order
    raise ImportError("hpcopt.compression packs little-endian messages; this machine is big-endian")


class NotFiniteError(ValueError):
    """A vector to be encoded contains NaN or infinity (or, for 32-bit messages, a number beyond float32's range)."""


class Compressor(abc.ABC):
    """Base of all compressors; subclasses are frozen keyword-only dataclasses, registered with `register`.

    With C(x) = decode(encode(x)), a compressor declares one or both of

        contraction   delta with E ||C(x) - x||^2 <= (1 - delta) ||x||^2, 0 < delta <= 1
        variance      omega with E C(x) = x and E ||C(x) - x||^2 <= omega ||x||^2

    Class attributes
    ----------------
    paper
        The publication that describes it.
    randomised
        Whether the message depends on the key.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    randomised: ClassVar[bool] = False

    @abc.abstractmethod
    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        """Return `x` as a message.

        Parameters
        ----------
        x
            float32 or float64, shape (d,), d >= 0, contiguous; not modified.
        key
            Key of the random numbers, 0 <= key < 2**64: the same key and x give the same bytes on CPUs of the same
            kind.
        out
            Buffer for the message, at least `capacity(d, x.itemsize)` bytes; the returned message is a view of its
            beginning.

        Raises
        ------
        NotFiniteError
            If `x` contains NaN or infinity (random-k: among the numbers that it selects; the others are not sent).
        ValueError
            If `x` is not contiguous.
        """

    @abc.abstractmethod
    def decode(self, message: Message, out: Floats) -> Floats:
        """Fill `out`, float32 or float64 of shape (d,), with the vector of `message`, and return it.

        Raises
        ------
        ValueError
            If the length or the indices are invalid for d numbers, or `out` is not contiguous.
        """

    def view(self, message: Message, d: int) -> Floats | None:  # noqa: ARG002
        """Return the d numbers of `message` without a copy; None if it must be decoded."""
        return None

    @abc.abstractmethod
    def size(self, d: int, itemsize: int = 8) -> int | None:
        """Return the size in bytes of every message of d numbers of `itemsize` bytes; None if sizes vary."""

    def capacity(self, d: int, itemsize: int = 8) -> int:
        """Return the size in bytes of the longest possible message."""
        size = self.size(d, itemsize)
        assert size is not None, "a compressor whose messages vary in size must define their maximum size"
        return size

    def contraction(self, d: int) -> float | None:  # noqa: ARG002
        """Return delta for vectors of d numbers; None if C is not contractive."""
        return None

    def variance(self, d: int) -> float | None:  # noqa: ARG002
        """Return omega for vectors of d numbers; None if C is biased."""
        return None

    def exact(self, d: int) -> bool:
        """Return whether vectors of d numbers are reproduced up to a relative squared error of 1e-12."""
        return (self.contraction(d) or 0.0) >= 1.0 - EXACT

    def refuses(self, d: int) -> str | None:  # noqa: ARG002
        """Return why vectors of d numbers cannot be compressed, or None if they can; called before a run."""
        return None


COMPRESSORS: Registry[type[Compressor]] = Registry("compressor")
register = COMPRESSORS.register


def room(x: Floats, size: int, out: Message | None) -> Message:
    """Return a buffer for the message of `x`: the first `size` bytes of `out`, or a new one."""
    _require_contiguous("x", x)
    return np.empty(size, dtype=np.uint8) if out is None else out[:size]


def expect(message: Message, size: int, out: Floats) -> None:
    """Raise `ValueError` unless `message` has `size` bytes and `out` is contiguous; kernels don't check."""
    _require_contiguous("out", out)
    if message.size != size:
        raise ValueError(f"message: expected {size} bytes for {out.size} numbers, got {message.size}")


def _require_contiguous(name: str, vector: Floats) -> None:
    if not vector.flags.c_contiguous:
        raise ValueError(f"{name}: expected a contiguous vector, got strides of {vector.strides} bytes; copy it first")
