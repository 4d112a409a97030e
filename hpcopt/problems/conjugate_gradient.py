"""Conjugate gradients with the operator given as a function, so that a product may be a communication round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector


@dataclass(frozen=True)
class Solved:
    """An approximate solution x (d,) and the number of products used."""

    x: Vector
    products: int


def _unchanged(r: Vector) -> Vector:
    return r


def conjugate_gradient(
    product: Callable[[Vector], Vector],
    b: Vector,
    tolerance: float,
    cap: int,
    precondition: Callable[[Vector], Vector] = _unchanged,
) -> Solved:
    """Solve A x = b for a symmetric positive semidefinite A, from x = 0.

    Parameters
    ----------
    product
        Returns A v for v of shape (d,).
    b
        Right-hand side, shape (d,).
    tolerance
        Stop when the residual's norm is at most this fraction of the norm of b.
    cap
        Maximum number of products.
    precondition
        Returns M^-1 r for r of shape (d,), M symmetric positive definite; norms are then sqrt(r^T M^-1 r).
    """
    x = np.zeros_like(b)
    r = b.copy()
    z = precondition(r)
    p = z.copy()
    rz = float(r @ z)
    goal = tolerance * tolerance * rz
    products = 0
    while products < cap and rz > goal:
        Ap = product(p)
        products += 1
        curvature = float(p @ Ap)
        if not curvature > 0.0:  # a direction in the kernel of A: the residual lies outside its range
            return Solved(x if products > 1 else p, products)
        step = rz / curvature
        x += step * p
        r -= step * Ap
        z = precondition(r)
        rz, before = float(r @ z), rz
        p *= rz / before
        p += z
    return Solved(x, products)
