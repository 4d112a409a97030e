"""The k numbers of largest magnitude with their indices: the best approximation of a vector with k numbers."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.compression.base import Floats, Message, NotFiniteError, expect, register, room
from hpcopt.compression.sparsifier import Sparsifier
from hpcopt.kernels import places
from hpcopt.kernels.finite import INFINITY, WORDS


@register("top-k")
@dataclass(frozen=True, kw_only=True)
class TopK(Sparsifier):
    """The k numbers of largest magnitude, as float32, ties by lower index; the others become zero.

    Each index takes ceil(log2 d) bits, or all indices together one bit for each of the d numbers if that is less:
    this depends on k and d only, so all messages have the same size. It is contractive with delta = k / d, attained by
    vectors of equal magnitudes and far exceeded by others; float32 costs 2^-48, and numbers below 2^-126 lose digits.
    """

    paper = "Stich, Cordonnier and Jaggi, NeurIPS 2018"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        k = self.kept(x.size)
        width = _width(x.size, k)
        message = room(x, _size(x.size, k, width), out)
        words = x.view(WORDS[x.itemsize])
        if k and not places.encode_largest(x, words, INFINITY[x.itemsize], k, width, message):
            raise NotFiniteError("top-k: NaN, infinity or a number beyond float32 in the vector")
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        k = self.kept(out.size)
        width = _width(out.size, k)
        expect(message, _size(out.size, k, width), out)
        listed = width != places.MARKED
        if not (places.decode_list(message, k, width, out) if listed else places.decode_marks(message, k, out)):
            raise ValueError(f"message: an index is out of range for a vector of {out.size} numbers")
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        k = self.kept(d)
        return _size(d, k, _width(d, k))

    def contraction(self, d: int) -> float | None:
        return self.kept(d) / d * (1.0 - 2.0**-48) if d else 1.0


def _width(d: int, k: int) -> int:
    """Return the bits of an index in a list, or MARKED if one bit for each of the d numbers is shorter."""
    width = max(d - 1, 0).bit_length()
    return places.MARKED if k * width > d else width


def _size(d: int, k: int, width: int) -> int:
    return 4 * k + ((d if width == places.MARKED else k * width) + 7) // 8
