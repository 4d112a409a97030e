"""k numbers at random indices. The receiver derives the indices from a key, so only numbers and key are sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcopt.compression.base import Floats, Message, NotFiniteError, expect, register, room
from hpcopt.compression.sparsifier import Sparsifier
from hpcopt.kernels import gather

_KEY = 8  # bytes


@register("random-k")
@dataclass(frozen=True, kw_only=True)
class RandomK(Sparsifier):
    """k numbers at random indices without repetition, as float32 and an 8-byte key; the others become zero.

    Unscaled, it is contractive with delta = k / d. Scaled by d / k it is unbiased, with variance d / k - 1. Encoding
    reads only the k numbers: NaN and infinity elsewhere are neither noticed nor sent.

    Parameters
    ----------
    scaled
        Whether the numbers are multiplied by d / k.
    """

    paper = "Stich, Cordonnier and Jaggi, NeurIPS 2018; scaled: Wangni, Wang, Liu and Zhang, NeurIPS 2018"
    randomised = True

    scaled: bool = False

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        k = self.kept(x.size)
        message = room(x, _KEY + 4 * k, out)
        scale = x.size / k if self.scaled and k else 1.0
        if not gather.encode_drawn(x, np.uint64(key), k, scale, message):
            raise NotFiniteError("random-k: NaN, infinity or a number beyond float32 in the vector")
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        expect(message, _KEY + 4 * self.kept(out.size), out)
        gather.decode_drawn(message, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        return _KEY + 4 * self.kept(d)

    def contraction(self, d: int) -> float | None:
        if not d:
            return 1.0
        share = self.kept(d) / d
        if self.scaled:  # E ||C(x) - x||^2 = (d / k - 1) ||x||^2
            return 2.0 - 1.0 / share if share > 0.5 else None
        return share * (1.0 - 2.0**-48)

    def variance(self, d: int) -> float | None:
        if not self.scaled:
            return None
        return d / self.kept(d) - 1.0 if d else 0.0
