"""The base of the ternary compressors: buckets, dense and sparse coding, and the layout of messages.

    scales of all buckets, float32     levels, packed densely, or a list of the nonzero ones

The sign of the first scale tells which: scales are magnitudes, and a minus sign means a list (`kernels.items`). A list
of nothing has scales of zero.

Numbers are rounded to float32 first. With random rounding, a bucket whose magnitudes are all below 2^-110 is sent as
zeros. A magnitude beyond float32's range is an error.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Sparse
from hpcopt.checks import at_least, one_of
from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, room
from hpcopt.kernels import sparse_levels, ternary
from hpcopt.kernels.items import SPARE
from hpcopt.kernels.trits import PER_BYTE, TERNARY


@dataclass(frozen=True, kw_only=True)
class FewLevels(Compressor):
    """Base of the compressors that send one of three or five values per number.

    Parameters
    ----------
    bucket
        Length of a bucket, whose numbers share their scales; 0: one bucket.
    coding
        "dense": all messages have the same size. "auto": a list of the nonzero numbers where that is shorter, which
        decodes to the same vector. It is shorter if fewer than one number in ten is nonzero, as with heavy tails and
        sparse gradients.
    """

    bucket: int = 0
    coding: Literal["auto", "dense"] = "auto"

    def __post_init__(self) -> None:
        at_least(0, bucket=self.bucket)
        one_of(("auto", "dense"), coding=self.coding)

    @property
    def base(self) -> int:
        """Number of values: `trits.TERNARY`, or `trits.QUINARY` with two scales per bucket."""
        return TERNARY

    @abc.abstractmethod
    def quantise(self, x: Floats, key: int, unit: float, bucket: int, message: Message) -> int:
        """Fill `message` with the scales and the levels of `x`, densely packed.

        Parameters
        ----------
        x, key
            As for `encode`.
        unit
            As for `encode_in`.
        bucket
            Numbers in a bucket, at least 1.
        message
            Shape (capacity(d),).

        Returns
        -------
        int
            The number of nonzero levels; -1 if a scale is not finite.
        """

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        return self.encode_in(0.0, x, key, out)

    def encode_in(self, unit: float, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        """Return `x` as a message of the values -unit, 0 and unit, for compressors of three values.

        Parameters
        ----------
        unit
            A float32, above 0; or 0 for the scales that `encode` chooses.
        x, key, out
            As for `encode`.
        """
        d, base = x.size, self.base
        plan = _plan(base, self.bucket, d)
        message = room(x, plan.dense, out)
        count = self.quantise(x, key, unit, plan.bucket, message)
        if count < 0:
            raise NotFiniteError(f"{self.name}: NaN, infinity or a number beyond float32 in the vector")
        size = plan.listed(count)
        if self.coding == "dense" or size >= plan.dense or not plan.may_be_list:
            return message
        sparse_levels.list_levels(base, message, plan.header, d, plan.width, size - plan.header)
        return message[:size]

    def decode(self, message: Message, out: Floats) -> Floats:
        plan = _plan(self.base, self.bucket, out.size)
        expect(message, message.size if plan.fits_list(message) else plan.dense, out)
        if not ternary.expand(self.base, message, plan.bucket, plan.width, out):
            raise _damaged(out.size)
        return out

    @property
    def takes_lists(self) -> bool:
        """Whether `encode_list` takes sparse vectors."""
        return self.bucket == 0 and self.coding == "auto"

    def among(self, m: int, d: int) -> FewLevels:  # noqa: ARG002
        """Return the compressor for the m numbers of a vector of d that may be nonzero."""
        return self

    def encode_list(self, x: Sparse, d: int, key: int = 0) -> Message:
        """Return the message of the vector of d numbers that is `x`, in time independent of d.

        The form is that of `encode`, and so are the levels, where they are not random. Random levels have other random
        numbers, keyed by the place in the list instead of the vector. Scales agree up to rounding in float32.
        """
        places, values = x
        if not len(places):
            places, values = np.zeros(1, dtype=np.int64), np.zeros(1)
        m, base = len(places), self.base
        plan, short = _plan(base, 0, d), _plan(base, 0, m)
        message = np.empty(short.dense, dtype=np.uint8)
        count = self.among(m, d).quantise(values, key, 0.0, m, message)
        if count < 0:
            raise NotFiniteError(f"{self.name}: NaN, infinity or a number beyond float32 in the vector")
        numbers = np.empty(m)
        ternary.expand(base, message, m, short.width, numbers)
        kept = np.flatnonzero(numbers)
        size = plan.listed(count)
        if size >= plan.dense or not plan.may_be_list:
            dense = np.zeros(d)
            dense[places] = values
            return self.encode(dense, key)
        listed = np.zeros(size + SPARE, dtype=np.uint8)
        if count:
            listed[: plan.header] = message[: plan.header]
            high = float(message[: short.header].view(np.float32)[-1])
            sparse_levels.list_numbers(base, places[kept], numbers[kept], high, plan.width, listed[plan.header :])
        listed[3] |= 128
        return listed[:size]

    def decode_list(self, message: Message, d: int) -> Sparse:
        """Return the vector of d numbers of a message of `encode_list`, without its zeros."""
        base = self.base
        plan = _plan(base, 0, d)
        if not plan.fits_list(message):
            dense = self.decode(message, np.empty(d))
            places = np.flatnonzero(dense)
            return places, dense[places]
        count = 8 * (message.size - plan.header) // plan.item
        places, numbers = np.empty(count, dtype=np.int64), np.empty(count)
        scales = np.abs(message[: plan.header].view(np.float32)).astype(np.float64)
        m = sparse_levels.read_list(base, message[plan.header :], plan.width, d, scales, places, numbers)
        if m < 0:
            raise _damaged(d)
        return places[:m], numbers[:m]

    def largest_scale(self, message: Message, d: int) -> float:
        """Return the largest scale in a message of `d` numbers, for compressors of three values."""
        return float(np.abs(scales_of(message, d, _plan(self.base, self.bucket, d).bucket)).max(initial=0.0))

    def size(self, d: int, itemsize: int = 8) -> int | None:
        return self.capacity(d, itemsize) if self.coding == "dense" else None

    def capacity(self, d: int, itemsize: int = 8) -> int:  # noqa: ARG002
        return _plan(self.base, self.bucket, d).dense

    def largest_bucket(self, d: int) -> int:
        """Return the size of the largest bucket of `d` numbers, at least 1."""
        return _plan(self.base, self.bucket, d).bucket


def _damaged(d: int) -> ValueError:
    return ValueError(f"message: its list has been cut, or an index in it is out of range for a vector of {d} numbers")


def scales_of(message: Message, d: int, bucket: int) -> NDArray[np.float32]:
    """Return a view of the scales of a message of `d` numbers, one per bucket; the sign of the first marks a list."""
    return message[: 4 * -(-d // bucket)].view(np.float32)


class _Plan(NamedTuple):
    """The layout of the messages of a vector, which depends on its length."""

    bucket: int  # numbers in each bucket but the last, at least 1
    header: int  # bytes of the scales
    dense: int  # bytes of a densely packed message
    width: int  # bits of an index in a list
    item: int  # bits of an item in a list

    @property
    def may_be_list(self) -> bool:
        """Whether the padding bits can't be taken for another item, and an item fits the kernels' words."""
        return 8 <= self.item <= 32

    def listed(self, count: int) -> int:
        """Return the bytes of a message with a list of `count` numbers; a number alone is listed twice."""
        return self.header + ((2 if count == 1 else count) * self.item + 7) // 8

    def fits_list(self, message: Message) -> bool:
        """Return whether `message` is marked as a list and has a valid length for one."""
        return 4 <= self.header <= message.size < self.dense and bool(message[3] >= 128)


@lru_cache(maxsize=256)
def _plan(base: int, bucket: int, d: int) -> _Plan:
    bucket = max(min(bucket, d) if bucket else d, 1)
    width = max(d - 1, 0).bit_length()
    scales = base // 2  # per bucket; also the number of bits for sign and scale of a level
    header = 4 * scales * -(-d // bucket)
    return _Plan(bucket, header, header + -(-d // PER_BYTE[base]), width, width + scales)
