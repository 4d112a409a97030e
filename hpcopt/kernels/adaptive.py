"""Adaptive subgradient steps with a soft threshold: metric, step and threshold of each coordinate in one pass.

With g the mean gradient, H = delta + sqrt(v) and the penalty l1 |x| + (c/2) x^2 of a coordinate, step t makes

    v <- v + g^2
    MIRROR      x <- S(x - (eta/H) g, eta l1/H) / (1 + eta c/H)
    AVERAGING   z <- z + g,                 x <- eta S(-z, t l1) / (H + eta t c)
    LEADER      z <- z + g - sigma x,       x as for AVERAGING,     sigma = (sqrt(v) - sqrt(v before)) / eta

where S(u, a) = sign(u) max(|u| - a, 0). With AVERAGING a coordinate is zero exactly where |z| <= t l1. A pass reads and
writes each number once; as numpy expressions these are a dozen passes. Once memory is fast enough, the square root and
the divisions limit it, hence one division where possible.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Levels, Vector
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.lanes import load_single
from hpcopt.kernels.trits import BLOCK, TERNARY, bytes_of_block, unpack

MIRROR, AVERAGING, LEADER = range(3)


@part()
def _shrunk(u: float, threshold: float) -> float:
    """Return sign(u) max(|u| - threshold, 0), zero without a sign."""
    return max(u - threshold, 0.0) + min(u + threshold, 0.0)


@part()
def _mirror(x: Vector, g: Vector, v: Vector, eta: float, delta: float, l1: float, c: float) -> None:
    for i in range(x.size):
        v[i] += g[i] * g[i]
        a = eta / (delta + np.sqrt(v[i]))
        u = _shrunk(x[i] - a * g[i], a * l1)
        x[i] = u if c == 0.0 else u / (1.0 + a * c)


@part()
def _averaging(
    x: Vector, g: Vector, v: Vector, z: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    threshold, base = t * l1, delta + eta * t * c
    for i in range(x.size):
        v[i] += g[i] * g[i]
        z[i] += g[i]
        x[i] = eta * _shrunk(-z[i], threshold) / (base + np.sqrt(v[i]))


@part()
def _leader(
    x: Vector, g: Vector, v: Vector, z: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    threshold, base = t * l1, delta + eta * t * c
    for i in range(x.size):
        before = np.sqrt(v[i])
        v[i] += g[i] * g[i]
        root = np.sqrt(v[i])
        z[i] += g[i] - (root - before) / eta * x[i]
        x[i] = eta * _shrunk(-z[i], threshold) / (base + root)


@part()
def _step(
    rule: int, x: Vector, g: Vector, v: Vector, z: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    if rule == MIRROR:
        _mirror(x, g, v, eta, delta, l1, c)
    elif rule == AVERAGING:
        _averaging(x, g, v, z, eta, delta, t, l1, c)
    else:
        _leader(x, g, v, z, eta, delta, t, l1, c)


@kernel()
def step(
    rule: int, x: Vector, g: Vector, v: Vector, z: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    """Make a step of `rule` in place.

    Parameters
    ----------
    rule
        MIRROR, AVERAGING or LEADER.
    x, g, v, z
        Model, mean gradient, sums of its squares and sums of gradients, shape (d,); MIRROR does not use `z`.
    eta, delta
        Step size and the constant in H, above 0.
    t
        The number of this step, from 1.
    l1, c
        The penalty.
    """
    _step(rule, x, g, v, z, eta, delta, t, l1, c)


@part()
def _add_levels(levels: Levels, unit: np.float32, total: Vector) -> None:
    for i in range(total.size):
        total[i] += unit * np.float32(levels[i])


@part()
def _divide(total: Vector, count: int) -> None:
    for i in range(total.size):
        total[i] /= count


@kernel()
def decode_and_step(
    messages: NDArray[np.uint8],
    bucket: int,
    rule: int,
    x: Vector,
    v: Vector,
    z: Vector,
    eta: float,
    delta: float,
    t: float,
    penalised: int,
    l1: float,
    c: float,
) -> None:
    """Make a step of `rule` with the mean of ternary messages, which are decoded while a block is in the L1 cache.

    Parameters
    ----------
    messages
        One per row, densely packed by `ternary`, all of one length.
    bucket
        Numbers in a bucket.
    penalised
        Number of leading coordinates with the penalty.
    rule, x, v, z, eta, delta, t, l1, c
        As for `step`.
    """
    d = x.size
    header = 4 * ((d + bucket - 1) // bucket)
    levels, fractions, total = np.empty(BLOCK, np.int8), np.empty(BLOCK // 3, np.uint8), np.empty(BLOCK)
    for first in range(0, d, BLOCK):
        last = min(first + BLOCK, d)
        g = total[: last - first]
        for i in range(g.size):
            g[i] = 0.0
        for k in range(messages.shape[0]):
            message = messages[k]
            unpack(TERNARY, bytes_of_block(TERNARY, first, g.size, message[header:]), fractions, levels)
            for b in range(first // bucket, (last - 1) // bucket + 1):
                i, j = max(b * bucket, first), min((b + 1) * bucket, last)
                _add_levels(levels[i - first :], load_single(message, 4 * b), g[i - first : j - first])
        _divide(g, messages.shape[0])
        middle = min(max(penalised, first), last)
        for i, j, weight, curvature in ((first, middle, l1, c), (middle, last, 0.0, 0.0)):
            if i < j:
                sums = z[i:j] if z.size else z
                _step(rule, x[i:j], g[i - first : j - first], v[i:j], sums, eta, delta, t, weight, curvature)
