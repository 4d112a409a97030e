"""Losses of margins and their first and second derivatives, vectorised over rows.

exp and log1p are implemented without branches, so that LLVM vectorises them (libm's are calls): loss, residual and
curvature together take 1.5-2.5 ns per row, with numpy about 20. Relative errors are below 1e-15 over the whole range,
including infinities and underflow; NaN gives NaN.

A new loss needs a code, a function `(z, y, parameter) -> (loss, residual, curvature)`, and a branch in `evaluate` and
`loss_sum`. At a kink, the residual is one of the slopes there and the curvature that of one side; a NaN margin gives a
NaN residual. So comparisons are written such that NaN is preserved.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcopt.arrays import Columns, Vector
from hpcopt.kernels.cache import kernel, part

Element = Callable[[float, float, float], tuple[float, float, float]]

LossCode = tuple[int, float]
"""A loss in the kernels: its number, and its parameter, 0 if it has none."""

LOGISTIC: LossCode = (0, 0.0)
SQUARED: LossCode = (1, 0.0)
RELU: LossCode = (2, 0.0)
HINGE: LossCode = (3, 0.0)
SQUARED_HINGE: LossCode = (4, 0.0)
HUBER: LossCode = (5, 1.0)  # the parameter is delta

BLOCK = 512  # rows whose margins are processed together: 4 kB per vector, so several fit into the L1 cache

_EXACT = ("contract",)  # no reassociation: rounding by adding and subtracting _ROUND must survive
_SUM = ("contract", "reassoc")

_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low bits
_LOG2E = 1.4426950408889634
_LN2 = 0.6931471805599453
_LN2_HIGH = 0.6931471803691238  # the last 32 bits are zero, so that its product with an exponent is exact
_LN2_LOW = 1.9082149292705877e-10
_SQRT2_LESS_1 = 0.41421356237309503


@part(fastmath=_EXACT)
def _power_of_two(exponent: float) -> float:
    """Return 2**exponent for an integral exponent in [-1022, 1023]."""
    return np.int64(np.float64(exponent + _ROUND + 1023.0).view(np.int64) << 52).view(np.float64)


@part(fastmath=_EXACT)
def exp_of_negative(x: float) -> float:
    """Return exp(x) for x <= 0: exp(r) 2**k with r = x - k ln 2 in [-0.35, 0.35], by Taylor to r^13."""
    x = -746.0 if x < -746.0 else x  # exp is 0 below this; written such that NaN is preserved
    k = (x * _LOG2E + _ROUND) - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1.0
    p = p * r + 1.0
    half = (0.5 * k + _ROUND) - _ROUND  # two factors, so that results below 2**-1022 underflow gradually
    return p * _power_of_two(half) * _power_of_two(k - half)


@part(fastmath=_EXACT)
def _logistic(z: float, y: float, _: float) -> tuple[float, float, float]:
    """Loss log(1 + exp(-y z)), y in {-1, +1}.

    With m = y z, t = exp(-|m|): loss = log1p(t) + max(-m, 0), residual = -y t/(1+t) (m >= 0) or -y/(1+t),
    curvature = t/(1+t)^2. log1p(t) = c + 2 atanh(s), where s = t/(t+2), c = 0 for small t and
    s = (t-1)/(t+3), c = ln 2 otherwise: |s| < 0.172.
    """
    m = y * z
    t = exp_of_negative(-abs(m))
    far = t > _SQRT2_LESS_1
    below = t + 3.0 if far else t + 2.0
    above = t - 1.0 if far else t
    inverse = 1.0 / ((1.0 + t) * below)  # a single division for two quotients
    sigmoid = below * inverse
    s = above * (1.0 + t) * inverse
    q = s * s
    series = 1 / 19
    series = series * q + 1 / 17
    series = series * q + 1 / 15
    series = series * q + 1 / 13
    series = series * q + 1 / 11
    series = series * q + 1 / 9
    series = series * q + 1 / 7
    series = series * q + 1 / 5
    series = series * q + 1 / 3
    loss = 2.0 * (s + s * q * series)
    loss = loss + _LN2 if far else loss
    loss = loss - m if m < 0.0 else loss
    other = t * sigmoid
    residual = -y * (sigmoid if m < 0.0 else other)
    return loss, residual, other * sigmoid


@part(fastmath=_EXACT)
def _squared(z: float, y: float, _: float) -> tuple[float, float, float]:
    """Loss (z - y)^2 / 2."""
    r = z - y
    return 0.5 * r * r, r, 1.0


@part(fastmath=_EXACT)
def _relu(z: float, y: float, _: float) -> tuple[float, float, float]:
    """Loss (max(z, 0) - y)^2 / 2; its slope jumps at z = 0, where the left-hand value 0 is used."""
    r = (0.0 if z <= 0.0 else z) - y
    return 0.5 * r * r, 0.0 if z <= 0.0 else r, 0.0 if z <= 0.0 else 1.0


@part(fastmath=_EXACT)
def _hinge(z: float, y: float, _: float) -> tuple[float, float, float]:
    """Loss max(1 - y z, 0), y in {-1, +1}; at its kink the slope of the flat side is used."""
    r = 1.0 - y * z
    r = 0.0 if r <= 0.0 else r
    return r, (-y if r > 0.0 else r), 0.0


@part(fastmath=_EXACT)
def _squared_hinge(z: float, y: float, _: float) -> tuple[float, float, float]:
    """Loss max(1 - y z, 0)^2, y in {-1, +1}; where y z = 1, the curvature of the flat side is used."""
    r = 1.0 - y * z
    r = 0.0 if r <= 0.0 else r
    return r * r, -2.0 * y * r, (2.0 if r > 0.0 else 0.0)


@part(fastmath=_EXACT)
def _huber(z: float, y: float, delta: float) -> tuple[float, float, float]:
    """Loss r^2 / 2 for |r| <= delta, else delta |r| - delta^2 / 2, with r = z - y.

    With c the slope, r clipped to [-delta, delta], both are c (r - c/2), which does not overflow unless the loss does.
    """
    r = z - y
    c = delta if r > delta else r
    c = -delta if c < -delta else c
    return c * (r - 0.5 * c), c, (1.0 if c == r else 0.0)


@part(fastmath=_EXACT)
def _evaluate(
    loss: Element, parameter: float, z: Vector, y: Vector, losses: Vector, residual: Vector, curvature: Vector
) -> None:
    for k in range(z.size):
        losses[k], residual[k], curvature[k] = loss(z[k], y[k], parameter)


@part(fastmath=_SUM)
def _total(losses: Vector, count: int) -> float:
    total = 0.0
    for k in range(count):
        total += losses[k]
    return total


@part(fastmath=_SUM)
def _loss_sum(loss: Element, parameter: float, z: Vector, y: Vector) -> float:
    total = 0.0
    for i in range(z.size):
        total += loss(z[i], y[i], parameter)[0]
    return total


@part()
def evaluate(kind: LossCode, z: Vector, y: Vector, losses: Vector, residual: Vector, curvature: Vector) -> float:
    """Return the sum of the losses of some rows, and fill in their derivatives.

    The sum is computed in a loop that writes nothing. A loop that also writes is compiled in two versions, with and
    without vectors, and the alignment of the arrays would determine which one runs, and so the order of summation.
    Callers pass slices: with a first row as an argument, numba allows for negative indices and LLVM forgoes vectors.

    Parameters
    ----------
    kind
        Loss code.
    z, y
        Margins and targets, shape (n,).
    losses, residual, curvature
        The losses, dl/dz and d2l/dz2 are written to their first n elements.
    """
    number, parameter = kind
    if number == LOGISTIC[0]:
        _evaluate(_logistic, parameter, z, y, losses, residual, curvature)
    elif number == SQUARED[0]:
        _evaluate(_squared, parameter, z, y, losses, residual, curvature)
    elif number == RELU[0]:
        _evaluate(_relu, parameter, z, y, losses, residual, curvature)
    elif number == HINGE[0]:
        _evaluate(_hinge, parameter, z, y, losses, residual, curvature)
    elif number == SQUARED_HINGE[0]:
        _evaluate(_squared_hinge, parameter, z, y, losses, residual, curvature)
    elif number == HUBER[0]:
        _evaluate(_huber, parameter, z, y, losses, residual, curvature)
    else:
        raise ValueError("unknown loss code")
    return _total(losses, z.size)


@kernel()
def derivatives(kind: LossCode, z: Vector, y: Vector, residual: Vector, curvature: Vector) -> float:
    """Return the sum of the losses of margins `z` and targets `y`, both (n,), and fill in dl/dz and d2l/dz2."""
    return evaluate(kind, z, y, np.empty(z.size), residual, curvature)


@kernel()
def loss_sum(kind: LossCode, z: Vector, y: Vector) -> float:
    """Return the sum of the losses of margins `z` and targets `y`, both (n,)."""
    number, parameter = kind
    if number == LOGISTIC[0]:
        return _loss_sum(_logistic, parameter, z, y)
    if number == SQUARED[0]:
        return _loss_sum(_squared, parameter, z, y)
    if number == RELU[0]:
        return _loss_sum(_relu, parameter, z, y)
    if number == HINGE[0]:
        return _loss_sum(_hinge, parameter, z, y)
    if number == SQUARED_HINGE[0]:
        return _loss_sum(_squared_hinge, parameter, z, y)
    if number == HUBER[0]:
        return _loss_sum(_huber, parameter, z, y)
    raise ValueError("unknown loss code")


@kernel()
def loss_sums(kind: LossCode, margins: Columns, y: Vector, out: Vector) -> None:
    """Fill `out[j]` with the sum of the losses of `margins[j]`, shapes (m, n) and (m,), and targets `y`, (n,)."""
    for j in range(margins.shape[0]):
        out[j] = loss_sum(kind, margins[j], y)


@kernel()
def ray_losses(kind: LossCode, z: Vector, q: Vector, y: Vector, steps: Vector, out: Vector) -> None:
    """Fill `out[j]` with the sum over the rows of l(z - steps[j] q, y): losses along a ray of the model space.

    Parameters
    ----------
    z, q, y
        Margins, their change per unit step, and targets, shape (n,).
    steps, out
        Shape (m,).
    """
    out[:] = 0.0
    moved = np.empty(min(BLOCK, z.size))
    for first in range(0, z.size, BLOCK):
        count = min(BLOCK, z.size - first)
        for j in range(steps.size):
            step = steps[j]
            for i in range(count):
                moved[i] = z[first + i] - step * q[first + i]
            out[j] += loss_sum(kind, moved[:count], y[first : first + count])
