"""TernGrad: every number is rounded at random to zero or the largest magnitude, without bias.

With s the largest magnitude of a bucket, T(v)_i = s sgn(v_i) with probability |v_i| / s, else 0. Then E T(v) = v and
E ||T(v) - v||^2 = s ||v||_1 - ||v||^2. Of all vectors of n numbers, (s, a, ..., a) with a = s / (1 + sqrt n) has the
largest such error against its own square:

    omega = max over a of (s + (n-1) a) s / (s^2 + (n-1) a^2) - 1 = (sqrt(n) - 1) / 2.

Wen, Xu, Yan, Wu, Wang, Chen and Li, TernGrad, NeurIPS 2017. Deviation: its sigma is the deviation from the mean, ours
from zero (the root mean square), so that clipping does not delete a constant vector; gradients have a mean near zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpcopt.compression.base import Floats, Message, register
from hpcopt.compression.few_levels import FewLevels
from hpcopt.errors import InputError
from hpcopt.kernels import ternary


def variance_of_ternary(n: int) -> float:
    """Return omega for random rounding of `n` numbers to zero or their largest magnitude."""
    return (math.sqrt(n) - 1.0) / 2.0


@register("ternary")
@dataclass(frozen=True, kw_only=True)
class Ternary(FewLevels):
    """Random rounding to zero or the largest magnitude of a bucket: 1.6 bits per number.

    Parameters
    ----------
    clip
        If positive, magnitudes are first clipped to `clip` root mean squares (the paper: 2.5), at least 1: much less
        variance, but a bias.
    """

    paper = "Wen et al., TernGrad, NeurIPS 2017, arXiv 1705.07878"
    randomised = True

    clip: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.clip == 0.0 or 1.0 <= self.clip < math.inf):
            raise InputError(f"clip: expected 0 (off) or at least 1, got {self.clip}")

    @property
    def takes_lists(self) -> bool:
        return super().takes_lists and self.clip == 0.0  # the root mean square is that of all numbers

    def quantise(self, x: Floats, key: int, unit: float, bucket: int, message: Message) -> int:
        return ternary.round_ternary(x, np.uint64(key), unit, float(self.clip), bucket, message)

    def contraction(self, d: int) -> float | None:
        omega = self.variance(d)
        return 1.0 - omega if omega is not None and omega < 1.0 else None

    def variance(self, d: int) -> float | None:
        return variance_of_ternary(self.largest_bucket(d)) if self.clip == 0.0 else None
