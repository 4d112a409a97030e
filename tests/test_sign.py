"""The properties of the scaled sign beyond those of all compressors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcopt.compression import COMPRESSORS

SIGN = COMPRESSORS["sign"]()
SIZES = [1, 7, 8, 15, 16, 17, 4095, 4096, 4097, 9001]
DTYPE = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def coded(x):
    return SIGN.decode(SIGN.encode(x), np.full_like(x, np.nan))


@DTYPE
@pytest.mark.parametrize("d", SIZES)
def test_it_is_the_mean_magnitude_with_the_sign_of_each(d, dtype):
    x = np.random.default_rng(d).standard_normal(d).astype(dtype)
    np.testing.assert_allclose(coded(x), np.abs(x).mean() * np.where(x < 0, -1, 1), rtol=1e-6)


@DTYPE
@pytest.mark.parametrize("d", SIZES)
def test_a_message_is_a_float32_and_the_bits_of_the_negative_from_the_lowest_on(d, dtype):
    x = np.random.default_rng(d).standard_normal(d).astype(dtype)
    message = SIGN.encode(x, 0, np.full(SIGN.capacity(d), 255, dtype=np.uint8))
    np.testing.assert_array_equal(message[4:], np.packbits(x < 0, bitorder="little"))


@DTYPE
def test_zero_of_either_sign_counts_as_positive(dtype):
    np.testing.assert_array_equal(coded(np.array([0.0, -0.0, -3.0], dtype=dtype)), [1.0, 1.0, -1.0])


@settings(deadline=None)
@given(
    x=arrays(np.float64, st.integers(1, 200), elements=st.floats(-1e6, 1e6)).filter(lambda x: np.abs(x).max() > 1e-6)
)
def test_what_it_loses_is_known_from_the_norms(x):
    lost = np.sum((coded(x) - x) ** 2) / np.sum(x**2)
    assert lost == pytest.approx(1.0 - np.sum(np.abs(x)) ** 2 / (x.size * np.sum(x**2)), abs=1e-6)


@pytest.mark.parametrize("d", [1, 10, 1000])
def test_a_single_number_meets_the_declared_constant(d):
    x = 3.0 * np.eye(d)[d // 2]
    assert np.sum((coded(x) - x) ** 2) / 9.0 == pytest.approx(1.0 - SIGN.contraction(d), rel=1e-6, abs=1e-6)


def test_a_sum_beyond_float32_of_numbers_within_is_no_overflow():
    x = np.full(5000, 3e38, dtype=np.float32)
    np.testing.assert_allclose(coded(x), x, rtol=1e-6)


@DTYPE
def test_the_mean_is_the_same_wherever_the_vector_lies(dtype):
    x = np.random.default_rng(3).standard_normal(5000).astype(dtype)
    expected = SIGN.encode(x)
    for shift in range(1, 17):
        elsewhere = np.empty(x.size + shift, dtype=dtype)[shift:]
        elsewhere[:] = x
        np.testing.assert_array_equal(SIGN.encode(elsewhere), expected)
