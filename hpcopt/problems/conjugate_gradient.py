"""Conjugate gradients with the operator given as a function, so that its product may be a round of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector


@dataclass(frozen=True)
class Solved:
    """An approximate solution x (d,) and the number of products it cost."""

    x: Vector
    products: int


def conjugate_gradient(product: Callable[[Vector], Vector], b: Vector, tolerance: float, cap: int) -> Solved:
    """Solve A x = b for a symmetric positive semidefinite A, from x = 0.

    Parameters
    ----------
    product
        Returns A v for v of shape (d,).
    b
        Right-hand side, shape (d,).
    tolerance
        Stop when the residual's norm is at most this part of the norm of b.
    cap
        At most this many products.
    """
    x = np.zeros_like(b)
    r = b.copy()
    p = r.copy()
    rr = float(r @ r)
    goal = tolerance * tolerance * rr
    products = 0
    while products < cap and rr > goal:
        Ap = product(p)
        products += 1
        curvature = float(p @ Ap)
        if not curvature > 0.0:  # a direction that A does not see: what is left of b lies outside its range
            return Solved(x if products > 1 else b.copy(), products)
        step = rr / curvature
        x += step * p
        r -= step * Ap
        rr, before = float(r @ r), rr
        p *= rr / before
        p += r
    return Solved(x, products)
