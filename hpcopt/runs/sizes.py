"""A hint for features with very different units: most solvers are slow on them, and the penalty is uneven."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcopt.fabric.interface import Group
from hpcopt.problems import columns
from hpcopt.problems.problem import Shard

APART = 1e6  # ratio of the largest to the smallest root mean square of a feature
OFFSET = 1e3  # ratio of a feature's mean to its standard deviation
CONSTANT = 1e-12  # ratio of standard deviation to mean: the roundoff of a constant feature


def scaling_hint(shards: Sequence[Shard], features: int, rows: int, processes: Group) -> str | None:
    """Return a one-line hint on features that need data.scale, or None; collective over `processes`.

    Parameters
    ----------
    shards
        The shards of this process's nodes; the first `features` columns of their rows are examined.
    rows
        Number of rows of all shards together.
    """
    matrices = [shard.matrix for shard in shards]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = processes.sum(sum((columns.sums(matrix) for matrix in matrices), np.zeros(matrices[0].d))) / rows
        spread = sum((columns.squares(matrix, mean) for matrix in matrices), np.zeros(len(mean)))
        deviation = np.sqrt(processes.sum(spread) / rows)[:features]
        mean = np.abs(mean[:features])
        size = np.hypot(mean, deviation)
    kind = "standard" if isinstance(matrices[0].as_array(), np.ndarray) else "max-abs"
    used = np.flatnonzero(size)
    if not used.size:
        return None
    large, small = used[size[used].argmax()], used[size[used].argmin()]
    if size[large] >= APART * size[small]:
        told = f"feature magnitudes range from {size[small]:.2g} (column {small}) to {size[large]:.2g} (column {large})"
        return f'{told}, counted from 0; data.scale = "{kind}" improves the conditioning and makes the penalty even'
    varies = deviation > CONSTANT * mean
    offset = np.where(varies, mean / np.where(varies, deviation, 1.0), 0.0)
    worst = int(offset.argmax())
    if offset[worst] >= OFFSET and kind == "standard":
        told = f"column {worst} (counted from 0) varies by {deviation[worst]:.2g} about {mean[worst]:.6g}"
        return f'{told}; data.scale = "standard" improves the conditioning'
    return None
