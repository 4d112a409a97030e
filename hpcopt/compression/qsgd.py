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

Limits of float32: a norm above its largest number is an error. A bucket with a norm below 2**-192 becomes zero (float64
only; norms below 2**-96 are sent with a shifted exponent). Decoded into float32, numbers below its normal range are
rounded to denormal numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hpcopt.checks import at_least, within
from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.compression.symbols import symbol_bytes, way
from hpcopt.kernels.levels import decode, encode


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
    """

    paper = "Alistarh et al., QSGD, NeurIPS 2017"
    randomised = True

    levels: int = 127
    bucket: int = 0
    scaled: bool = True

    def __post_init__(self) -> None:
        within(1, 32767, including="both", levels=self.levels)
        at_least(0, bucket=self.bucket)

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        plan = _plan(self.levels, self.bucket, x.size)
        message = room(x, plan.size, out)
        if not encode(x, plan.bucket, self.levels, plan.bits, plan.per, np.uint64(key), message):
            raise NotFiniteError("qsgd: NaN, infinity or a norm beyond float32 in the vector")
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        plan = _plan(self.levels, self.bucket, out.size)
        full = self.levels * (1.0 + plan.omega * self.scaled)
        last = self.levels * (1.0 + plan.last_omega * self.scaled)
        expect(message, plan.size, out)
        decode(message, plan.bucket, self.levels, plan.bits, plan.per, full, last, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int:  # noqa: ARG002
        return _plan(self.levels, self.bucket, d).size

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
    size: int  # bytes


@lru_cache(maxsize=256)
def _plan(levels: int, bucket: int, d: int) -> _Plan:
    bucket = min(bucket, d) or max(d, 1)
    buckets = -(-d // bucket)
    last = d - max(buckets - 1, 0) * bucket
    bits, per = way(2 * levels + 1)
    size = 4 * buckets + max(buckets - 1, 0) * symbol_bytes(bucket, 2 * levels + 1) + symbol_bytes(last, 2 * levels + 1)
    return _Plan(bucket, _omega(levels, bucket), _omega(levels, last), bits, per, size)


def _omega(levels: int, n: int) -> float:
    return min(n / levels**2, math.sqrt(n) / levels)
