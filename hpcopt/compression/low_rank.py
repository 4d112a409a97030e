"""Low-rank approximation: the vector, as a matrix, is sent as two thin factors of about 8 r sqrt(d) bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcopt.checks import at_least
from hpcopt.compression.base import Compressor, Floats, Message, NotFiniteError, expect, register, room
from hpcopt.kernels import low_rank


@register("low-rank")
@dataclass(frozen=True, kw_only=True)
class LowRank(Compressor):
    """PowerSGD: the vector as a nearly square matrix M, approximated by P Q^T with Q = M^T P.

    P is an orthonormal basis of M G, where G holds normal random numbers drawn from the key. C(x) is therefore M
    projected onto a subspace, and

        E ||C(x) - x||^2 <= (1 - r / min(m, n)) ||x||^2

    for any spectrum, with equality for a flat one: given the previous columns, each further column keeps a weighted
    mean of the remainder's squared singular values, in which larger ones have larger weights: at least their plain
    mean. (float32 rounding lowers the constant by a millionth.) Gradient matrices have steep spectra and lose far less;
    vectors without structure lose this much.

    Deviations from PowerSGD: (1) Q starts from random numbers each time, not from the last message, because encoders
    have no memory; `iterations` compensates for that. (2) One node's matrix is compressed, not the mean of all: P and Q
    are sent together. (3) The whole model is one matrix.

    Parameters
    ----------
    rank
        Number of columns of P and Q, at least one; more than min(m, n) count as min(m, n), which loses float32 rounding
        only.
    iterations
        Number of power iterations, at least one; each further one reads the matrix twice more and improves the
        subspace.
    """

    paper = "Vogels, Karimireddy and Jaggi, NeurIPS 2019, Algorithm 1 (PowerSGD)"
    randomised = True

    rank: int = 1
    iterations: int = 1

    def __post_init__(self) -> None:
        at_least(1, rank=self.rank, iterations=self.iterations)

    def encode(self, x: Floats, key: int = 0, out: Message | None = None) -> Message:
        rank, m, n = self._shape(x.size)
        message = room(x, 4 * rank * (m + n), out)
        if not low_rank.encode_product(x, np.uint64(key), self.iterations, rank, n, message):
            raise NotFiniteError("low-rank: NaN, infinity or a number beyond float32 in the vector or its factors")
        return message

    def decode(self, message: Message, out: Floats) -> Floats:
        rank, m, n = self._shape(out.size)
        expect(message, 4 * rank * (m + n), out)
        low_rank.decode_product(message, rank, n, out)
        return out

    def size(self, d: int, itemsize: int = 8) -> int | None:  # noqa: ARG002
        rank, m, n = self._shape(d)
        return 4 * rank * (m + n)

    def contraction(self, d: int) -> float | None:
        rank, m, n = self._shape(d)
        return rank / min(m, n) * (1.0 - 2.0**-20) if d else 1.0

    def _shape(self, d: int) -> tuple[int, int, int]:
        """Return the rank, rows and columns of the matrix of d numbers."""
        n = math.isqrt(d - 1) + 1 if d else 1
        m = -(-d // n)
        return min(self.rank, m, n), m, n
