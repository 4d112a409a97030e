"""QSGD: every number is rounded at random to one of 2s + 1 levels of the norm, without bias.

    U(v)_i = (||v|| / s) sgn(v_i) floor(s |v_i| / ||v|| + u_i),   u_i uniform in [0, 1)

is unbiased with E ||U(v) - v||^2 <= omega ||v||^2, omega = min(d / s^2, sqrt(d) / s). Divided by tau = 1 + omega it is
contractive with delta = 1 / tau, as gossip and error feedback require. Here d is the length of a bucket; each bucket
has its own norm.

Alistarh, Grubic, Li, Tomioka and Vojnovic, QSGD, NeurIPS 2017; the scaled form as in Koloskova, Stich and Jaggi,
Decentralized stochastic optimization and gossip algorithms with compressed communication, ICML 2019.

A message is one float32 norm per bucket, followed by the symbols, packed in one of two ways (`kernels.packing`):
ceil(log2(2s + 1)) bits each or, if that saves at least a sixteenth, as digits of base 2s + 1 in words of 64 bits.
Numbers of levels that use their bits fully are s = 3, 7, 15, 31, 63, 127 (3 to 8 bits); those efficient as digits are s
= 1 (1.6 bits), 2 (2.37), 4 (3.2), 5 (3.56), 9 (4.27), 16 (5.33). Packing bits is faster.

With coding = "auto" a byte comes first: 1 if the symbols are a list of those that do not mean zero, else 0. At most
s^2 numbers of a bucket are a level or larger, and the chances of the others not to become zero add up to s sqrt d at
most: so lists are short for few levels in a long bucket.

Limits of float32: a norm above its largest number is an error. A bucket with a norm below 2**-192 becomes zero (float64
only; norms below 2**-96 are sent with a shifted exponent). Decoded into float32, numbers below its normal range are
rounded to denormal numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from hpcopt.checks import at_least, one_of, within
from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.compression.symbols import symbol_bytes, way
from hpcopt.kernels.levels import decode, encode
from hpcopt.kernels.sparse_symbols import expand_symbols, list_symbols


@register("qsgd")
@dataclass(frozen=True, kw_only=True)
class QSGD(Compressor):
    """Random rounding to 2s + 1 levels of the norm: unbiased, or contractive if scaled.

    Parameters
    ----------
    levels
        s, from 1 to 32767.
    bucket
        Length of a bucket, whose numbers share a norm; 0: one bucket.
    scaled
        Whether to divide by 1 + min(d / s^2, sqrt(d) / s), d the length of a bucket, which makes it contractive.
        Otherwise it is unbiased, to 2^-17 of a level.
    coding
        "dense": all messages have the same size. "auto": a list of the numbers that are not rounded to zero where that
        is shorter, as with sparse gradients, or few levels in a long bucket.
    """

    paper = "Alistarh et al., QSGD, NeurIPS 2017"
    randomised = True

    levels: int = 127
    bucket: int = 0
    scaled: bool = True
    coding: Literal["auto", "dense"] = "dense"

    def __post_init__(self) -> None:
        within(1, 32767, including="both", levels=self.levels)
        at_least(0, bucket=self.bucket)
        one_of(("auto", "dense"), coding=self.coding)

    @property
    def _first(self) -> int:
        """Bytes before the norms."""
        return int(self.coding == "auto")

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        plan, first = _plan(self.levels, self.bucket, x.size), self._first
        message = room(x, plan.size + first, out)
        numbers = message[first:]
        if not encode(x, plan.bucket, self.levels, plan.bits, plan.per, np.uint64(key), numbers):
            raise NotFiniteError("qsgd: NaN, infinity or a norm beyond float32 in the vector")
        if not first:
            return message
        size = -1
        if plan.may_be_list:
            layout = plan.bucket, self.levels, plan.bits, plan.per
            size = list_symbols(numbers, x.size, *layout, plan.width, plan.more)
        message[0] = size >= 0
        return message if size < 0 else message[: first + size]

    def decode(self, message: Message, out: Floats) -> Floats:
        plan, first = _plan(self.levels, self.bucket, out.size), self._first
        full, last = (self.levels * (1.0 + omega * self.scaled) for omega in (plan.omega, plan.last_omega))
        numbers = message[first:]
        if first and plan.fits_list(message):
            expect(message, message.size, out)
            if not expand_symbols(numbers, plan.bucket, self.levels, plan.width, plan.more, full, last, out):
                what = "its list has been cut, or an index or a level in it is out of range"
                raise ValueError(f"message: {what} for a vector of {out.size} numbers")
            return out
        expect(message, plan.size + first, out)
        if first and message[0]:
            raise ValueError(f"message: expected a first byte of 0 in a message of this length, got {message[0]}")
        decode(numbers, plan.bucket, self.levels, plan.bits, plan.per, full, last, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:
        return self.capacity(d, itemsize) if self.coding == "dense" else None

    def capacity(self, d: int, itemsize: int = 8) -> int:  # noqa: ARG002
        return _plan(self.levels, self.bucket, d).size + self._first

    def contraction(self, d: int) -> float | None:
        omega = _plan(self.levels, self.bucket, d).omega
        if self.scaled:
            return 1.0 / (1.0 + omega)
        return 1.0 - omega if omega < 1.0 else None

    def variance(self, d: int) -> float | None:
        return None if self.scaled else _plan(self.levels, self.bucket, d).omega


class _Plan(NamedTuple):
    """The division of a vector into buckets, and of their symbols into words."""

    bucket: int  # numbers in each bucket but the last
    omega: float  # of a full bucket, and therefore of the vector
    last_omega: float
    bits: int  # per symbol; 0: digits in words of 64 bits
    per: int  # symbols per word
    header: int  # bytes of the norms
    size: int  # bytes
    width: int  # bits of an index in a list
    more: int  # bits of a symbol in a list

    @property
    def may_be_list(self) -> bool:
        """Whether lists have items of a length that the kernels support."""
        return 8 <= self.width + self.more <= 32

    def fits_list(self, message: Message) -> bool:
        """Return whether `message` begins with the byte of a list, and has a valid length for one."""
        return self.may_be_list and self.header < message.size <= self.size and bool(message[0] == 1)


@lru_cache(maxsize=256)
def _plan(levels: int, bucket: int, d: int) -> _Plan:
    bucket = min(bucket, d) or max(d, 1)
    buckets = -(-d // bucket)
    last = d - max(buckets - 1, 0) * bucket
    bits, per = way(2 * levels + 1)
    size = 4 * buckets + max(buckets - 1, 0) * symbol_bytes(bucket, 2 * levels + 1) + symbol_bytes(last, 2 * levels + 1)
    width, more = max(d - 1, 0).bit_length(), (2 * levels - 1).bit_length()
    return _Plan(bucket, _omega(levels, bucket), _omega(levels, last), bits, per, 4 * buckets, size, width, more)


def _omega(levels: int, n: int) -> float:
    return min(n / levels**2, math.sqrt(n) / levels)
