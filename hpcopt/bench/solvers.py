"""Speed of the adaptive solvers, as ratios: the fused step to numpy, a pass over sparse rows to other libraries.

On one rank, a pass is compared with scikit-learn's SGD and Vowpal Wabbit, together with the accuracy after it; on
several ranks, with the same pass on one of them. All learn from the same rows in memory (Vowpal Wabbit: from its own
binary cache), with logistic loss, an L1 penalty and a step size that suits each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from hpcopt.arrays import Vector
from hpcopt.bench.gossip import row
from hpcopt.bench.plain_learners import scikit_learn, vowpal_wabbit
from hpcopt.bench.timing import Case, Peer, compared
from hpcopt.compression.threshold_ternary import ThresholdTernary
from hpcopt.fabric.interface import Cluster, Node
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.kernels import adaptive
from hpcopt.problems.dense_matrix import aligned_empty
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses.logistic import Logistic
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.penalties.l1 import L1
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix
from hpcopt.solvers import SOLVERS, Solver

FUSED = 5.0  # goal for the fused step relative to numpy
SCALING = 0.85  # goal for several ranks relative to one, for each of them
WEIGHT = 1e-6  # of the L1 penalty
LENGTH = 60  # words of a text, some of them equal
BITS = 20  # of a hashed word
ETA, DELTA = 0.1, 1e-8
BATCH = 1024
TERNARY = ThresholdTernary(rule="nonzero")
SHARED: list[tuple[str, dict[str, Any]]] = [
    ("adagrad-rda", {"exchange": "all-gather"}),
    ("adagrad-rda", {"exchange": "sharded"}),
    ("adagrad-cmd", {"exchange": "sharded"}),
    ("qrda-adagrad", {"exchange": "all-gather", "compressor": TERNARY}),
    ("qrda-adagrad", {"exchange": "sharded", "compressor": TERNARY}),
]


@dataclass(frozen=True)
class Texts:
    """Rows of hashed words for training and testing, with two classes."""

    X: Any  # scipy CSR, (n, 2**BITS)
    y: Vector
    test_rows: Any
    test_y: Vector

    def accuracy(self, margins: Vector) -> str:
        """Return the share of test rows that are classified correctly, as words."""
        return f"accuracy {np.mean(np.sign(margins) == self.test_y):.1%}"


def bench_solvers(cluster: Cluster, *, quick: bool, sparse: bool) -> list[dict[str, Any]]:
    """Return rows of {name, ours, peer, peer_name, ratio, goal}; collective over the ranks.

    Parameters
    ----------
    cluster
        The cluster of all processes.
    quick
        Whether to use fewer rows and repetitions.
    sparse
        Whether to leave out the fused step.
    """
    group, rounds = cluster.processes, 3 if quick else 7
    rows = [] if sparse else compared(group.barrier, _fused(quick), rounds)
    texts = generated(20_000 if quick else 100_000)
    if group.size > 1:
        return rows + cluster.run(partial(_scaling, texts=texts, rounds=rounds))[0]
    return rows + _passes(group.barrier, texts, rounds)


def generated(n: int) -> Texts:
    """Return `n` texts to train with and a fifth as many to test, whose words have frequencies as by Zipf's law."""
    rng, d, total = np.random.default_rng(0), 2**BITS, n + n // 5
    ends = np.cumsum(rng.poisson(LENGTH, total))
    ranks = np.exp(rng.random(ends[-1]) * np.log(d)).astype(np.int64) - 1
    words, starts = rng.permutation(d)[ranks], np.append(0, ends)
    X = scipy.sparse.csr_array((np.ones(len(words)), words.astype(np.int32), starts.astype(np.int32)), shape=(total, d))
    X.sum_duplicates()
    X.data /= np.sqrt(LENGTH)
    margins = X @ rng.standard_normal(d)
    y = np.where(margins + 0.3 * margins.std() * rng.standard_normal(total) > 0.0, 1.0, -1.0)
    return Texts(X[:n], y[:n], X[n:], y[n:])


def _fused(quick: bool) -> Iterator[Case]:
    """Yield the step of each rule, and the same by numpy."""
    rng = np.random.default_rng(0)
    for d in (10_000, 1_000_000) if quick else (10_000, 100_000, 1_000_000):
        x, g, z = rng.standard_normal((3, d))
        v = z**2
        for name, rule, plain in (("mirror", adaptive.MIRROR, _mirror), ("averaging", adaptive.AVERAGING, _averaging)):
            mine, theirs = aligned_empty(4, d), aligned_empty(4, d)
            mine[:] = theirs[:] = x, g, v, z
            ours = partial(adaptive.step, rule, mine[0], mine[1], mine[2], mine[3], ETA, DELTA, 10.0, WEIGHT, 0.0)
            peer = partial(plain, theirs[0], theirs[1], theirs[2], theirs[3], 10.0)
            yield Case(f"adaptive step, {name}, d={d:,}", ours, [Peer("numpy", peer, FUSED)])


