"""A word to a person whose features have units far apart: most solvers are slow on them, and the penalty unfair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcopt.fabric.interface import Group
from hpcopt.problems import columns
from hpcopt.problems.problem import Shard

APART = 1e6  # largest over smallest size of a feature, its root mean square
OFFSET = 1e3  # a mean over the standard deviation beside it
CONSTANT = 1e-12  # a standard deviation beside the mean: what rounding leaves of a constant's


def scaling_hint(shards: Sequence[Shard], features: int, rows: int, processes: Group) -> str | None:
    """Return in a line which features ask for data.scale, None if none does; collective over `processes`.

    Parameters
    ----------
    shards
        Of the nodes of this process; the first `features` columns of their rows are looked at.
    rows
        Of all shards together.
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
