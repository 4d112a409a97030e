"""Speed of the kernels, as ratios: relative to reading the data once, numpy, scipy and scikit-learn.

Reading the matrix once is a lower bound for every pass over it, so a ratio of 1.0 to a read is optimal.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from hpcopt.bench.timing import Case, Peer, compared
from hpcopt.compression.threshold_ternary import ThresholdTernary
from hpcopt.kernels import adaptive
from hpcopt.kernels.cache import kernel
from hpcopt.kernels.pointwise import LOGISTIC, derivatives
from hpcopt.problems.dense_matrix import aligned_empty
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.storage import as_matrix
from hpcopt.solvers.parts.exchange import Messages

READ = "read X once"
NUMPY = "numpy, two products"
SCIPY = "scipy, two products"
SKLEARN = "scikit-learn"


def bench_kernels(barrier: Callable[[], None], rank: int, size: int, quick: bool) -> list[dict[str, Any]]:
    """Time our kernels and their peers alternately, on all ranks simultaneously.

    Parameters
    ----------
    barrier
        Waits for all ranks; they must start each call together, as they share the memory bandwidth.
    rank, size
        This rank and the number of ranks, over which the dense matrix is distributed.
    quick
        Whether to use smaller data and fewer rounds.

    Returns
    -------
    list of dict
        As from `timing.compared`.
    """
    rng = np.random.default_rng([0, rank])
    n, d = (60_000, 200_000) if quick else (200_000, 1_000_000)
    return compared(barrier, _cases(rng, n // size, d), rounds=7 if quick else 15)


def _cases(rng: np.random.Generator, n: int, d: int) -> Iterator[Case]:
    """Yield the cases; data are created when needed and freed afterwards."""
    yield from _dense(rng, n, 304)
    for name, X in (("a9a-like", _one_hot(rng, 32_561, 123, 14)), ("w8a-like", _bag_of_words(rng, 48_000, 300, 12.5))):
        yield from _sparse(name, X, rng)
    yield from _margins(rng, 100_000)
    yield from _adaptive_steps(rng, d)


def _dense(rng: np.random.Generator, n: int, d: int) -> Iterator[Case]:
    X = aligned_empty(n, d)
    rng.standard_normal(out=X)
    y, s, w = _vectors(rng, n, d)
    words = X.reshape(-1).view(np.int64)
    matrix = as_matrix(X)
    out = np.empty(n), np.empty(n)  # the oracle uses these again, too
    read = Peer(READ, lambda: _read(words), 0.8)
    yield Case(
        "dense Hessian product",
        lambda: matrix.hessian_product(s, w),
        [read, Peer(NUMPY, lambda: X.T @ (s * (X @ w)), 1.8)],
    )
    yield Case(
        "dense loss and gradient",
        lambda: matrix.loss_gradient(LOGISTIC, y, w, out),
        [read, Peer(NUMPY, lambda: _numpy_loss_gradient(X, y, w), 2.0), *_sklearn(X, y, w, 2.0)],
    )
    yield from _single_precision(matrix, s, w)


def _single_precision(matrix: Matrix, s: NDArray[np.float64], w: NDArray[np.float64]) -> Iterator[Case]:
    short = as_matrix(matrix.as_array(), "f32")
    words = short.as_array().reshape(-1).view(np.int64)
    yield Case(
        "dense Hessian product, f32 storage",
        lambda: short.hessian_product(s, w),
        [Peer("ours, f64 storage", lambda: matrix.hessian_product(s, w), 1.4), Peer(READ, lambda: _read(words), 0.7)],
    )


def _sparse(name: str, X: Any, rng: np.random.Generator) -> Iterator[Case]:
    y, s, w = _vectors(rng, *X.shape)
    matrix = as_matrix(X)
    out = np.empty(len(y)), np.empty(len(y))  # the oracle uses these again, too
    yield Case(
        f"sparse Hessian product, {name}",
        lambda: matrix.hessian_product(s, w),
        [Peer(SCIPY, lambda: X.T @ (s * (X @ w)), 1.5)],
    )
    ours = partial(matrix.loss_gradient, LOGISTIC, y, w, out)
    yield Case(f"sparse loss and gradient, {name}", ours, _sklearn(X, y, w, 1.5))


def _margins(rng: np.random.Generator, n: int) -> Iterator[Case]:
    y, _, _ = _vectors(rng, n, 1)
    z = 3.0 * rng.standard_normal(n)
    residual, curvature = np.empty(n), np.empty(n)
    peers = [Peer("numpy", lambda: _numpy_derivatives(z, y), 5.0)]
    loss = _sklearn_loss()
    if loss is not None:
        labels = (y > 0.0).astype(np.float64)
        scratch = np.empty(n)

        def sklearn() -> None:
            loss.loss(labels, z, loss_out=scratch)
            loss.gradient_hessian(labels, z, gradient_out=residual, hessian_out=curvature)

        peers.append(Peer(SKLEARN, sklearn, 9.0))
    ours = partial(derivatives, LOGISTIC, z, y, residual, curvature)
    yield Case("loss, residual, curvature of margins", ours, peers)


def _adaptive_steps(rng: np.random.Generator, d: int) -> Iterator[Case]:
    eta, delta, t, l1 = 0.1, 1e-8, 5.0, 1e-3
    compressor = ThresholdTernary(coding="dense")
    messages = Messages(compressor, [compressor.encode(rng.standard_normal(d)) for _ in range(8)], d)
    packed = messages.packed()
    assert packed is not None, "the coding is dense"
    x, v, z, g = rng.standard_normal(d), rng.random(d), rng.standard_normal(d), rng.standard_normal(d)

    def numpy_step(g: NDArray[np.float64]) -> None:
        v[:] += g**2
        z[:] += g
        x[:] = -np.sign(z) * eta / (delta + np.sqrt(v)) * np.maximum(np.abs(z) - t * l1, 0.0)

    def step() -> None:
        adaptive.step(adaptive.AVERAGING, x, g, v, z, eta, delta, t, l1, 0.0)

    def decode_and_step() -> None:
        adaptive.decode_and_step(*packed, adaptive.AVERAGING, x, v, z, eta, delta, t, d, l1, 0.0)

    yield Case("AdaGrad step (dual averaging, l1)", step, [Peer("numpy", lambda: numpy_step(g), 5.0)])
    peer = Peer("decoded one by one, then numpy", lambda: numpy_step(messages.vector()), 5.0)
    yield Case("AdaGrad step, mean of 8 ternary messages", decode_and_step, [peer])


def _vectors(rng: np.random.Generator, n: int, d: int) -> tuple[NDArray[np.float64], ...]:
    """Return targets and weights (n,), and a model (d,) with margins of order one."""
    return np.where(rng.random(n) < 0.5, -1.0, 1.0), rng.random(n), rng.standard_normal(d) / np.sqrt(d)


def _one_hot(rng: np.random.Generator, n: int, d: int, fields: int) -> Any:
    """Return a CSR array whose rows have one 1 in each of `fields` groups of columns."""
    edges = np.linspace(0, d, fields + 1).astype(int)
    columns = np.stack([rng.integers(low, high, n) for low, high in pairwise(edges)], axis=1)
    starts = np.arange(0, n * fields + 1, fields)
    return scipy.sparse.csr_array((np.ones(n * fields), columns.ravel(), starts), shape=(n, d))


def _bag_of_words(rng: np.random.Generator, n: int, d: int, words: float) -> Any:
    """Return a CSR array of ones whose rows differ in length and whose columns differ in frequency."""
    lengths = rng.poisson(words, n)
    columns = (d * rng.random(int(lengths.sum())) ** 2).astype(int)
    X = scipy.sparse.csr_array(
        (np.ones(len(columns)), columns, np.concatenate(([0], np.cumsum(lengths)))), shape=(n, d)
    )
    X.sum_duplicates()
    X.data[:] = 1.0
    return X


@kernel()
def _read(words: NDArray[np.int64]) -> int:
    total = 0
    for i in range(words.size):
        total += words[i]
    return total


def _numpy_derivatives(z: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, Any, Any]:
    p = 1.0 / (1.0 + np.exp(y * z))
    return float(np.logaddexp(0.0, -y * z).sum()), -y * p, p * (1.0 - p)


def _numpy_loss_gradient(X: Any, y: NDArray[np.float64], w: NDArray[np.float64]) -> tuple[float, Any]:
    loss, residual, _ = _numpy_derivatives(X @ w, y)
    return loss, X.T @ residual


def _sklearn_loss() -> Any:
    """Return scikit-learn's logistic loss, or None with a warning if it is missing (its module is private)."""
    try:
        from sklearn._loss import HalfBinomialLoss
    except ImportError:
        warnings.warn("scikit-learn's losses cannot be imported: it is omitted as a peer", stacklevel=2)
        return None
    return HalfBinomialLoss()


def _sklearn(X: Any, y: NDArray[np.float64], w: NDArray[np.float64], goal: float) -> list[Peer]:
    loss = _sklearn_loss()
    if loss is None:
        return []
    from sklearn.linear_model._linear_loss import LinearModelLoss

    whole = LinearModelLoss(base_loss=loss, fit_intercept=False)
    labels = (y > 0.0).astype(np.float64)
    return [Peer(SKLEARN, lambda: whole.loss_gradient(w, X, labels), goal)]
