"""Laws fitted to the times of a study, each with its residual: Amdahl's, Gustafson's, and latency and bandwidth.

    Amdahl     T(p) = T(1) (s + (1 - s) / p)       s: the serial fraction
    Gustafson  p T(1) / T(p) = p - s (p - 1)       s: the serial fraction of the scaled problem
    network    t = alpha n + beta n m              n: messages one after another, m: their mean size

A reduction over p nodes is a tree, 2 ceil(log2 p) messages one after another; the messages to all neighbours in a graph
are sent at once and count as one. Residuals are root mean squares relative to the times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.scaling.cells import Cell
from hpcopt.scaling.rows import Row

FEWEST = 3
"""Places that a fit needs: with two, any line fits."""


@dataclass(frozen=True)
class Serial:
    """A serial fraction, the time on one rank, the relative residual, and the number of places."""

    law: str
    fraction: float
    one: float
    residual: float
    places: int


@dataclass(frozen=True)
class Network:
    """Seconds of a message and of a byte, the relative residual, and the number of places."""

    latency: float
    per_byte: float
    residual: float
    places: int


def amdahl(cells: Sequence[Cell]) -> Serial | None:
    """Return the fit to strong scaling; None for fewer than three numbers of ranks on cores of their own."""
    p, seconds = _times(cells)
    if len(p) < FEWEST:
        return None
    weights = 1.0 / seconds
    (serial, parallel), residual = _fitted(np.column_stack([weights, weights / p]))
    one = serial + parallel
    return Serial("Amdahl", serial / one, one, residual, len(p)) if one > 0.0 else None


def gustafson(cells: Sequence[Cell]) -> Serial | None:
    """Return the fit to weak scaling; None for fewer than three numbers of ranks on cores of their own."""
    p, seconds = _times(cells)
    if len(p) < FEWEST:
        return None
    one = float(seconds[0])
    scaled = p * one / seconds
    weight = (p - 1.0) / scaled
    fraction = float(np.clip(weight @ ((p - scaled) / scaled) / (weight @ weight), 0.0, 1.0))
    model = p * one / (p - fraction * (p - 1.0))
    return Serial("Gustafson", fraction, one, _relative(model, seconds), len(p))


def network(cells: Sequence[Cell]) -> Network | None:
    """Return the latency and the bandwidth that explain the time in operations; None for too few places."""
    told = [
        (cell.middle(steps), cell.middle(lambda row: steps(row) * row.bytes / row.messages), cell.middle(in_operations))
        for cell in cells
        if not cell.crowded and all(row.messages for row in cell.rows)
    ]
    known = np.array([one for one in told if not any(map(math.isnan, one)) and one[2] > 0.0]).reshape(-1, 3)
    if len(known) < FEWEST or np.linalg.matrix_rank(known[:, :2]) < 2:
        return None
    (latency, per_byte), residual = _fitted(known[:, :2] / known[:, 2:])
    return Network(latency, per_byte, residual, len(known))


def steps(row: Row) -> float:
    """Return how many messages a run sends one after another."""
    return row.rounds * (1.0 if row.topology else 2.0 * math.ceil(math.log2(row.ranks)))


def in_operations(row: Row) -> float | None:
    """Return the seconds of a node in operations, waiting included, on average."""
    return None if row.exchange is None else row.exchange + (row.wait or 0.0)


def _times(cells: Sequence[Cell]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the numbers of ranks, with their threads, and the median times, of cells on cores of their own."""
    free = [cell for cell in cells if not cell.crowded and cell.seconds.median > 0.0]
    return (
        np.array([float(cell.parallel) for cell in free]),
        np.array([cell.seconds.median for cell in free]),
    )


def _fitted(columns: NDArray[np.float64]) -> tuple[tuple[float, float], float]:
    """Return the two coefficients, at least 0, with which the columns come nearest to ones, and the residual.

    The columns are scaled for the solution, as a byte takes far less time than a message.
    """
    from scipy.optimize import nnls

    scale = np.linalg.norm(columns, axis=0)
    found, norm = nnls(columns / scale, np.ones(len(columns)))
    first, second = found / scale
    return (float(first), float(second)), float(norm / math.sqrt(len(columns)))


def _relative(model: NDArray[np.float64], seconds: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(((model - seconds) / seconds) ** 2)))
