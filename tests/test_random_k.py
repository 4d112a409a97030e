"""random-k: distinct indices, determined by the key alone, with equal probability."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.compression import NotFiniteError
from hpcopt.compression.random_k import RandomK

DRAWS = 10_000
SIGMAS = 4.5  # for the worst of up to a few hundred counts


def coded(compressor, x, key=0):
    return compressor.decode(compressor.encode(x, key), np.full_like(x, np.nan))


def drawn(d, k, key):
    """Return the indices for a key."""
    return np.flatnonzero(coded(RandomK(k=k), np.ones(d), key))


@given(
    d=st.one_of(st.integers(1, 400), st.sampled_from([1023, 1024, 1025, 4096, 40_013])),
    share=st.floats(0.0, 1.0),
    key=st.integers(0, 2**64 - 1),
)
@settings(deadline=None)
def test_k_different_numbers_come_back_as_they_were(d, share, key):
    k = max(1, round(share * d))
    x = np.random.default_rng(d).standard_normal(d).astype(np.float32)
    back = coded(RandomK(k=k), x, key)
    kept = back != 0.0
    assert np.count_nonzero(kept) == k
    np.testing.assert_array_equal(back[kept], x[kept])


@pytest.mark.parametrize(
    ("d", "k"),
    [(2, 1), (3, 1), (3, 2), (5, 2), (7, 3), (8, 4), (10, 9), (11, 5), (63, 6), (64, 6), (257, 20), (300, 30)],
)
def test_every_place_is_equally_likely(d, k):
    counts = np.zeros(d)
    for key in range(DRAWS):
        counts[drawn(d, k, key)] += 1
    share = k / d
    assert np.abs(counts - DRAWS * share).max() <= SIGMAS * np.sqrt(DRAWS * share * (1.0 - share))


@pytest.mark.parametrize(("d", "k"), [(3, 2), (4, 2), (5, 2), (7, 3), (11, 5), (12, 4)])
def test_every_pair_of_places_is_equally_likely(d, k):
    counts = dict.fromkeys(combinations(range(d), 2), 0)
    for key in range(DRAWS):
        for pair in combinations(drawn(d, k, 2**40 + key).tolist(), 2):
            counts[pair] += 1
    share = k * (k - 1) / (d * (d - 1))
    assert np.abs(np.array(list(counts.values())) - DRAWS * share).max() <= SIGMAS * np.sqrt(
        DRAWS * share * (1 - share)
    )


@pytest.mark.parametrize("d", [256, 400, 2500])
def test_neighbours_are_drawn_together_as_rarely_as_others(d):
    adjacent = sum(np.diff(drawn(d, 2, key))[0] == 1 for key in range(DRAWS))
    expected = DRAWS * 2 / d
    assert adjacent == pytest.approx(expected, abs=4.0 * np.sqrt(expected))


def test_places_of_a_long_vector_are_spread_as_at_random():
    d, k = 1_000_003, 20_000
    places = drawn(d, k, 99)
    gaps = np.diff(places)
    assert np.corrcoef(gaps[:-1], gaps[1:])[0, 1] == pytest.approx(0.0, abs=4.0 / np.sqrt(k))
    assert gaps.mean() == pytest.approx(d / k, rel=0.01)
    assert gaps.std() == pytest.approx(d / k, rel=0.04)  # geometric: the deviation equals the mean
    common = np.intersect1d(places, drawn(d, k, 100)).size
    assert common == pytest.approx(k * k / d, abs=4.0 * np.sqrt(k * k / d))


@pytest.mark.parametrize(("d", "k"), [(1, 1), (5, 2), (64, 6), (300, 30)])
def test_scaled_it_is_unbiased_with_the_declared_variance(d, k):
    compressor = RandomK(k=k, scaled=True)
    x = np.random.default_rng(d).standard_normal(d)
    samples = np.array([coded(compressor, x, key) for key in range(DRAWS)])
    errors = np.sum((samples - x) ** 2, axis=1) / np.sum(x**2)
    assert np.abs(samples.mean(axis=0) - x).max() <= SIGMAS * np.abs(x).max() * np.sqrt((d / k - 1.0) / DRAWS) + 1e-6
    assert errors.mean() == pytest.approx(d / k - 1.0, abs=4.0 * errors.std() / np.sqrt(DRAWS) + 1e-6)
    assert compressor.variance(d) == d / k - 1.0


def test_plain_it_loses_the_share_left_out():
    x = np.random.default_rng(0).standard_normal(100)
    errors = [np.sum((coded(RandomK(k=20), x, key) - x) ** 2) / np.sum(x**2) for key in range(DRAWS)]
    assert np.mean(errors) == pytest.approx(0.8, abs=4.0 * np.std(errors) / np.sqrt(DRAWS))


@pytest.mark.parametrize("scaled", [False, True])
def test_only_key_and_numbers_travel(scaled):
    compressor = RandomK(fraction=0.1, scaled=scaled)
    message = compressor.encode(np.ones(1000), 2**64 - 2)
    assert message.size == compressor.size(1000) == 8 + 4 * 100
    assert message[:8].view(np.uint64)[0] == 2**64 - 2


def test_numbers_that_scaling_carries_beyond_float32_are_refused():
    x = np.full(10, 1e38)
    assert np.isfinite(coded(RandomK(k=1), x)).all()
    with pytest.raises(NotFiniteError, match="random-k"):
        RandomK(k=1, scaled=True).encode(x)


def test_scaled_it_contracts_only_where_more_than_half_travels():
    assert RandomK(k=5, scaled=True).contraction(10) is None
    assert RandomK(k=8, scaled=True).contraction(10) == 0.75
