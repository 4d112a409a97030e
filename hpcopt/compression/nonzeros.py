"""The numbers of a vector that are not zero, exactly, in float64: sparse gradients, and models with many zeros.

    a byte for the form    where the nonzero numbers are    the nonzero numbers, 8 bytes each

The form is the shortest of three: all numbers; a bit for each number, set where it is not zero; a list of indices of
ceil(log2 d) bits each (`kernels.items`). A fourth one means that there are none. The receiver knows d, and finds how
many there are from the length of the message.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Places, Sparse, Vector
from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.kernels.finite import INFINITY, WORDS, all_finite
from hpcopt.kernels.items import SPARE
from hpcopt.kernels.sparse_places import list_places, mark_places, read_marks, read_places

_ALL, _MARKED, _LISTED, _NONE = range(4)
_DOUBLE = 8  # bytes


@register("nonzeros")
@dataclass(frozen=True, kw_only=True)
class Nonzeros(Compressor):
    """The numbers that are not zero and their indices: exact, and short for sparse gradients; -0.0 becomes 0."""

    paper = "none: exact"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        message = room(x, self.capacity(x.size), out)
        if not all_finite(x.view(WORDS[x.itemsize]), INFINITY[x.itemsize]):
            raise NotFiniteError("nonzeros: NaN or infinity in the vector")
        packed = pack(x)
        message[: packed.size] = packed
        return message[: packed.size]

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, message.size, out)
        places, values = _contents(message, out.size)
        if places is None:
            out[:] = values
        else:
            out[:] = 0.0
            out[places] = values
        return out

    def encode_list(self, x: Sparse, d: int, key: int = 0) -> Message:  # noqa: ARG002
        """Return the message of the vector of d numbers that is `x`, its indices increasing."""
        if not np.isfinite(x[1]).all():
            raise NotFiniteError("nonzeros: NaN or infinity in the vector")
        return pack_list(x, d)

    def decode_list(self, message: Message, d: int) -> Sparse:
        """Return the vector of d numbers in a message, without its zeros."""
        return unpack_list(message, d)

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        return None

    def capacity(self, d: int, itemsize: int = 8) -> int:  # noqa: ARG002
        return 1 + _DOUBLE * d

    def contraction(self, d: int) -> float | None:  # noqa: ARG002
        return 1.0

    def variance(self, d: int) -> float | None:  # noqa: ARG002
        return 0.0


def pack(x: Floats) -> Message:
    """Return the message of `x`, shape (d,), which need not be finite; minus zero becomes zero."""
    places = np.flatnonzero(x)
    if _form(len(places), x.size) != _ALL:
        return _packed(places, x[places].astype(np.float64), x.size)
    values = (x + 0.0).astype(np.float64, copy=False)
    return np.concatenate([np.array([_ALL], dtype=np.uint8), values.view(np.uint8)])


def unpack(message: Message, d: int) -> Vector:
    """Return the vector of d numbers in a message of `pack`."""
    places, values = _contents(message, d)
    if places is None:
        return values
    x = np.zeros(d)
    x[places] = values
    return x


def pack_list(x: Sparse, d: int) -> Message:
    """Return the message of the vector of d numbers that is `x`, which need not be finite, its indices increasing."""
    places, values = x
    kept = values != 0.0
    places, values = places[kept], values[kept]
    if _form(len(places), d) != _ALL:
        return _packed(places, values, d)
    dense = np.zeros(d)
    dense[places] = values
    return pack(dense)


def unpack_list(message: Message, d: int) -> Sparse:
    """Return the vector of d numbers in a message, without its zeros."""
    places, values = _contents(message, d)
    if places is not None:
        return places, values
    places = np.flatnonzero(values)
    return places, values[places]


def _packed(places: Places, values: Vector, d: int) -> Message:
    """Return the message of the numbers `values`, not all of d, at the increasing indices `places`."""
    m, form = len(places), _form(len(places), d)
    where = _bytes_of_places(form, m, d)
    message = np.zeros(1 + where + max(_DOUBLE * m, SPARE), dtype=np.uint8)
    message[0] = form
    if form == _MARKED:
        mark_places(places, message[1:])
    elif form == _LISTED:
        list_places(places, _width(d), message[1:])
    message = message[: 1 + where + _DOUBLE * m]
    message[1 + where :] = values.view(np.uint8)
    return message


def _contents(message: Message, d: int) -> tuple[Places | None, Vector]:
    """Return the indices, or None for all, and the numbers in a message; raise `ValueError` if it is damaged."""
    form = int(message[0]) if message.size else -1
    body = message[1:]
    if form == _NONE:
        m = 0
    elif form == _MARKED:
        m = int(np.bitwise_count(body[: _bytes(d)]).sum())
    elif form == _LISTED:
        m = 8 * body.size // (8 * _DOUBLE + _width(d))
    else:
        m = d
    where = _bytes_of_places(form, m, d)
    if form not in range(4) or body.size != where + _DOUBLE * m:
        raise ValueError(f"message: expected a form of 0 to 3 and its {where + _DOUBLE * m} bytes, got {message.size}")
    values = body[where:].copy().view(np.float64)
    if form == _ALL:
        return None, values
    places = np.empty(m, dtype=np.int64)
    if form == _MARKED:
        read_marks(body[:where], places)
    whole = form != _LISTED or (m > 0 and read_places(body[:where], _width(d), d, places))
    if not whole or (m > 0 and places[-1] >= d):
        raise ValueError(f"message: its list has been cut, or an index is out of range for a vector of {d} numbers")
    return places, values


def _form(m: int, d: int) -> int:
    """Return the shortest form for `m` of `d` numbers."""
    if m == 0:
        return _NONE
    sizes = [_bytes_of_places(form, m, d) + _DOUBLE * (d if form == _ALL else m) for form in (_ALL, _MARKED, _LISTED)]
    return sizes.index(min(sizes))


def _bytes_of_places(form: int, m: int, d: int) -> int:
    """Return the bytes that tell where `m` of `d` numbers are."""
    if form == _MARKED:
        return _bytes(d)
    return _bytes(max(m, 2) * _width(d)) if form == _LISTED else 0


def _width(d: int) -> int:
    """Return the bits of an index."""
    return max(d - 1, 0).bit_length()


def _bytes(bits: int) -> int:
    return -(-bits // 8)
