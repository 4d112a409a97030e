"""From a checked specification to what a run needs: every node's shard, warm kernels, the start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray

from hpcopt.data import Loaded, load
from hpcopt.data.table import Table
from hpcopt.errors import InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.fabric.meter import Meter
from hpcopt.kernels.cache import compile_safely
from hpcopt.problems.layers import Layers
from hpcopt.problems.losses import LOSSES, MarginLoss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.objective import Objective
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix, warm
from hpcopt.spec import sections
from hpcopt.spec.specification import Specification

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Prepared:
    """A problem laid out over a cluster.

    Attributes
    ----------
    conditions
        Of the runs there.
    shards
        By node, for the nodes of this process; without rows on those that are no holders.
    """

    cluster: Cluster
    conditions: Conditions
    problem: Problem
    shards: dict[int, Shard]
    w0: Vector
    loaded: Loaded

    def words(self) -> str:
        """Return what is solved where, for a headline."""
        size = self.cluster.size
        nodes = ("virtual node" if self.cluster.kind == "virtual" else "MPI rank") + ("s" if size > 1 else "")
        return f"{self.loaded.name}, {self.loaded.rows:,} rows x {self.loaded.features:,} features on {size} {nodes}"


def prepare(spec: Specification, cluster: Cluster, conditions: Conditions) -> Prepared:
    """Read and distribute the data, compile the kernels, and set the start."""
    loss = LOSSES[spec.problem.loss]
    loaded = load(spec.data, cluster, loss.targets)
    with agreed(cluster.processes):
        shards = {node: _shard(loaded, node, spec) for node in cluster.local_nodes}
    loaded = replace(loaded, shards={}, test_shards=None)  # the shards may be copies: do not hold the rows twice
    problem = Problem(
        loss=loss,
        l2=spec.problem.l2_value(loaded.rows),
        intercept=bool(spec.problem.intercept),
        total=loaded.rows,
        entries=_entries(shards, cluster.processes),
        layers=_layers(spec.problem, loaded),
    )
    warm_up = partial(_warm, problem, [shards[node] for node in cluster.local_nodes if node in cluster.holders])
    if not cluster.led(warm_up):
        warm_up()
    d = loaded.features + problem.intercept if problem.layers is None else problem.layers.size
    with agreed(cluster.processes):
        w0 = starting_point(spec.problem, d, spec.seed, problem.layers)
    return Prepared(cluster, conditions, problem, shards, w0, loaded)


def _warm(problem: Problem, shards: list[Shard]) -> None:
    """Compile or load all kernels for such shards, and the linear algebra, so that no solver's clock pays for it."""
    if not shards:
        return
    shard = shards[0]
    if issubclass(problem.loss, MarginLoss):
        compile_safely(partial(warm, shard.matrix, problem.loss.code, shard.y))
    compile_safely(partial(_try_out, problem, Shard(shard.matrix.head(2), shard.y[:2])))
    scipy.linalg.cho_solve(scipy.linalg.cho_factor(np.eye(2)), np.ones(2))


def _try_out(problem: Problem, few: Shard) -> None:
    """Ask the oracle for everything once, on a few rows."""
    f = replace(problem, l2=1.0, total=few.matrix.n).on(few, Meter())
    w = np.zeros(f.d)
    if isinstance(f, Objective):
        start = f.at(w)
        start.along(start.newton_direction()).values(np.ones(1))
        return
    rows = np.arange(f.n)
    f.sgd(f.at(w).gradient, rows, 1, np.ones(f.n))
    f.values(f.gradient_of_rows(w, rows)[None])
    if problem.loss.bounded:
        f.smoothness()
        f.row_smoothness()


def _layers(section: sections.Problem, loaded: Loaded) -> Layers | None:
    """Return what is between a row and its outputs, of a loss of classes; else None."""
    if issubclass(LOSSES[section.loss], MarginLoss):
        return None
    assert loaded.classes is not None
    widths = (loaded.features, *(section.hidden or ()), len(loaded.classes))
    return Layers(widths, bool(section.intercept), section.activation or "relu")


def _shard(loaded: Loaded, node: int, spec: Specification) -> Shard:
    table = loaded.shards.pop(node)
    test = loaded.test_shards.pop(node) if loaded.test_shards is not None else None
    return Shard(
        _matrix(table, spec),
        table.targets,
        None if test is None else _matrix(test, spec),
        None if test is None else test.targets,
    )


def _matrix(table: Table, spec: Specification) -> Matrix:
    """Return the features as an operator, stored as the specification asks, or else as the data came."""
    of_margins = issubclass(LOSSES[spec.problem.loss], MarginLoss)  # biases of layers are no feature
    return as_matrix(_with_intercept(table, of_margins and bool(spec.problem.intercept)), spec.data.storage)


def _with_intercept(table: Table, intercept: bool) -> Any:
    """Return the features, with a last column of ones where an intercept is fitted."""
    if not intercept:
        return table.X
    ones = np.ones((table.n, 1), table.X.dtype)
    if scipy.sparse.issparse(table.X):
        return scipy.sparse.hstack([table.X, scipy.sparse.csr_array(ones)], format="csr")
    return np.asarray(np.hstack([table.X, ones]))


def _entries(shards: dict[int, Shard], processes: Group) -> int:
    return int(processes.sum(np.array([float(sum(shard.matrix.nnz for shard in shards.values()))]))[0])


def starting_point(section: sections.Problem, d: int, seed: int, layers: Layers | None = None) -> Vector:
    """Return w0, shape (d,); of `layers`, a random one has their scales.

    Raises
    ------
    InputError
        If a .npy file cannot be read, has another shape, or holds NaN or inf.
    """
    if section.start == "zeros":
        return np.zeros(d)
    if section.start == "ones":
        return np.ones(d)
    if section.start == "random" and layers is not None:
        return layers.random_start(seed)
    if section.start == "random":
        return np.asarray(np.random.default_rng(seed).standard_normal(d) / np.sqrt(d))
    path = Path(section.start)
    try:
        w0: Vector = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"problem.start: {path}: no such file; or give zeros, ones or random") from None
    except (ValueError, OSError) as error:
        raise InputError(f"problem.start: {path}: not a .npy file ({error})") from None
    if not (isinstance(w0, np.ndarray) and w0.dtype.kind in "fiub"):
        raise InputError(f"problem.start: {path}: holds no array of real numbers")
    if w0.shape != (d,):
        raise InputError(f"problem.start: {path}: shape {w0.shape}, the model needs ({d},)")
    w0 = w0.astype(np.float64)
    if not np.isfinite(w0).all():
        raise InputError(f"problem.start: {path}: holds NaN or inf")
    return w0
