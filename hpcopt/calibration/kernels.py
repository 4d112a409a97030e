"""The speed of the oracle's kernels on one rank, all ranks working at once: as the meter of a run would time them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse

from hpcopt.arrays import Vector
from hpcopt.fabric.calibration import ENTRY, Kernel
from hpcopt.fabric.interface import Group
from hpcopt.fabric.meter import Kind, Meter, Storage, Work
from hpcopt.kernels.cache import compile_safely
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.losses.logistic import Logistic
from hpcopt.problems.models import MODELS
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix

SIZES: dict[bool, tuple[int, ...]] = {False: (2**16, 2**21, 2**24, 2**26), True: (2**16, 2**21, 2**23)}
"""Bytes of the shards, by whether the measurement is to be quick: in the first caches, in the last, and in none."""
TINY, CACHED = 2**12, 2**16  # bytes of shards that show what a call takes, and up to which all are alike
SHAPES: dict[Storage, tuple[tuple[int, int], ...]] = {"dense": ((16, 16), (128, 128)), "sparse": ((200, 8), (4000, 40))}
"""Features, and entries of a row."""
SQUARES = (16, 64, 192)  # features of the matrices that are formed and factorised
BATCHES, STEPS = (8, 128), 4
REPEATS, MOST, PATIENCE = 5, 100, 0.03  # calls at least, more calls at most, and the seconds for these
FASTEST = 1e15  # operations per second: what a fit cannot tell from nothing


class Sample(NamedTuple):
    """One kind of call, as measured: bytes of the shard, entries and operations of a call, median seconds."""

    nbytes: int
    entries: float
    flops: float
    seconds: float


Samples = dict[tuple[Storage, Kind], list[Sample]]


@dataclass
class Stopwatch:
    """Collects what a meter brackets."""

    meter: Meter
    seen: dict[tuple[Kind, float, float], list[float]]

    @classmethod
    def on_new_meter(cls) -> Stopwatch:
        """Return a stopwatch with a meter of its own."""
        watch = cls(Meter(), defaultdict(list))
        watch.meter.on_work = watch.note
        return watch

    def note(self, work: Work, seconds: float) -> None:
        """Note a piece of work."""
        self.seen[work.kind, work.touched + work.copied, work.flops].append(seconds)

    def samples(self) -> Iterator[tuple[Kind, Sample]]:
        """Yield the kinds of calls, each with its median."""
        for (kind, entries, flops), seconds in self.seen.items():
            yield kind, Sample(self.meter.nbytes, entries, flops, statistics.median(seconds))


def measured(group: Group, *, quick: bool) -> Samples:
    """Return what the calls of all kinds of shards took on this rank; all ranks of the group make them together."""
    rng = np.random.default_rng(group.rank)
    samples: Samples = defaultdict(list)
    for storage, shapes in SHAPES.items():
        for nbytes in SIZES[quick]:
            for shape in shapes:
                _measure(samples, storage, _first_order, _rows(rng, storage, nbytes, *shape), rng, group)
        for shape in shapes:
            _measure(samples, storage, _first_order, _rows(rng, storage, TINY, *shape), rng, group)
        for nbytes in SIZES[quick][:2]:
            for features in SQUARES:
                X = _rows(rng, storage, nbytes, features, min(features // 2, shapes[1][1]))
                _measure(samples, storage, _second_order, X, rng, group)
            for shape in shapes:
                _measure(samples, storage, _networks, _rows(rng, storage, nbytes, *shape), rng, group)
    return samples


def fitted(samples: list[Sample], kind: Kind) -> Kernel:
    """Return the speed of a kind of work: seconds >= 0 of a call, an entry and an operation, by least squares.

    Residuals are relative, so that small calls count as much as large ones.
    """
    places = sorted({_rounded(sample.nbytes) for sample in samples})
    per_entry = ENTRY.get(kind, 2.0)
    rows, seconds = [], np.array([sample.seconds for sample in samples])
    for sample in samples:
        read = per_entry * sample.entries
        here = np.array([_rounded(sample.nbytes) == place for place in places])
        rows.append([1.0, *(read * here), *(max(0.0, sample.flops - read) * here)])
    A = np.array(rows) / seconds[:, None]
    scale = np.where(A.max(axis=0) > 0.0, A.max(axis=0), 1.0)
    found, _ = scipy.optimize.nnls(A / scale, np.ones(len(A)))
    call, *paces = (found / scale).tolist()
    residual = float(np.abs(A @ (found / scale) - 1.0).max())
    rates = [1.0 / max(pace, 1.0 / FASTEST) for pace in paces]
    return Kernel(
        call=call,
        rates=tuple(zip(map(float, places), rates[: len(places)], strict=True)),
        rest=tuple(zip(map(float, places), rates[len(places) :], strict=True)),
        residual=residual,
    )


def _rounded(nbytes: int) -> int:
    """Return the power of two that is nearest: shards of one size differ by the bytes of a row."""
    return max(CACHED, 1 << round(float(np.log2(nbytes))))


def _rows(rng: np.random.Generator, storage: Storage, nbytes: int, features: int, per_row: int) -> Any:
    """Return random rows; large matrices repeat some. Sparse rows differ in length, as branches are slow that vary."""
    if storage == "dense":
        n = nbytes // (8 * features)
        return np.resize(rng.standard_normal((min(n, 4096), features)), (n, features))
    n = nbytes // (12 * per_row)
    few = scipy.sparse.random_array((min(n, 4096), features), density=per_row / features, rng=rng, format="csr")
    return scipy.sparse.vstack([few] * -(-n // few.shape[0]), format="csr")[:n]


def _measure(
    samples: Samples,
    storage: Storage,
    calls: Callable[[Any, Stopwatch, np.random.Generator], list[Callable[[], object]]],
    X: Any,
    rng: np.random.Generator,
    group: Group,
) -> None:
    watch = Stopwatch.on_new_meter()
    for call in calls(X, watch, rng):
        compile_safely(call)
        watch.seen.clear()
        call()
        own = max(sum(map(sum, watch.seen.values())), 1e-6)
        once = float(group.max(np.array([own]))[0])
        watch.seen.clear()
        for _ in range(REPEATS + min(MOST, int(PATIENCE / once))):
            group.barrier()  # as between the calls of a solver
            call()
        for kind, sample in watch.samples():
            samples[storage, kind].append(sample)


def _first_order(X: Any, watch: Stopwatch, rng: np.random.Generator) -> list[Callable[[], object]]:
    """Return the calls whose time is in proportion to the entries."""
    n, d = X.shape
    y = np.sign(rng.standard_normal(n))
    f = Objective(as_matrix(X), y, Logistic(), L2(weight=1e-3), total=n, meter=watch.meter)
    w, v, steps = 0.1 * rng.standard_normal(d), rng.standard_normal(d), np.array([0.0, 0.5, 1.0])

    def passed() -> None:
        w[0] += 1e-9  # another point
        point = f.at(w)
        _ = point.gradient
        point.hessian_product(v)
        point.along(v).values(steps)

    calls: list[Callable[[], object]] = [passed]
    for batch in BATCHES:  # other rows in every call: the cache does not hold them
        calls += [partial(_on_rows, f, w, rng, batch), partial(_on_few, f, w, rng, batch)]
        calls.append(partial(_steps, f, w, rng, batch))
    return calls


def _on_rows(f: Objective, w: Vector, rng: np.random.Generator, batch: int) -> None:
    f.gradient_of_rows(w, rng.integers(0, f.n, batch))


def _steps(f: Objective, w: Vector, rng: np.random.Generator, batch: int) -> None:
    f.sgd(w, rng.integers(0, f.n, STEPS * batch), batch, np.full(STEPS, 1e-6))


def _on_few(f: Objective, w: Vector, rng: np.random.Generator, batch: int) -> None:
    few = f.sparse_rows(rng.integers(0, f.n, batch))
    few.gradient(w[few.coordinates])


def _second_order(X: Any, watch: Stopwatch, rng: np.random.Generator) -> list[Callable[[], object]]:
    """Return the calls that form X'X and solve with it."""
    n, d = X.shape
    y = np.sign(rng.standard_normal(n))
    f = Objective(as_matrix(X), y, Logistic(), L2(weight=1e-3), total=n, meter=watch.meter)
    w = 0.1 * rng.standard_normal(d)

    def solve() -> None:
        w[0] += 1e-9
        f.at(w).newton_direction(ridge=1e-2)

    def spectrum() -> None:
        f.smoothness()
        f.at(w).effective_dimension()

    return [solve, spectrum]


def _networks(X: Any, watch: Stopwatch, rng: np.random.Generator) -> list[Callable[[], object]]:
    """Return the gradients of models with several outputs."""
    n, d = X.shape
    calls: list[Callable[[], object]] = []
    for name, given in (("linear", {}), ("mlp", {"hidden": (32,)})):
        formulation = Formulation(MODELS[name](**given), LOSSES["softmax"](), L2(weight=1e-3))
        problem = Problem(formulation, formulation.sized(d, 10), total=n, entries=int(getattr(X, "nnz", X.size)))
        y = rng.integers(0, 10, n).astype(np.float64)
        f: Any = problem.on(Shard(as_matrix(X), y), watch.meter)
        w = 0.01 * rng.standard_normal(f.d)
        calls += [partial(f.gradient_of_rows, w, rng.integers(0, n, batch)) for batch in (*BATCHES, n)]
    return calls
