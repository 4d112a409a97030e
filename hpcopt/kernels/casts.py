"""Conversion to fewer bits and back: float32, IEEE half precision and bfloat16, rounded to nearest even.

Each encoder returns the largest magnitude as the bits of a float32: bits of magnitudes have the same order as the
magnitudes, with infinity and NaN last. A maximum of integers does not depend on the order, so it is vectorised without
fastmath flags.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.lanes import load_single, load_word, store_word

Real = float | np.floating

INFINITY = 0x7F800000  # as the bits of a float32
_HEAD = 4096  # numbers from which the range of a vector is estimated
_LOWEST = -6  # lowest binary exponent of the largest magnitude for which half precision needs no scaling
_HIGHEST = 14
_AIM = 4  # the exponent after scaling: full precision, and room above
_ROUNDED_UP = np.float32(1.0 - 2.0**-12)  # times a power of two: from here on half precision rounds to that power
_MOST = 126  # the inverse of the factor is still a normal float32

_MAGNITUDE = np.uint32(0x7FFFFFFF)
_LARGEST_BRAIN = 0x7F7F0000  # as the bits of a float32
_WORD_MAGNITUDE = np.uint16(0x7FFF)
_BRAIN_INFINITY = np.uint16(0x7F80)
_ALMOST_HALF = np.uint32(0x7FFF)
_ONE = np.uint32(1)
_16 = np.uint32(16)


@cache
def has_half() -> bool:
    """Return whether this CPU can convert to half precision; on x86 without F16C, LLVM calls a missing function."""
    return platform.machine() not in {"x86_64", "AMD64"} or bool(binding.get_host_cpu_features().get("f16c"))


@intrinsic
def _truncated(typingctx: Any, x: Any) -> Any:  # noqa: ARG001
    """Round a float32 to half precision; numba has no float16 on processors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), generate


@part()
def _half_of(x: np.float32) -> np.uint16:
    """Return the bits of `x` in half precision."""
    return _truncated(x)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _extended(typingctx: Any, bits: Any) -> Any:  # noqa: ARG001
    """Widen a number of half precision to float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@part()
def _single_of(half: np.uint16) -> np.float32:
    """Return the number with the bits `half` in half precision."""
    return _extended(half)  # type: ignore[call-arg]  # numba's typing context


@part()
def bits(x: Real) -> np.uint32:
    """Return the bits of `x` as a float32."""
    return np.float32(x).view(np.uint32)


@part()
def magnitude(x: Real) -> np.int32:
    """Return the bits of |x| as a float32, which are ordered like magnitudes."""
    return np.int32(bits(x) & _MAGNITUDE)


@kernel()
def to_single(x: Floats, message: Bytes) -> int:
    """Fill `message`, shape (4 d,), with `x`, shape (d,), as float32; return the bits of its largest magnitude."""
    top = np.int32(0)
    for i in range(x.size):
        y = np.float32(x[i])
        store_word(message, 4 * i, y)
        top = max(top, magnitude(y))
    return int(top)


@part()
def _fitting(top: int) -> np.float32:
    """Return the power of two by which to scale numbers whose largest magnitude has the bits `top`."""
    exponent = (top >> 23) - 127
    if top == 0 or _LOWEST <= exponent <= _HIGHEST:
        return np.float32(1.0)
    return np.float32(2.0 ** float(min(_AIM - exponent, _MOST)))


@kernel()
def _halve(x: Floats, factor: np.float32, message: Bytes) -> int:
    """Fill `message`, shape (2 d,), with `factor` x in half precision; return the bits of max |factor x|."""
    top = np.int32(0)
    for i in range(x.size):
        y = np.float32(x[i]) * factor
        store_word(message, 2 * i, _half_of(y))
        top = max(top, magnitude(y))
    return int(top)


@part()
def _lessen(message: Bytes, limit: np.uint16) -> None:
    """Replace words of magnitude `limit` by the next smaller one."""
    for i in range(0, message.size, 2):
        word = load_word(message, i)
        store_word(message, i, np.uint16(word - np.uint16((word & _WORD_MAGNITUDE) == limit)))


@kernel()
def to_half(x: Floats, message: Bytes) -> int:
    """Fill `message`, shape (4 + 2 d,), with a unit and x / unit in half precision; return the bits of max |x|.

    The unit is a float32 and a power of two: 1 if the largest magnitude is in [2^-6, 2^15), otherwise such that the
    scaled largest magnitude is in [2^4, 2^5). It is estimated from the first numbers, so that usually one pass is
    enough.
    Finite numbers stay finite: those that would become 2^128 become the next smaller number.
    """
    one = np.float32(1.0)
    halves = message[4:]
    factor = _fitting(_halve(x[:_HEAD], one, halves))
    top = _halve(x, factor, halves)
    if _fitting(top) != one:  # the first numbers are not representative
        top = _halve(x, one, halves)
        factor = _fitting(top)
        top = _halve(x, factor, halves)
    limit = np.float32(2.0**127) * factor * np.float32(2.0)  # 2^128 as sent, which float32 cannot represent
    if top >= magnitude(limit * _ROUNDED_UP):
        _lessen(halves, _half_of(limit))
    store_word(message, 0, one / factor)
    return int(top)


@kernel()
def from_half(message: Bytes, out: Floats) -> None:
    """Fill `out`, shape (d,), with the numbers in a `message` of `to_half`."""
    unit = load_single(message, 0)
    for i in range(out.size):
        out[i] = _single_of(load_word(message, 4 + 2 * i)) * unit


@kernel()
def to_brain(x: Floats, message: Bytes) -> int:
    """Fill `message`, shape (2 d,), with `x`, shape (d,), in bfloat16; return the bits of max |x| in float32.

    Finite numbers stay finite: those that would round to infinity become the largest finite number.
    """
    top = np.int32(0)
    for i in range(x.size):
        b = bits(x[i])
        even = np.uint32(b + _ALMOST_HALF + ((b >> _16) & _ONE))
        store_word(message, 2 * i, np.uint16(even >> _16))
        top = max(top, np.int32(b & _MAGNITUDE))
    if top > _LARGEST_BRAIN:
        _lessen(message, _BRAIN_INFINITY)
    return int(top)


@kernel()
def from_brain(message: Bytes, out: Floats) -> None:
    """Fill `out`, shape (d,), with the numbers of bfloat16 in `message`, shape (2 d,)."""
    for i in range(out.size):
        word = load_word(message, 2 * i)
        out[i] = np.uint32(np.uint32(word) << _16).view(np.float32)
