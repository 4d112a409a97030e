"""Natural compression: powers of two, unbiased, nine bits per number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.compression import NotFiniteError
from hpcopt.compression.natural import Natural

DRAWS = 10_000
NATURAL = Natural()
LENGTHS = st.one_of(st.integers(0, 40), st.sampled_from([63, 97, 1023, 1024, 1025, 2049, 5003]))
DTYPES = [np.float32, np.float64]


def spread(d, dtype=np.float64, seed=0):
    """Return d numbers of both signs over sixty orders of magnitude."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(d) * 10.0 ** rng.uniform(-30, 30, d)).astype(dtype)


def coded(x, key=0):
    return NATURAL.decode(NATURAL.encode(x, key), np.empty_like(x))


def draws(x, n=DRAWS):
    return np.array([coded(x, key) for key in range(n)])


@settings(deadline=None)  # the first call compiles
@given(d=LENGTHS, dtype=st.sampled_from(DTYPES), key=st.integers(0, 2**64 - 1))
def test_every_number_comes_back_as_a_neighbouring_power_of_two_from_nine_bits(d, dtype, key):
    x = spread(d, dtype, seed=d)
    before = x.copy()
    message = NATURAL.encode(x, key)
    assert message.size == NATURAL.size(d, x.itemsize) == -(-9 * d // 8)
    np.testing.assert_array_equal(x, before)
    y = NATURAL.decode(message, np.empty_like(x))
    lower = 2.0 ** np.floor(np.log2(np.abs(x.astype(np.float32)), dtype=np.float64))
    assert np.isin(y / np.copysign(lower, x), [1.0, 2.0]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_and_zeros_are_kept(dtype):
    x = np.array([1.0, -2.0, 0.0, 2.0**-126, -(2.0**127), 0.25, -0.0], dtype)
    for key in range(200):
        np.testing.assert_array_equal(coded(x, key), x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_unbiased(dtype):
    x = spread(64, dtype)
    ratio = draws(x) / x
    error = ratio.std(axis=0) / np.sqrt(DRAWS)
    assert (np.abs(ratio.mean(axis=0) - 1) <= 4 * error + 2**-16).all()


def test_numbers_below_the_normal_range_are_right_on_average():
    x = np.array([0.5, -0.75, 0.1]) * 2.0**-126
    values = draws(x) * 2.0**126
    assert set(np.unique(values)) <= {0.0, 1.0, -1.0}
    assert np.abs(values.mean(axis=0) - [0.5, -0.75, 0.1]).max() <= 4 * 0.5 / np.sqrt(DRAWS)


def test_the_error_of_each_number_is_that_of_the_formula_and_at_most_an_eighth():
    x = np.concatenate([np.linspace(1, 2, 33), [4 / 3]])
    loss = (draws(x) / x - 1) ** 2
    error = loss.std(axis=0) / np.sqrt(DRAWS)
    expected = (x - 1) * (2 - x) / x**2  # E (C(x) - x)^2 on [1, 2]
    assert (np.abs(loss.mean(axis=0) - expected) <= 4 * error + 2**-15).all()
    assert expected.max() == pytest.approx(NATURAL.variance(34))
    assert NATURAL.contraction(34) == 1 - NATURAL.variance(34)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1.001 * 2.0**127, -3e38, np.copysign(np.nan, -1)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [0, 1024, 1999])
def test_what_has_no_power_of_two_above_it_is_refused(wrong, dtype, place):
    x = spread(2000, dtype)
    x[place] = wrong
    with pytest.raises(NotFiniteError, match="NaN, infinity or a number beyond"):
        NATURAL.encode(x)


def test_float64_beyond_float32_is_refused():
    with pytest.raises(NotFiniteError):
        NATURAL.encode(np.array([1.0, 1e300]))


@pytest.mark.parametrize("offset", range(8))
def test_a_message_may_lie_anywhere(offset):
    x = spread(3001)
    memory = np.empty(NATURAL.size(3001) + 16, np.uint8)
    message = NATURAL.encode(x, 3, memory[offset:])
    np.testing.assert_array_equal(message, NATURAL.encode(x, 3))
    np.testing.assert_array_equal(NATURAL.decode(message, np.empty(3001)), coded(x, 3))


@pytest.mark.parametrize("other", [1, 2**32, 2**63])
def test_the_key_decides_the_bytes(other):
    x = spread(200)
    np.testing.assert_array_equal(NATURAL.encode(x, 5), NATURAL.encode(x, 5))
    assert (NATURAL.encode(x, 5) != NATURAL.encode(x, 5 ^ other)).any()


def test_a_number_is_rounded_alike_whatever_follows_it():
    x = spread(5000)
    np.testing.assert_array_equal(coded(x[:1500], 8), coded(x, 8)[:1500])


def test_decoding_into_float64_gives_the_numbers_of_float32():
    message = NATURAL.encode(spread(1000, np.float32), 1)
    narrow = NATURAL.decode(message, np.empty(1000, np.float32))
    np.testing.assert_array_equal(NATURAL.decode(message, np.empty(1000)), narrow)
