"""Adaptive subgradient steps with a soft threshold: metric, step and threshold of each coordinate in one pass.

With g the mean gradient, H = delta + sqrt(v) and the penalty l1 |x| + (c/2) x^2 of a coordinate, step t makes

    v <- v + g^2
    MIRROR      x <- S(x - (eta/H) g, eta l1/H) / (1 + eta c/H)
    AVERAGING   z <- z + g,                 x <- (eta t/H) S(-z/t, l1) / (1 + eta t c/H)
    LEADER      z <- z + g - sigma x,       x as for AVERAGING,     sigma = (sqrt(v) - sqrt(v before)) / eta

where S(u, a) = sign(u) max(|u| - a, 0). AVERAGING compares the mean z/t itself with l1, so a coordinate is zero exactly
where |z/t| <= l1. A pass reads and writes each number once; as numpy expressions these are a dozen passes.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.kernels.cache import kernel, part

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
        x[i] = _shrunk(x[i] - a * g[i], a * l1) / (1.0 + a * c)


@part()
def _averaging(
    x: Vector, g: Vector, v: Vector, z: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    for i in range(x.size):
        v[i] += g[i] * g[i]
        z[i] += g[i]
        a = eta * t / (delta + np.sqrt(v[i]))
        x[i] = a * _shrunk(-z[i] / t, l1) / (1.0 + a * c)


@part()
def _leader(
    x: Vector, g: Vector, v: Vector, z: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    for i in range(x.size):
        before = np.sqrt(v[i])
        v[i] += g[i] * g[i]
        root = np.sqrt(v[i])
        z[i] += g[i] - (root - before) / eta * x[i]
        a = eta * t / (delta + root)
        x[i] = a * _shrunk(-z[i] / t, l1) / (1.0 + a * c)


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
    if rule == MIRROR:
        _mirror(x, g, v, eta, delta, l1, c)
    elif rule == AVERAGING:
        _averaging(x, g, v, z, eta, delta, t, l1, c)
    else:
        _leader(x, g, v, z, eta, delta, t, l1, c)
