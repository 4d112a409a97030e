"""Signs and one common magnitude: one bit per number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.kernels import bits

_LARGEST = float(np.finfo(np.float32).max)


@register("sign")
@dataclass(frozen=True, kw_only=True)
class Sign(Compressor):
    """(||v||_1 / d) sgn v, with sgn 0 = +1: one bit per number and the mean magnitude as float32.

    It is contractive with delta = ||v||_1^2 / (d ||v||^2), which is 2/pi for normal numbers and 1/2 for Laplacian ones;
    the declared constant, 1/d, is that of a vector with a single nonzero, minus float32 rounding.
    """

    paper = "Karimireddy, Rebjock, Stich and Jaggi, ICML 2019 (scaled sign)"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        message = room(x, 4 + (x.size + 7) // 8, out)
        if not bits.encode_signs(x, message) <= _LARGEST:
            raise NotFiniteError("sign: NaN, infinity or a mean magnitude beyond float32 in the vector")
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, 4 + (out.size + 7) // 8, out)
        bits.decode_signs(message, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        return 4 + (d + 7) // 8

    def contraction(self, d: int) -> float | None:
        return (1.0 - 2.0**-48) / max(d, 1)
