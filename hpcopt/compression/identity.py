"""No compression: the bytes of the vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.kernels.finite import INFINITY, WORDS, all_finite


@register("identity")
@dataclass(frozen=True, kw_only=True)
class Identity(Compressor):
    """No compression: four or eight bytes per number."""

    paper = "none: the uncompressed message"

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:  # noqa: ARG002
        message = room(x, x.nbytes, out)
        if not all_finite(x.view(WORDS[x.itemsize]), INFINITY[x.itemsize]):
            raise NotFiniteError("identity: NaN or infinity in the vector")
        message[:] = x.view(np.uint8)
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, 4 * out.size if message.size == 4 * out.size else 8 * out.size, out)
        out[:] = self.view(message, out.size)
        return out

    def view(self, message: Message, d: int) -> Floats:
        return message.view(np.float32 if message.size == 4 * d else np.float64)

    def size(self, d: int, itemsize: int = 8) -> int | None:
        return d * itemsize

    def contraction(self, d: int) -> float | None:  # noqa: ARG002
        return 1.0

    def variance(self, d: int) -> float | None:  # noqa: ARG002
        return 0.0
