"""How far a model can be from the optimum of a convex objective, by its residual g, the subgradient of least norm.

    f* >= f + g.p + c ||p||^2 / 2      for p = w* - w, with c the penalty's curvature                           (1)

With a penalty on all weights, f(w*) <= f bounds ||w*||, and so the last two terms. An intercept, which no penalty
bounds, is bounded by the loss: a mean of losses is at least the loss of the mean error (Jensen). Where this does not
suffice, the Hessian at w takes the place of c: a bound for least squares, otherwise an estimate, Newton's decrement.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.kernels.pointwise import SQUARED, loss_sum
from hpcopt.problems.losses import MarginLoss
from hpcopt.problems.objective import Objective
from hpcopt.problems.targets import Targets
from hpcopt.runs.prepare import Prepared

DENSE = 2048  # most coordinates for which a Hessian is formed
REFINED = 3  # times that a bound on the distance gives a better one


@dataclass(frozen=True)
class Certificate:
    """A bound on f(w) - f*, infinite if there is none, and what it is based on."""

    gap: float
    words: str


def certify(prepared: Prepared, w: Vector, value: float, accepted: float) -> Certificate:
    """Return a bound on the distance of the convex objective at `w`, `value`, to its minimum; collective.

    Parameters
    ----------
    accepted
        A gap that is small enough, so that no better one is computed.
    """
    penalty, size = prepared.problem.formulation.penalty, prepared.problem.model.penalised
    residual = _sum(prepared, (f.share * f.at(w).gradient for f in _oracles(prepared)), len(w))
    residual[:size] = penalty.residual(w[:size], residual[:size])
    shifts = residual[size:]
    norm, c, slack, shift = float(np.linalg.norm(residual[:size])), penalty.curvature, 0.0, 0.0
    distance = float(np.linalg.norm(w[:size])) + penalty.reach(value, size)  # of the weights to those of w*
    if shifts.size and math.isfinite(distance):
        rows = _rows(prepared)
        for _ in range(REFINED):
            shift = _shift(prepared, rows, w, value, distance)
            slack = float(np.abs(shifts).sum()) * shift
            if c > 0.0:  # 0 >= f* - f >= -norm ||p|| - slack + c ||p||^2 / 2
                distance = min(distance, (norm + math.sqrt(norm**2 + 2.0 * c * slack)) / c)
    if c > 0.0:
        bound = Certificate(slack + min(norm**2 / (2.0 * c), norm * distance), "bound by strong convexity")
    else:
        bound = Certificate(slack + norm * distance, "bound by convexity")
    if bound.gap <= accepted:
        return bound
    farthest = distance + shift * math.sqrt(shifts.size)
    return min(_by_hessian(prepared, w, residual, farthest), bound, key=lambda found: found.gap)


@dataclass(frozen=True)
class _Rows:
    """What the bound on an intercept needs: the largest norm of a row, the classes' shares, the mean target."""

    longest: float
    shares: Vector
    mean: float


def _oracles(prepared: Prepared) -> Iterator[Objective]:
    shards = (prepared.shards[node] for node in prepared.cluster.local_nodes)
    return (prepared.problem.on(shard, Meter()) for shard in shards if shard.matrix.n)  # type: ignore[misc]


def _sum(prepared: Prepared, parts: Iterable[Vector], size: int) -> Vector:
    """Return the sum of all parts of all processes, which may have none, (size,)."""
    total = np.zeros(size)
    for part in parts:
        total += part
    return prepared.cluster.processes.sum(total)


def _rows(prepared: Prepared) -> _Rows:
    outputs = prepared.problem.model.outputs
    shards = [prepared.shards[node] for node in prepared.cluster.local_nodes]
    squares = [shard.matrix.largest_row() for shard in shards if shard.matrix.n]
    y = np.concatenate([shard.y for shard in shards])
    counts, total = np.zeros(max(outputs, 2)), prepared.problem.total
    targets = prepared.problem.formulation.loss.targets
    if targets is Targets.SIGNS:
        counts = np.array([np.count_nonzero(y < 0.0), np.count_nonzero(y > 0.0)], dtype=np.float64)
    elif targets is Targets.CLASSES:
        counts = np.bincount(y.astype(np.int64), minlength=outputs).astype(np.float64)
    sums = prepared.cluster.processes.sum(np.append(counts, y.sum())) / total
    longest = prepared.cluster.processes.max(np.array([max(squares, default=0.0)]))[0]
    return _Rows(math.sqrt(longest), np.maximum(sums[:-1], np.finfo(np.float64).tiny), float(sums[-1]))


def _shift(prepared: Prepared, rows: _Rows, w: Vector, value: float, distance: float) -> float:
    """Return a bound on the magnitudes of w* - w in its intercepts, given that f(w*) <= `value`.

    Parameters
    ----------
    distance
        A bound on the distance of the weights to those of w*.
    """
    loss, size = prepared.problem.formulation.loss, prepared.problem.model.penalised
    margin = rows.longest * (float(np.linalg.norm(w[:size])) + distance)  # of the weights w* at the mean of any rows
    if not isinstance(loss, MarginLoss):  # log sum_c exp(z_c - z_k) >= z_c - z_k; a shift of all changes nothing
        return float(value / rows.shares.min() + math.sqrt(2.0) * margin + np.ptp(w[size:]))
    known = float(np.abs(w[size:]).max()) + margin
    if loss.targets is Targets.REAL:
        return known + abs(rows.mean) + _worst(loss, value)
    return known + _worst(loss, value / float(rows.shares.min()))


def _worst(loss: MarginLoss, value: float) -> float:
    """Return a bound on the errors t at which the loss is at most `value`: z = -t for the target 1, or t for 0."""
    real = loss.targets is Targets.REAL
    at = [loss_sum(loss.code, np.array([t if real else -t]), np.array([0.0 if real else 1.0])) for t in (0.0, 1.0)]
    return max(1.0, (value - at[0]) / (at[1] - at[0]))  # chords of a convex function become steeper


def _by_hessian(prepared: Prepared, w: Vector, residual: Vector, distance: float) -> Certificate:
    """Return the largest decrease of the quadratic with the residual and the Hessian at `w` within a `distance`."""
    formulation, d = prepared.problem.formulation, len(w)
    if d > DENSE or not formulation.loss.hessian:
        return Certificate(math.inf, "no bound on the weights")
    hessian = _sum(prepared, ((f.share * f.at(w).hessian()).ravel() for f in _oracles(prepared)), d * d)
    values, vectors = np.linalg.eigh(hessian.reshape(d, d))
    flat = values <= d * np.finfo(np.float64).eps * values[-1]
    quadratic = isinstance(formulation.loss, MarginLoss) and formulation.loss.code == SQUARED
    along = np.abs(vectors.T @ residual)
    if quadratic and formulation.penalty.smooth:
        along[flat] = 0.0  # the gradients of least squares are in the range of the Hessian
    elif flat.any() and math.isinf(distance):
        return Certificate(math.inf, "a singular Hessian, and no bound on the weights")
    lengths = np.minimum(along / np.where(flat, np.inf, values), distance)
    lengths[flat & (along > 0.0)] = distance
    gap = float(np.sum(along * lengths - 0.5 * np.where(flat, 0.0, values) * lengths**2))
    return Certificate(gap, "bound by the Hessian" if quadratic else "estimate by Newton's decrement")