def _mirror(x: Vector, g: Vector, v: Vector, z: Vector, t: float) -> None:  # noqa: ARG001
    v += g**2
    a = ETA / (DELTA + np.sqrt(v))
    u = x - a * g
    x[:] = np.sign(u) * np.maximum(np.abs(u) - a * WEIGHT, 0.0)


def _averaging(x: Vector, g: Vector, v: Vector, z: Vector, t: float) -> None:
    v += g**2
    z += g
    x[:] = -np.sign(z) * (ETA * t / (DELTA + np.sqrt(v))) * np.maximum(np.abs(z / t) - WEIGHT, 0.0)


def _passes(barrier: Callable[[], None], texts: Texts, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of one rank: a pass of ours and of each other library."""
    rows = []
    with vowpal_wabbit(texts.X, texts.y, BITS, WEIGHT) as (vowpal, learn_by_vowpal):
        learners = [("scikit-learn SGDClassifier", scikit_learn(texts.X, texts.y, WEIGHT)), (vowpal, learn_by_vowpal)]
        for name in ("adagrad-rda", "adagrad-cmd"):
            ours = partial(_alone, *_data(texts, 0, 1), _solver(name))
            named = f"pass over {len(texts.y):,} texts, {name}, {texts.accuracy(texts.test_rows @ ours())}"
            peers = [
                Peer(f"{peer}, {texts.accuracy(fit()(texts.test_rows))}", fit, 1.0)
                for peer, fit in learners
                if fit is not None
            ]
            rows += compared(barrier, [Case(named, ours, peers)], rounds)
            for peer in (peer for peer, fit in learners if fit is None):
                rows.append({"name": named, "ours": rows[-1]["ours"], "peer": None, "peer_name": peer, "ratio": None})
                rows[-1]["goal"] = 1.0
    return rows


def _scaling(node: Node, texts: Texts, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of several ranks: the same pass by all of them, and by one while the others wait."""
    rows = []
    mine, whole = _data(texts, node.rank, node.size), _data(texts, 0, 1)
    for name, parameters in SHARED:
        solver = _solver(name, **parameters)
        fastest_alone = _solver(name, **parameters | {"exchange": "all-gather"})  # which sends nothing to itself
        together, alone = [], []
        for k in range(-1, rounds):  # the first one compiles
            node.world.barrier()
            start = time.perf_counter()
            w = _pass(node, *mine, solver)
            node.world.barrier()
            middle = time.perf_counter()
            if node.rank == 0:
                _alone(*whole, fastest_alone)
            node.world.barrier()
            if k >= 0:
                together.append(middle - start)
                alone.append(time.perf_counter() - middle)
        told = f"pass over {len(texts.y):,} texts on {node.size} ranks, {name}, {parameters['exchange']}"
        if "compressor" in parameters:
            told += f", {parameters['compressor'].name}"
        told += f", {texts.accuracy(texts.test_rows @ w)}"
        ours, peer = statistics.median(together), statistics.median(alone)
        rows.append(row(told, ours, peer, "one rank", SCALING * node.size))
    return rows


def _solver(name: str, **parameters: Any) -> Solver[Any]:
    """Return a solver with the step size that was the best of several on these texts."""
    made: Any = SOLVERS[name]
    solver: Solver[Any] = made(batch=BATCH, step_size=2.0, delta=1e-4, **parameters)
    return solver


def _data(texts: Texts, rank: int, size: int) -> tuple[Problem, Shard]:
    """Return the problem and a rank's shard of it."""
    n = len(texts.y) // size
    mine = slice(rank * n, (rank + 1) * n)
    formulation = Formulation(Linear(), Logistic(), L1(weight=WEIGHT))
    problem = Problem(formulation, formulation.sized(2**BITS), total=size * n, entries=texts.X.nnz)
    return problem, Shard(as_matrix(texts.X[mine]), texts.y[mine])


def _alone(problem: Problem, shard: Shard, solver: Solver[Any]) -> Vector:
    """Return the model after a pass on one rank."""
    return SoloCluster().run(lambda node: _pass(node, problem, shard, solver))[0]


def _pass(node: Node, problem: Problem, shard: Shard, solver: Solver[Any]) -> Vector:
    """Return the model after as many steps as there are batches of rows."""
    f = problem.on(shard, node.meter)
    state = solver.init(node, f, np.zeros(f.d))
    steps = solver.rounds(node, f, state)
    for _ in range(f.n // BATCH):
        state = next(steps)
    return solver.model(node, f, state)
