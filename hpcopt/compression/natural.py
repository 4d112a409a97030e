"""Natural compression: every number is rounded at random to an adjacent power of two, without bias.

For 2^e <= |x| < 2^(e+1), C(x) = sgn(x) 2^(e+1) with probability |x| / 2^e - 1, else sgn(x) 2^e. Then E C(x) = x and E
(C(x) - x)^2 <= x^2 / 8, with equality at |x| = 4/3 2^e. Sign and exponent are sent: 9 bits per number, without a
header.

Horvath, Ho, Horvath, Sahu, Canini and Richtarik, Natural compression for distributed deep learning, MSML 2022.

The exponent is that of float32; float64 is rounded to float32 first. Numbers beyond 2^127 are an error. Numbers below
2^-126, float32's smallest normal number, become 0 or 2^-126: without bias, but the variance bound does not hold for
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.kernels.natural import decode, encode

_OMEGA = 1 / 8


@register("natural")
@dataclass(frozen=True, kw_only=True)
class Natural(Compressor):
    """Random rounding to powers of two: 9 bits per number, unbiased, variance at most 1/8."""

    paper = "Horvath et al., Natural compression for distributed deep learning, MSML 2022"
    randomised = True

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        message = room(x, self.size(x.size), out)
        if not encode(x, np.uint64(key), message):
            raise NotFiniteError("natural: NaN, infinity or a number beyond 2^127 in the vector")
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, self.size(out.size), out)
        decode(message, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int:  # noqa: ARG002
        return d + -(-d // 8)

    def contraction(self, d: int) -> float | None:  # noqa: ARG002
        return 1.0 - _OMEGA

    def variance(self, d: int) -> float | None:  # noqa: ARG002
        return _OMEGA
