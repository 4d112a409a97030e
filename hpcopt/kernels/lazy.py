"""Adaptive subgradient steps on a few coordinates; the others are brought up to date when they are needed.

Where the mean gradient g is zero, H = delta + sqrt(v) stays as it is, so that k such steps have a closed form. With
a = eta/H, the penalty l1 |x| + (c/2) x^2 of a coordinate, q = 1/(1 + a c) and S as in `adaptive`:

    MIRROR                k times  x <- q S(x, a l1)
      c = 0               S(x, k a l1)
      otherwise           sign(x) max(q^k |x| - (l1/c) (1 - q^k), 0)
    AVERAGING, LEADER     x = eta S(-z, t l1) / (H + eta t c), from z, v and t alone

The numbers of a coordinate are neighbours in memory, so that a coordinate is one cache miss, which is prefetched:

    MIRROR                x, v, the number of the step that x has come to, a
    AVERAGING, LEADER     v, z

a, which saves a square root and a division, is needed only where x is not zero. The other rules do not store x: it is
the starting point before the first step.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Columns, Places, Vector
from hpcopt.kernels.adaptive import AVERAGING, LEADER, MIRROR, _shrunk
from hpcopt.kernels.cache import kernel, part
from hpcopt.kernels.prefetch import prefetch_number

NUMBERS = {MIRROR: 4, AVERAGING: 2, LEADER: 2}
"""How many numbers a coordinate has: 32 or 16 bytes, so that none lies in two cache lines."""

_M = np.uintp(4)
_X, _V, _DONE, _RATE = np.uintp(0), np.uintp(1), np.uintp(2), np.uintp(3)
_A = np.uintp(2)
_SQUARES, _SUM = np.uintp(0), np.uintp(1)

_AHEAD = 64  # coordinates
_BLOCK = 64


def begin(rule: int, x: Vector, v: Vector, records: Columns, eta: float, delta: float) -> None:
    """Fill `records`, shape (d, NUMBERS[rule]), for a starting point `x` and sums of squares `v`, shape (d,)."""
    if rule == MIRROR:
        records[:, _X], records[:, _V], records[:, _RATE] = x, v, eta / (delta + np.sqrt(v))
    else:
        records[:, _SQUARES] = v


@part()
def _after(x: float, a: float, k: float, l1: float, c: float) -> float:
    """Return x after `k` steps of MIRROR without a gradient."""
    if c == 0.0:
        return _shrunk(x, k * a * l1)
    if k == 0 or x == 0.0:
        return x
    exponent = -k * np.log1p(a * c)
    size = abs(x) * np.exp(exponent) + l1 / c * np.expm1(exponent)
    return np.copysign(size, x) if size > 0.0 else 0.0


@part()
def _averaged(z: float, H: float, eta: float, t: float, l1: float, c: float) -> float:
    """Return the x of AVERAGING and LEADER after step `t`."""
    return eta * _shrunk(-z, t * l1) / (H + eta * t * c)


@part()
def _penalised(places: Places, penalised: int) -> int:
    """Return how many of `places` the penalty acts on; they are the first ones."""
    count = places.size
    while count > 0 and places[count - 1] >= penalised:
        count -= 1
    return count


@part()
def _soon(places: Places, j: int) -> np.int64:
    return np.int64(places[min(j + _AHEAD, places.size - 1)])


@part()
def _mirror_now(places: Places, numbers: Vector, t: float, l1: float, c: float, out: Vector) -> None:
    for j in range(places.size):
        prefetch_number(numbers, 4 * _soon(places, j))
        i = _M * np.uintp(places[j])
        out[j] = _after(numbers[i + _X], numbers[i + _RATE], t - numbers[i + _DONE], l1, c)


@part()
def _averaged_now(
    places: Places, numbers: Vector, eta: float, delta: float, t: float, l1: float, c: float, out: Vector
) -> None:
    """Collect the numbers of a block first, so that square roots and divisions are vectorised."""
    v, z = np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(0, places.size, _BLOCK):
        now = out[first : first + _BLOCK]
        for j in range(now.size):
            prefetch_number(numbers, 2 * _soon(places, first + j))
            i = _A * np.uintp(places[first + j])
            v[j], z[j] = numbers[i + _SQUARES], numbers[i + _SUM]
        for j in range(now.size):
            now[j] = _averaged(z[j], delta + np.sqrt(v[j]), eta, t, l1, c)


@kernel()
def current(
    rule: int,
    places: Places,
    start: Vector,
    records: Columns,
    eta: float,
    delta: float,
    t: int,
    l1: float,
    c: float,
    penalised: int,
    out: Vector,
) -> None:
    """Fill `out` with the model after step `t` at the coordinates `places`, sorted, shape (m,).

    Parameters
    ----------
    rule, eta, delta, l1, c
        As for `adaptive.step`.
    start
        The starting point, shape (d,).
    records
        The numbers of each coordinate, shape (d, NUMBERS[rule]).
    penalised
        The penalty acts on the coordinates below.
    """
    numbers = records.ravel()
    border = _penalised(places, penalised)
    for first, last, b, e in ((0, border, l1, c), (border, places.size, 0.0, 0.0)):
        some, now = places[first:last], out[first:last]
        if t == 0:
            for j in range(some.size):
                now[j] = start[np.uintp(some[j])]
        elif rule == MIRROR:
            _mirror_now(some, numbers, np.float64(t), b, e, now)
        else:
            _averaged_now(some, numbers, eta, delta, np.float64(t), b, e, now)


@part()
def _mirror_step(
    places: Places, g: Vector, numbers: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    """Make the step; not in blocks, since stores to scattered numbers are slower if they are vectorised."""
    for j in range(places.size):
        prefetch_number(numbers, 4 * _soon(places, j))
        i = _M * np.uintp(places[j])
        x = _after(numbers[i + _X], numbers[i + _RATE], t - 1.0 - numbers[i + _DONE], l1, c)
        v = numbers[i + _V] + g[j] * g[j]
        a = eta / (delta + np.sqrt(v))
        x = _shrunk(x - a * g[j], a * l1)
        numbers[i + _X] = x if c == 0.0 else x / (1.0 + a * c)
        numbers[i + _V] = v
        numbers[i + _DONE] = t
        numbers[i + _RATE] = a


@part()
def _averaging_step(places: Places, g: Vector, numbers: Vector) -> None:
    for j in range(places.size):
        prefetch_number(numbers, 2 * _soon(places, j))
        i = _A * np.uintp(places[j])
        numbers[i + _SQUARES] += g[j] * g[j]
        numbers[i + _SUM] += g[j]


@part()
def _leader_step(
    places: Places, g: Vector, start: Vector, numbers: Vector, eta: float, delta: float, t: float, l1: float, c: float
) -> None:
    for j in range(places.size):
        prefetch_number(numbers, 2 * _soon(places, j))
        i = _A * np.uintp(places[j])
        before = np.sqrt(numbers[i + _SQUARES])
        now = start[places[j]] if t == 1.0 else _averaged(numbers[i + _SUM], delta + before, eta, t - 1.0, l1, c)
        numbers[i + _SQUARES] += g[j] * g[j]
        numbers[i + _SUM] += g[j] - (np.sqrt(numbers[i + _SQUARES]) - before) / eta * now


@kernel()
def step(
    rule: int,
    places: Places,
    g: Vector,
    start: Vector,
    records: Columns,
    eta: float,
    delta: float,
    t: int,
    l1: float,
    c: float,
    penalised: int,
) -> None:
    """Make step `t`, from 1, at the coordinates `places`, sorted, each once, where the mean gradient is `g` (m,).

    The other parameters as for `current`.
    """
    numbers = records.ravel()
    border = _penalised(places, penalised)
    for first, last, b, e in ((0, border, l1, c), (border, places.size, 0.0, 0.0)):
        some, slope = places[first:last], g[first:last]
        if rule == MIRROR:
            _mirror_step(some, slope, numbers, eta, delta, np.float64(t), b, e)
        elif rule == AVERAGING:
            _averaging_step(some, slope, numbers)
        else:
            _leader_step(some, slope, start, numbers, eta, delta, np.float64(t), b, e)
