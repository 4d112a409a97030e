"""Fewer bits per number: float32, and two 16-bit formats, one with higher precision and one with a larger range.

Rounding to nearest even, without dither, is biased for a single vector, but only by one part in 256 to one part in 16
million, so all three are contractive with delta nearly 1. The constants hold for vectors with a number of at least
2^-122 in magnitude: below that, float32 itself loses digits, and below 2^-149 it is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.kernels import casts


def _require_finite(name: str, top: int) -> None:
    """Raise `NotFiniteError` unless `top`, the bits of the largest magnitude, are those of a finite number."""
    if top >= casts.INFINITY:
        raise NotFiniteError(f"{name}: NaN, infinity or a number beyond float32 in the vector")


@register("f32")
@dataclass(frozen=True, kw_only=True)
class Float32(Compressor):
    """float32, four bytes per number: delta = 1 - 2^-48."""

    paper = "IEEE 754 binary32, round to nearest even"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        message = room(x, 4 * x.size, out)
        _require_finite("f32", casts.to_single(x, message))
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, 4 * out.size, out)
        out[:] = message.view(np.float32)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        return 4 * d

    def contraction(self, d: int) -> float | None:  # noqa: ARG002
        return 1.0 - 2.0**-48


@register("f16")
@dataclass(frozen=True, kw_only=True)
class Float16(Compressor):
    """IEEE half precision with a common power of two, two bytes per number: delta = 1 - 2^-22 - d 2^-38.

    Half precision ends at 65504 and loses digits below 2^-14, a size that the differences sent by gossip soon reach. A
    vector whose largest magnitude m is not in [2^-6, 2^15) is therefore multiplied by a power of two that brings m into
    [2^4, 2^5); the message begins with its inverse. A number then has a relative error of at most 2^-11 or, near zero,
    an absolute error of at most 2^-25, where m >= 2^-6: together at most (2^-22 + d 2^-50 / 2^-12) ||v||^2.
    """

    paper = "IEEE 754 binary16, round to nearest even; the common factor is ours"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        message = room(x, 4 + 2 * x.size, out)
        _require_finite("f16", casts.to_half(x, message))
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, 4 + 2 * out.size, out)
        casts.from_half(message, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        return 4 + 2 * d

    def contraction(self, d: int) -> float | None:
        return max(1.0 - 2.0**-22 - d * 2.0**-38, 2.0**-38)

    def refuses(self, d: int) -> str | None:  # noqa: ARG002
        if casts.has_half():
            return None
        return "f16 requires a CPU with F16C, which this one lacks; use bf16 instead"


@register("bf16")
@dataclass(frozen=True, kw_only=True)
class BFloat16(Compressor):
    """bfloat16, the upper half of a float32, two bytes per number: delta = 1 - 2^-16.

    It has float32's range, so there is no header. Numbers that would round to infinity become the largest finite one;
    their relative error is at most 2^-8, as for all other numbers.
    """

    paper = "bfloat16, round to nearest even"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        message = room(x, 2 * x.size, out)
        _require_finite("bf16", casts.to_brain(x, message))
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, 2 * out.size, out)
        casts.from_brain(message, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        return 2 * d

    def contraction(self, d: int) -> float | None:  # noqa: ARG002
        return 1.0 - 2.0**-16
