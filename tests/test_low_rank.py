"""low-rank: a projection of the vector's matrix, exact if the rank suffices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.compression import NotFiniteError
from hpcopt.compression.low_rank import LowRank
from hpcopt.errors import InputError

KEYS = range(1000)


def coded(compressor, x, key=0):
    return compressor.decode(compressor.encode(x, key), np.full_like(x, np.nan))


def loss(compressor, x, key=0):
    return np.sum((coded(compressor, x, key) - x) ** 2) / np.sum(x**2)


def with_spectrum(values, seed=0):
    """Return a square matrix with these singular values, as a vector."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((len(values), len(values))))[0] for _ in range(2))
    return ((left * values) @ right).ravel()


@given(
    d=st.integers(1, 500),
    rank=st.integers(1, 4),
    iterations=st.integers(1, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
    key=st.integers(0, 2**64 - 1),
)
@settings(deadline=None)
def test_what_comes_back_is_a_projection(d, rank, iterations, dtype, key):
    x = np.random.default_rng(d).standard_normal(d).astype(dtype)
    back = coded(LowRank(rank=rank, iterations=iterations), x, key).astype(np.float64)
    n = int(np.ceil(np.sqrt(d)))
    m = -(-d // n)
    square = m * n == d  # otherwise the padding is cut off, and the result is not a projection
    assert np.linalg.matrix_rank(np.pad(back, (0, m * n - d)).reshape(m, n), tol=1e-5 * np.linalg.norm(x)) <= rank + (
        not square
    )
    assert np.sum((back - x) ** 2) <= np.sum(x.astype(np.float64) ** 2) * (1.0 + 1e-6)
    if square:
        assert back @ x == pytest.approx(back @ back, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 5])
@pytest.mark.parametrize("shape", [(6, 7), (31, 32), (20, 20)])
def test_a_matrix_of_that_rank_comes_back_to_the_precision_of_float32(rank, shape):
    m, n = shape
    rng = np.random.default_rng(rank)
    x = (rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))).ravel()
    assert loss(LowRank(rank=rank), x) < 1e-12


@pytest.mark.parametrize("rank", [3, 8, 100])
def test_a_rank_beyond_the_matrix_is_cut_to_it_and_loses_nothing(rank):
    x = np.random.default_rng(0).standard_normal(9)
    compressor = LowRank(rank=rank)
    assert compressor.size(9) == 4 * 3 * 6
    assert loss(compressor, x) < 1e-12


@pytest.mark.parametrize("rank", [1, 2, 7, 31])
@pytest.mark.parametrize("iterations", [1, 2])
def test_a_flat_spectrum_loses_exactly_what_is_declared(rank, iterations):
    compressor = LowRank(rank=rank, iterations=iterations)
    x = with_spectrum(np.ones(32))
    assert compressor.contraction(1024) == pytest.approx(rank / 32, rel=1e-5)
    assert loss(compressor, x) == pytest.approx(1.0 - rank / 32, rel=1e-6)


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize(
    "values", [[1.0] * 11 + [0.9], [1.0] * 6 + [0.1] * 6, [1.0, 0.5, 0.25] + [0.01] * 9, [1.0] + [0.7] * 11]
)
@pytest.mark.parametrize("iterations", [1, 2])
def test_any_other_spectrum_loses_less(rank, values, iterations):
    compressor, x = LowRank(rank=rank, iterations=iterations), with_spectrum(np.array(values))
    losses = np.array([loss(compressor, x, key) for key in KEYS])
    assert losses.mean() < 1.0 - compressor.contraction(x.size) + 4.0 * losses.std() / np.sqrt(len(losses))


def test_further_iterations_come_near_to_the_best_matrix_of_the_rank():
    values = 0.8 ** np.arange(20)
    x = with_spectrum(values)
    best = np.sum(values[3:] ** 2) / np.sum(values**2)
    losses = [np.mean([loss(LowRank(rank=3, iterations=i), x, key) for key in range(50)]) for i in (1, 2, 8)]
    assert losses[0] > losses[1] > losses[2] >= best - 1e-6
    assert losses[2] == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize(("d", "m", "n"), [(0, 0, 1), (1, 1, 1), (2, 1, 2), (12, 3, 4), (13, 4, 4), (100, 10, 10)])
def test_a_message_holds_two_factors_of_a_nearly_square_matrix(d, m, n):
    assert LowRank().size(d) == LowRank().encode(np.ones(d)).size == 4 * min(1, m) * (m + n)


def test_large_numbers_come_back_as_long_as_the_factors_fit_float32():
    assert loss(LowRank(), np.full(64, 1e38)) < 1e-12


@pytest.mark.parametrize("value", [3e38, 1e100, 1e300])
def test_numbers_whose_factors_leave_float32_are_refused(value):
    with pytest.raises(NotFiniteError, match="low-rank"):
        LowRank().encode(np.full(64, value))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"rank": 0}, "rank: at least 1, got 0"), ({"iterations": 0}, "iterations: at least 1, got 0")],
)
def test_bad_parameters_are_refused_in_one_line(parameters, message):
    with pytest.raises(InputError, match=message):
        LowRank(**parameters)
