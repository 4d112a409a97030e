"""The step of a proximal quasi-Newton method: a quadratic plus a penalty, which each node minimises by itself.

    minimise over u    c.(u - w) + (u - w)' B (u - w) / 2 + r(u)                                                    (1)
    B = gamma G + sum_j (b_j b_j' - a_j a_j'),    a_j = B_j s_j / sqrt(s_j' B_j s_j),    b_j = y_j / sqrt(s_j.y_j)  (2)

G is a bound on the Hessian of the loss (`Metric`), or its diagonal; B_j has the pairs (s, y) before the j-th. (2) is
Nocedal and Wright, Numerical Optimization, section 7.2, unrolled. Two kinds of steps alternate:

- accelerated proximal gradient steps in the metric of B's first term (Beck and Teboulle 2009, FISTA), restarted where
  they go uphill (O'Donoghue and Candes 2015), for any penalty;
- if r is a sum of magnitudes and squares, Newton steps on the weights that are not zero, at most to where a sign
  changes, so that the weight is zero from then on: the subspace optimisation of Wen, Yin, Goldfarb and Zhang 2010.

Ours: that the Newton steps go on until no sign changes, at most `REPEATS` times.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.problems.conjugate_gradient import conjugate_gradient
from hpcopt.problems.lanczos import largest_eigenvalue
from hpcopt.problems.metric import EPS, Metric
from hpcopt.problems.penalties import Penalty

CYCLES, STEPS, REPEATS = 10, 10, 10  # of both kinds of steps; proximal steps in each; Newton steps in each
ALONE = 2000  # proximal steps for penalties without Newton steps
DIRECT = 1024  # most coordinates for which B is formed, and Newton steps solved by Cholesky
PRODUCTS = 100  # for a Newton step in more coordinates, by conjugate gradients
JITTER = 1e-12  # relative to the diagonal: G is singular if features are dependent


class QuasiHessian:
    """B of (2), on some of the coordinates.

    Parameters
    ----------
    metric
        G, of the loss alone.
    steps, changes
        Pairs (s_j, y_j) in centred coordinates with s_j.y_j = 1, oldest first; (d,) each.
    chosen
        The coordinates, shape (m,), ascending; those where any s_j differs from 0 are among them.
    """

    def __init__(
        self, metric: Metric, steps: Sequence[Vector], changes: Sequence[Vector], chosen: NDArray[np.int64]
    ) -> None:
        self._metric, self._chosen = metric, chosen
        # y.G^-1.y / s.y is the scale of L-BFGS; above 1 it shows that the diagonal of G alone is no bound
        self._scale = max(min(1.0, metric.square(changes[-1])), EPS) if changes else 1.0
        self.diagonal = self._scale * metric.diagonal[chosen]
        self._less, self._more = np.zeros((len(steps), chosen.size)), np.zeros((len(steps), chosen.size))
        for j, (s, y) in enumerate(zip(steps, changes, strict=True)):
            bent = self._product(s[chosen])
            square = float(s[chosen] @ bent)
            if square > 0.0:
                self._less[j] = bent / np.sqrt(square)
                self._more[j] = y[chosen]

        self.matrix = self._matrix() if chosen.size <= DIRECT else None
        """B, (m, m), if it is small."""

    def times(self, v: Vector) -> Vector:
        """Return B v, shape (m,)."""
        return self._product(v) if self.matrix is None else np.asarray(self.matrix @ v)

    def _product(self, v: Vector) -> Vector:
        if self._metric.full:
            whole = np.zeros(self._metric.layout.size)
            whole[self._chosen] = v
            product = self._scale * self._metric.times(whole)[self._chosen]
        else:
            product = self.diagonal * v
        product += (self._more @ v) @ self._more
        product -= (self._less @ v) @ self._less
        return product

    def _matrix(self) -> NDArray[np.float64]:
        matrix = self._metric.among(self._chosen)
        matrix *= self._scale
        matrix += self._more.T @ self._more
        matrix -= self._less.T @ self._less
        return matrix


class Trial(NamedTuple):
    """A point u, B (u - w), and the value of (1)."""

    u: Vector
    bent: Vector
    value: float


class Subproblem:
    """The problem (1).

    Parameters
    ----------
    hessian
        B.
    slope, start
        c and w, shape (m,).
    penalty
        r; it acts on the first `penalised` coordinates.
    """

    def __init__(self, hessian: QuasiHessian, slope: Vector, start: Vector, penalty: Penalty, penalised: int) -> None:
        self._hessian, self._slope, self._start = hessian, slope, start
        self._penalty, self._penalised = penalty, penalised
        root = np.sqrt(hessian.diagonal)
        self._metric = self._largest(root) * hessian.diagonal
        self._ridge = np.zeros(start.size)  # of the penalty's smooth part
        self._ridge[:penalised] = penalty.curvature

    def minimise(self, tolerance: float) -> tuple[Vector, float]:
        """Return u, and (u - w)' B (u - w), when a proximal step is at most `tolerance` times as long as the first."""
        here, length = self._proximal_steps(self._at(self._start), 1, 0.0)
        goal = tolerance * length
        subspace = self._penalty.shrinkage is not None
        for _ in range(CYCLES if subspace else 1):
            if subspace:
                here = self._newton_steps(here)
            here, length = self._proximal_steps(here, STEPS if subspace else ALONE, goal)
            if length <= goal:
                break
        return here.u, float((here.u - self._start) @ here.bent)

    def _largest(self, root: Vector) -> float:
        """Return a bound on the largest eigenvalue of B, scaled on both sides by 1 / `root`."""

        def product(v: Vector) -> Vector:
            return self._hessian.times(v / root) / root

        return largest_eigenvalue(product, root.size) if root.size > 1 else float(product(np.ones(1))[0])

    def _at(self, u: Vector) -> Trial:
        p = u - self._start
        bent = self._hessian.times(p)
        value = float(self._slope @ p) + 0.5 * float(p @ bent) + self._penalty.value(u[: self._penalised])
        return Trial(u, bent, value)

    def _proximal_steps(self, start: Trial, count: int, goal: float) -> tuple[Trial, float]:
        """Return the best of `count` steps, and the length of the last one; they end where it is at most `goal`."""
        last = best = start
        ahead, bent, t = start.u, start.bent, 1.0
        length = np.inf
        for _ in range(count):
            u = ahead - (self._slope + bent) / self._metric
            u[: self._penalised] = self._penalty.prox(u[: self._penalised], 1.0, self._metric[: self._penalised])
            step, here = u - ahead, self._at(u)
            length = float(np.sqrt(step @ (self._metric * step)))
            best = here if here.value <= best.value else best
            if length <= goal:
                break
            uphill = float((self._metric * step) @ (last.u - u)) > 0.0
            t, before = (1.0, 1.0) if uphill else (0.5 + np.sqrt(0.25 + t * t), t)
            momentum = (before - 1.0) / t
            ahead = u + momentum * (u - last.u)
            bent = here.bent + momentum * (here.bent - last.bent)
            last = here
        return best, length

    def _newton_steps(self, here: Trial) -> Trial:
        """Return the result of Newton steps on the weights that are not zero."""
        for _ in range(REPEATS):
            free = here.u != 0.0
            free[self._penalised :] = True
            places = np.flatnonzero(free)
            if not places.size:
                break
            p = self._newton_direction(here, places)
            limits = np.full(p.size, np.inf)  # where weights become zero
            np.divide(here.u, -p, out=limits, where=here.u * p < 0.0)
            limits[self._penalised :] = np.inf
            first = min(1.0, float(limits.min()))
            sizes = [1.0, first] if first < 1.0 else [1.0]
            trials = (self._at(np.where(limits <= size, 0.0, here.u + size * p)) for size in sizes)
            found = next((trial for trial in trials if trial.value < here.value), None)
            if found is None:
                break
            here = found
            if first == 1.0:
                break
        return here

    def _newton_direction(self, here: Trial, free: NDArray[np.int64]) -> Vector:
        """Return the step to the minimiser of (1) in the weights `free` if no sign changed; 0 elsewhere."""
        gradient = self._slope + here.bent + self._ridge * here.u
        gradient[: self._penalised] += (self._penalty.shrinkage or 0.0) * np.sign(here.u[: self._penalised])
        p = np.zeros_like(gradient)
        p[free] = -self._solved(gradient[free], free)
        return p

    def _solved(self, g: Vector, free: NDArray[np.int64]) -> Vector:
        """Return x with (B + ridge) x = g among the weights `free`."""
        hessian, ridge = self._hessian, self._ridge
        if hessian.matrix is not None:
            H = hessian.matrix[np.ix_(free, free)]
            H[np.diag_indices_from(H)] += ridge[free]
            root = np.sqrt(np.diagonal(H))
            H /= root
            H /= root[:, None]
            H[np.diag_indices_from(H)] += JITTER
            with suppress(scipy.linalg.LinAlgError):  # B has lost its definiteness to roundoff
                factor = scipy.linalg.cho_factor(H, lower=True, overwrite_a=True, check_finite=False)
                return np.asarray(scipy.linalg.cho_solve(factor, g / root, check_finite=False) / root)

        def product(v: Vector) -> Vector:
            whole = np.zeros_like(ridge)
            whole[free] = v
            return np.asarray(hessian.times(whole)[free] + ridge[free] * v)

        diagonal = hessian.diagonal[free] + ridge[free]
        return conjugate_gradient(product, g, 0.01, PRODUCTS, lambda r: r / diagonal).x
