"""Threshold ternary: large numbers become one common magnitude, small ones zero; with an unbiased variant.

T(v)_i = s sgn(v_i) if |v_i| > D, else 0, with s the mean of the K magnitudes above D. This s is optimal for the given
support: ||T(v) - v||^2 = ||v||^2 - K s^2, so T is contractive with delta = K s^2 / ||v||^2.

D = kappa mean |v|, over all n numbers or over the nonzero ones. The numbers below D sum to at most kappa ||v||_1, so K
s >= (1 - kappa) ||v||_1 and delta >= (1 - kappa)^2 ||v||_1^2 / (n ||v||^2) >= (1 - kappa)^2 / n. This is the bound for
the worst vector; kappa = 0.7 gives 0.72 for Laplacian numbers and 0.81 for normal ones. For a sparse v, the mean over
all numbers keeps nearly everything; use the mean over the nonzeros.

D = "exact" maximises K s^2 = F(K) = (sum of the K largest)^2 / K. If no F(K) exceeds 1, the K largest sum to at most
sqrt K for all K, so the magnitudes are majorised by w_i = sqrt i - sqrt(i - 1), and ||v||^2 <= sum_i w_i^2. As w_i^2 <=
1 / (4 (i - 1)), delta >= 1 / (1 + H(n - 1) / 4) >= 1 / (1 + (1 + ln(n - 1)) / 4): 0.21 for a million numbers, and v = w
comes close. For Laplacian numbers delta is 0.74, for normal ones 0.81.

The unbiased variant rounds |v_i| at random to an adjacent value of 0, D and the largest magnitude s. Both terms of its
error, |v| (D - |v|) below D and (|v| - D) (s - |v|) above, are at most TernGrad's |v| (s - |v|), and so is omega.

The mean rule is that of ternary weight networks (Li, Zhang and Liu, 2016), applied to gradients; the exact rule and the
unbiased variant are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hpcopt.checks import one_of, within
from hpcopt.compression.base import Floats, Message, register
from hpcopt.compression.few_levels import FewLevels, scales_of
from hpcopt.compression.ternary import variance_of_ternary
from hpcopt.kernels import ternary
from hpcopt.kernels.trits import QUINARY, TERNARY

_RULES = {"all": ternary.ALL, "nonzero": ternary.NONZERO, "exact": ternary.EXACT}
_ROUNDED = 1.0 - 2.0**-48  # accounts for rounding to float32


@register("threshold-ternary")
@dataclass(frozen=True, kw_only=True)
class ThresholdTernary(FewLevels):
    """Magnitudes above a threshold become their mean, the others zero: 1.6 bits per number.

    Parameters
    ----------
    rule
        The threshold D: "all": kappa times the mean magnitude; "nonzero": kappa times the mean magnitude of the nonzero
        numbers; "exact": the threshold of least error.
    kappa
        In [0, 1); rule "exact" does not use it.
    unbiased
        Whether to round each number at random to an adjacent one of 0, D and the largest magnitude instead: 2.67 bits
        per number.
    """

    paper = "Li, Zhang and Liu, Ternary weight networks, 2016, arXiv 1605.04711"

    rule: Literal["all", "nonzero", "exact"] = "all"
    kappa: float = 0.7
    unbiased: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(_RULES, rule=self.rule)
        within(0, 1, including="low", kappa=self.kappa)

    @property
    def randomised(self) -> bool:  # type: ignore[override]
        return self.unbiased

    @property
    def base(self) -> int:
        return QUINARY if self.unbiased else TERNARY

    def among(self, m: int, d: int) -> ThresholdTernary:
        return replace(self, kappa=self.kappa * m / d) if self.rule == "all" else self

    def quantise(self, x: Floats, key: int, unit: float, bucket: int, message: Message) -> int:
        rule, kappa = _RULES[self.rule], float(self.kappa)
        if self.unbiased:
            assert not unit, "five values have two scales"
            return ternary.round_quinary(x, np.uint64(key), rule, kappa, bucket, message)
        count = ternary.threshold_ternary(x, rule, kappa, bucket, message)
        if unit and count >= 0:
            scales_of(message, x.size, bucket)[:] = unit
        return count

    def contraction(self, d: int) -> float | None:
        n = self.largest_bucket(d)
        if self.unbiased:
            omega = variance_of_ternary(n)
            return 1.0 - omega if omega < 1.0 else None
        if self.rule == "exact":
            return _ROUNDED / (1.25 + math.log(n - 1) / 4.0) if n > 1 else _ROUNDED
        return _ROUNDED * (1.0 - self.kappa) ** 2 / n

    def variance(self, d: int) -> float | None:
        return variance_of_ternary(self.largest_bucket(d)) if self.unbiased else None
