"""Adaptive subgradient steps on a few coordinates; the others are brought up to date when they are needed.

Where the mean gradient g is zero, H = delta + sqrt(v) stays as it is, so that k such steps have a closed form. With
a = eta/H, the penalty l1 |x| + (c/2) x^2 of a coordinate, q = 1/(1 + a c) and S as in `adaptive`:

    MIRROR                k times  x <- q S(x, a l1)
      c = 0               S(x, k a l1)
      otherwise           sign(x) max(q^k |x| - (l1/c) (1 - q^k), 0)
    AVERAGING, LEADER     x = (eta t/H) S(-z/t, l1) / (1 + eta t c/H), from z, v and t alone

MIRROR has, for each coordinate, the number of steps that are in x. The other rules do not store x: it is the starting
point before the first step.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Places, Vector
from hpcopt.kernels.adaptive import AVERAGING, MIRROR, _shrunk
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.prefetch import prefetch_number

_AHEAD = 16  # coordinates


@part()
def _after(x: float, a: float, k: float, l1: float, c: float) -> float:
    """Return x after `k` steps of MIRROR without a gradient."""
    if k == 0 or x == 0.0:
        return x
    if c == 0.0:
        return _shrunk(x, k * a * l1)
    exponent = -k * np.log1p(a * c)
    size = abs(x) * np.exp(exponent) + l1 / c * np.expm1(exponent)
    return np.copysign(size, x) if size > 0.0 else 0.0


@part()
def _averaged(z: float, a: float, t: float, l1: float, c: float) -> float:
    """Return the x of AVERAGING and LEADER after step `t`, for a = eta/H."""
    return t * a * _shrunk(-z / t, l1) / (1.0 + t * a * c)


@kernel()
def current(
    rule: int,
    places: Places,
    x: Vector,
    v: Vector,
    z: Vector,
    done: Vector,
    eta: float,
    delta: float,
    t: int,
    l1: float,
    c: float,
    penalised: int,
    out: Vector,
) -> None:
    """Fill `out` with the model after step `t` at the coordinates `places`, shape (m,).

    Parameters
    ----------
    rule, v, z, eta, delta, l1, c
        As for `adaptive.step`.
    x
        MIRROR: coordinate i after step done[i]; the other rules: the starting point. Shape (d,).
    done
        Shape (d,); the other rules do not use it.
    penalised
        The penalty acts on the coordinates below.
    """
    for j in range(places.size):
        prefetch_number(v, places[min(j + _AHEAD, places.size - 1)])
        i = np.uintp(places[j])
        b, e = (l1, c) if places[j] < penalised else (0.0, 0.0)
        if rule == MIRROR:
            out[j] = x[i] if b == e == 0.0 else _after(x[i], eta / (delta + np.sqrt(v[i])), t - done[i], b, e)
        else:
            out[j] = x[i] if t == 0 else _averaged(z[i], eta / (delta + np.sqrt(v[i])), np.float64(t), b, e)


@kernel()
def step(
    rule: int,
    places: Places,
    g: Vector,
    x: Vector,
    v: Vector,
    z: Vector,
    done: Vector,
    eta: float,
    delta: float,
    t: int,
    l1: float,
    c: float,
    penalised: int,
) -> None:
    """Make step `t`, from 1, at the coordinates `places`, each once, where the mean gradient is `g`, shape (m,).

    The other parameters as for `current`.
    """
    for j in range(places.size):
        prefetch_number(v, places[min(j + _AHEAD, places.size - 1)])
        i = np.uintp(places[j])
        b, e = (l1, c) if places[j] < penalised else (0.0, 0.0)
        before = np.sqrt(v[i])
        v[i] += g[j] * g[j]
        root = np.sqrt(v[i])
        if rule == MIRROR:
            now = x[i] if b == e == 0.0 else _after(x[i], eta / (delta + before), t - 1 - done[i], b, e)
            a = eta / (delta + root)
            x[i] = _shrunk(now - a * g[j], a * b) / (1.0 + a * e)
            done[i] = t
        elif rule == AVERAGING:
            z[i] += g[j]
        else:
            now = x[i] if t == 1 else _averaged(z[i], eta / (delta + before), np.float64(t - 1), b, e)
            z[i] += g[j] - (root - before) / eta * now
