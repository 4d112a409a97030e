"""top-k: exactly the k largest magnitudes of any vector, with the minimal number of bits for their indices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcopt.compression import NotFiniteError
from hpcopt.compression.top_k import TopK
from hpcopt.errors import InputError
from hpcopt.kernels.dither import bits32

DTYPE = pytest.mark.parametrize("dtype", [np.float32, np.float64])
D = 20_011


def normal(rng):
    return rng.standard_normal(D)


def equal(rng):
    return np.where(rng.random(D) < 0.5, 1.5, -1.5)


def few_values(rng):
    return rng.integers(-3, 4, D).astype(float)


def mostly_zero(rng):
    return np.where(rng.random(D) < 0.003, rng.standard_normal(D), 0.0)


def rising(rng):
    return np.sort(rng.standard_normal(D) ** 3)


def large_at_the_end(rng):
    return np.where(np.arange(D) < D - 700, 1e-3, 1.0) * rng.standard_normal(D)


def columns_of_unlike_size(rng):
    return rng.standard_normal(D) * np.where(np.arange(D) % 97, 1e-4, 1.0)


def tiny(rng):
    return 1e-40 * rng.standard_normal(D)  # float32 has few digits left


VECTOR = pytest.mark.parametrize(
    "make", [normal, equal, few_values, mostly_zero, rising, large_at_the_end, columns_of_unlike_size, tiny]
)


def expected(x, k):
    """Return `x` as float32, with all but its k largest magnitudes set to zero; ties by the lower index."""
    kept = np.zeros_like(x)
    places = np.argsort(-np.abs(x), kind="stable")[:k]
    kept[places] = x[places].astype(np.float32)
    return kept


def coded(compressor, x):
    return compressor.decode(compressor.encode(x), np.full_like(x, np.nan))


@VECTOR
@DTYPE
@pytest.mark.parametrize("k", [1, 5, 200, 2001, 10_000, D - 1, D])
def test_the_k_largest_magnitudes_come_back_and_nothing_else(make, dtype, k):
    x = make(np.random.default_rng(k)).astype(dtype)
    np.testing.assert_array_equal(coded(TopK(k=k), x), expected(x, k))


@given(
    x=arrays(np.float64, st.integers(1, 300), elements=st.one_of(st.just(0.0), st.floats(-1e9, 1e9, width=32))),
    share=st.floats(0.001, 1.0),
)
@settings(deadline=None)
def test_any_short_vector_keeps_its_largest_numbers(x, share):
    k = math.ceil(share * x.size)
    np.testing.assert_array_equal(coded(TopK(k=k), x), expected(x, k))


def test_magnitudes_are_compared_in_the_precision_given():
    x = np.full(100, 1.0)
    x[63] += 1e-12  # not distinguishable in float32
    assert np.flatnonzero(coded(TopK(k=1), x)).tolist() == [63]


@pytest.mark.parametrize("seen", [0.0, 1e-9, 100.0])
def test_a_sample_that_misleads_changes_nothing(seen):
    x = np.random.default_rng(0).standard_normal(D)
    m = 4 * math.isqrt(D) + 64  # the sample size of `kernels.select` for estimating a bound
    words = np.array([bits32(np.uint64(D), np.uint32(j)) for j in range(m)], dtype=float)
    x[((np.arange(m) + words / 2**32) * (D / m)).astype(int)] = seen
    np.testing.assert_array_equal(coded(TopK(k=2001), x), expected(x, 2001))


def test_equal_magnitudes_hide_no_larger_one():
    x = np.ones(1_000_003, dtype=np.float32)
    x[-1:] = 2.0
    assert coded(TopK(k=1), x)[-1] == 2.0
    assert coded(TopK(k=3), x)[:2].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("d", "k", "bits"),
    [(1, 1, 0), (2, 1, 1), (1000, 10, 100), (1024, 10, 100), (1025, 10, 110), (64, 6, 36), (64, 11, 64), (65, 64, 65)],
)
def test_places_take_the_shorter_of_a_list_and_a_bit_for_each_number(d, k, bits):
    assert TopK(k=k).size(d) == TopK(k=k).encode(np.arange(d, dtype=float)).size == 4 * k + math.ceil(bits / 8)


@pytest.mark.parametrize(
    ("fraction", "d", "k"), [(0.01, 10, 1), (0.01, 1000, 10), (0.5, 3, 2), (1.0, 7, 7), (0.1, 0, 0)]
)
def test_a_fraction_is_rounded_to_at_least_one_number(fraction, d, k):
    assert TopK(fraction=fraction).kept(d) == k


@pytest.mark.parametrize("place", [0, 5000, D - 1])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e39])
def test_a_number_that_float32_does_not_have_is_refused(place, wrong):
    x = normal(np.random.default_rng(0))
    x[place] = wrong
    with pytest.raises(NotFiniteError, match="top-k"):
        TopK().encode(x)


def test_the_loss_is_that_of_the_numbers_left_out():
    x = normal(np.random.default_rng(1)).astype(np.float32)
    loss = np.sum((coded(TopK(fraction=0.1), x) - x) ** 2)
    assert loss == pytest.approx(np.sum(np.sort(np.abs(x))[: D - 2001] ** 2), rel=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fraction": 0.0}, r"fraction: above 0 and at most 1, got 0.0"),
        ({"fraction": 1.5}, r"fraction: above 0 and at most 1, got 1.5"),
        ({"fraction": float("nan")}, r"fraction: above 0 and at most 1, got nan"),
        ({"k": 0}, "k: at least 1, got 0"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(parameters, message):
    with pytest.raises(InputError, match=message):
        TopK(**parameters)


def test_more_numbers_than_the_vector_has_are_refused():
    assert TopK(k=9).refuses(8) == "k: expected at most 8, the numbers in a vector, got 9"
    assert TopK(k=8).refuses(8) is None
    with pytest.raises(InputError, match="k: expected at most 8"):
        TopK(k=9).encode(np.ones(8))
    assert "at most 2147483647" in TopK().refuses(2**31)
