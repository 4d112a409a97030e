"""Push-sum: averaging on directed graphs, where a node knows its out-degree only.

A node holds a mass (x, y): a vector, initially its model, and a weight, initially 1. It sends equal parts of both to
its targets and keeps one, so the sums of x and of y are conserved, and x / y tends to the mean on every node, on
directed and on time-varying graphs, whenever the parts arrive. (Kempe, Dobra, Gehrke 2003, FOCS.)
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hpcopt.arrays import Bytes, Vector
from hpcopt.topology.mixing import Mixing

LONGEST = 1000  # most steps searched for the smallest weight
SETTLED = 1e-3  # relative change over a period


def mass_of(w: Vector) -> Vector:
    """Return the mass of a node that starts at the model `w`, (d,): x followed by y, shape (d + 1,)."""
    return np.append(w, 1.0)


def model_of(mass: Vector) -> Vector:
    """Return z = x / y, shape (d,)."""
    return np.asarray(mass[:-1] / mass[-1])


def packed(mass: Vector) -> Bytes:
    """Return `mass` as a message."""
    return mass.view(np.uint8)


def unpacked(message: Bytes) -> Vector:
    """Return the mass in `message`, read-only."""
    return message.view(np.float64)


@lru_cache(maxsize=1)  # the same for every node
def smallest_weight(mixing: Mixing) -> float:
    """Return the smallest y of any node, at most 1, if all push synchronously: a step eta of x is eta / y of z."""
    pushes = [(matrix != 0.0).T.astype(np.float64).tocsr() for matrix in mixing.matrices]  # row i: its targets
    y = np.ones(mixing.n)
    smallest = 1.0
    for _ in range(max(1, LONGEST // mixing.period)):
        before = y
        for push in pushes:
            own = push.diagonal()
            part = y / (1.0 + push.sum(axis=1) - own)
            y = part + push.T @ part - own * part
            smallest = min(smallest, float(y.min()))
        if np.abs(y - before).max() <= SETTLED * y.min():
            break
    return smallest
