"""QSGD: unbiased or contracting as declared, exact in size, the same on every rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpcopt.compression import NotFiniteError
from hpcopt.compression.qsgd import QSGD
from hpcopt.errors import InputError
from hpcopt.kernels.dither import fill

DRAWS = 10_000
LEVELS = [1, 2, 3, 4, 7, 8, 15, 16, 63, 64, 127, 128, 256, 1000, 16383, 32767]
LENGTHS = st.one_of(st.integers(0, 40), st.sampled_from([63, 97, 511, 512, 513, 1023, 1024, 1025, 2049, 5003]))
SHAPES = {
    "normal": np.random.default_rng(0).standard_normal(64),
    "one-hot": np.eye(64)[17],
    "flat": np.full(64, -0.3),
    "heavy": np.random.default_rng(1).standard_cauchy(64),
}
SHAPE = pytest.mark.parametrize("x", SHAPES.values(), ids=SHAPES)


def vector(d, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(d).astype(dtype)


def coded(compressor, x, key=0):
    return compressor.decode(compressor.encode(x, key), np.empty_like(x))


def draws(compressor, x, n=DRAWS):
    """Return C(x) under n keys, shape (n, d)."""
    return np.array([coded(compressor, x, key) for key in range(n)])


def mean_and_error(samples):
    """Return the mean over the first axis and its standard error."""
    return samples.mean(axis=0), samples.std(axis=0) / np.sqrt(len(samples))


@settings(deadline=None)  # the first call compiles
@given(
    d=LENGTHS,
    levels=st.sampled_from(LEVELS),
    bucket=st.sampled_from([0, 1, 5, 64, 100, 512, 1031]),
    dtype=st.sampled_from([np.float32, np.float64]),
    key=st.integers(0, 2**64 - 1),
)
def test_every_number_comes_back_within_a_level_from_a_message_of_the_declared_size(d, levels, bucket, dtype, key):
    x = vector(d, dtype, seed=d)
    compressor = QSGD(levels=levels, bucket=bucket, scaled=False)
    before = x.copy()
    message = compressor.encode(x, key)
    assert message.size == compressor.size(d, x.itemsize) == compressor.capacity(d, x.itemsize)
    np.testing.assert_array_equal(x, before)
    length = bucket or max(d, 1)
    for first in range(0, d, length):
        part = slice(first, first + length)
        step = np.linalg.norm(x[part]) / levels
        error = compressor.decode(message, np.empty_like(x))[part] - x[part]
        assert np.abs(error).max() <= step * (1 + levels * 5e-6)


@pytest.mark.parametrize("levels", [1, 4, 7, 127, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_levels_are_those_of_the_formula_with_the_documented_dithers(levels, dtype):
    x = vector(3001, dtype)
    words = np.empty(1501, np.uint32)
    fill(np.uint64(9), 0, words)
    u = words.view(np.uint16)[:3001] / 65536
    norm = np.linalg.norm(x.astype(np.float64))
    level = coded(QSGD(levels=levels, scaled=False), x, key=9) * levels / norm
    scaled = levels * x / norm
    agree = np.round(level) == np.floor(scaled + u)
    # if they differ, v + u is within roundoff of the next level
    assert (np.abs((scaled + u)[~agree] - np.round((scaled + u)[~agree])) < 2e-5 * max(1, levels / 128)).all()
    assert agree.mean() > 0.99


@SHAPE
@pytest.mark.parametrize("levels", [1, 4, 127, 1000])
def test_the_unscaled_form_is_unbiased(levels, x):
    step = np.linalg.norm(x) * (1 + 2**-18) / levels  # relative to the norm as sent
    up = np.abs(x) / step % 1
    error = step * np.sqrt(up * (1 - up) / DRAWS)
    mean = draws(QSGD(levels=levels, scaled=False), x).mean(axis=0)
    assert (np.abs(mean - x) <= 4 * error + 2**-17 * step + 1e-6 * np.abs(x)).all()


@SHAPE
@pytest.mark.parametrize("bucket", [0, 16])
@pytest.mark.parametrize("levels", [1, 4, 127])
def test_the_variance_of_the_unscaled_form_is_within_its_bound(levels, bucket, x):
    compressor = QSGD(levels=levels, bucket=bucket, scaled=False)
    mean, error = mean_and_error(np.sum((draws(compressor, x, 2000) - x) ** 2, axis=1) / np.sum(x**2))
    assert mean <= compressor.variance(64) + 4 * error


@SHAPE
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("bucket", [0, 16])
@pytest.mark.parametrize("levels", [1, 4, 127, 1000])
def test_the_error_is_within_the_declared_contraction(levels, bucket, scaled, x):
    compressor = QSGD(levels=levels, bucket=bucket, scaled=scaled)
    delta = compressor.contraction(64)
    if delta is None:
        assert compressor.variance(64) >= 1
        return
    assert 0 < delta <= 1
    mean, error = mean_and_error(np.sum((draws(compressor, x, 1000) - x) ** 2, axis=1) / np.sum(x**2))
    assert mean <= 1 - delta + 4 * error


@pytest.mark.parametrize(
    ("levels", "expected", "bound"), [(1, 0.861, 0.889), (2, 0.718, 0.8), (4, 0.520, 0.667), (16, 0.064, 0.2)]
)
def test_normal_vectors_of_64_numbers_lose_what_was_measured_before(levels, expected, bound):
    compressor = QSGD(levels=levels)
    assert 1 - compressor.contraction(64) == pytest.approx(bound, abs=5e-4)
    x = np.random.default_rng(4).standard_normal((4000, 64))
    losses = [np.sum((coded(compressor, v, key) - v) ** 2) / np.sum(v**2) for key, v in enumerate(x)]
    assert np.mean(losses) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(
    ("dtype", "magnitude"),
    [(np.float64, 1e-57), (np.float64, 1e-45), (np.float64, 1e-36)]
    + [(dtype, magnitude) for dtype in (np.float32, np.float64) for magnitude in (1e-31, 1e-29, 1e-18, 1e19, 1e36)],
)
@pytest.mark.parametrize("levels", [1, 7, 1000])
def test_magnitudes_near_the_ends_of_float32_contract_as_well(levels, magnitude, dtype):
    x = (magnitude * SHAPES["normal"]).astype(dtype)
    compressor = QSGD(levels=levels)
    relative = np.sum((draws(compressor, x, 500).astype(np.float64) / magnitude - x / magnitude) ** 2, axis=1) / 64
    mean, error = mean_and_error(relative / np.mean((x / magnitude) ** 2))
    assert mean <= 1 - compressor.contraction(64) + 4 * error


def test_float32_vectors_that_are_not_normal_contract_into_float64():
    x = np.full(64, 2.0**-140, np.float32)
    compressor = QSGD(levels=7)
    decoded = [compressor.decode(compressor.encode(x, key), np.empty(64)) for key in range(500)]
    losses = np.sum((np.array(decoded) * 2.0**140 - 1) ** 2, axis=1) / 64
    mean, error = mean_and_error(losses)
    assert mean <= 1 - compressor.contraction(64) + 4 * error


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("bucket", [0, 10])
def test_zeros_come_back_as_zeros(levels, bucket):
    x = np.zeros(33)
    assert not coded(QSGD(levels=levels, bucket=bucket), x).any()


def test_a_vector_below_the_range_of_norms_becomes_zero():
    assert not coded(QSGD(), np.full(5, 1e-80)).any()


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("value", [3.7, -1e-20])
def test_a_single_number_is_its_own_norm(levels, value):
    x = np.array([value])
    mean, _ = mean_and_error(draws(QSGD(levels=levels, scaled=False), x, 50))
    assert mean == pytest.approx(x, rel=1e-5 + 1 / levels * (levels > 1000) * 0.1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 700, 1999])
@pytest.mark.parametrize("bucket", [0, 100])
def test_a_number_that_is_not_finite_is_refused(wrong, dtype, place, bucket):
    x = vector(2000, dtype)
    x[place] = wrong
    with pytest.raises(NotFiniteError, match="NaN, infinity or a norm beyond float32"):
        QSGD(bucket=bucket).encode(x)


def test_a_norm_beyond_float32_is_refused():
    with pytest.raises(NotFiniteError, match="beyond float32"):
        QSGD().encode(np.array([1e39]))
    with pytest.raises(NotFiniteError, match="beyond float32"):
        QSGD().encode(np.full(4, 3e38, np.float32))


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize("levels", [1, 3, 7, 127, 1000])
def test_a_message_may_lie_anywhere(levels, offset):
    compressor = QSGD(levels=levels, bucket=700)
    x = vector(3000)
    memory = np.empty(compressor.size(3000) + 16, np.uint8)
    message = compressor.encode(x, 3, memory[offset:])
    assert message.base is not None
    assert message.size == compressor.size(3000)
    np.testing.assert_array_equal(message, compressor.encode(x, 3))
    np.testing.assert_array_equal(compressor.decode(message, np.empty(3000)), coded(compressor, x, 3))


@pytest.mark.parametrize("other", [1, 2**32, 2**63])
def test_the_key_decides_the_bytes(other):
    x = vector(200)
    compressor = QSGD(levels=3)
    np.testing.assert_array_equal(compressor.encode(x, 5), compressor.encode(x, 5))
    assert (compressor.encode(x, 5) != compressor.encode(x, 5 ^ other)).any()


def test_decoding_into_float64_gives_the_numbers_of_float32():
    x = vector(1000, np.float32)
    compressor = QSGD(levels=15)
    message = compressor.encode(x, 1)
    narrow = compressor.decode(message, np.empty(1000, np.float32))
    np.testing.assert_array_equal(compressor.decode(message, np.empty(1000)), narrow)


@pytest.mark.parametrize(
    ("levels", "bits"),
    [(1, 1.6), (2, 2.375), (3, 3), (4, 3.2), (7, 4), (15, 5), (16, 16 / 3), (127, 8), (128, 9), (32767, 16)],
)
def test_symbols_take_the_bits_of_the_better_way(levels, bits):
    n = 22 * 27 * 40
    assert QSGD(levels=levels).size(n) == pytest.approx(4 + n * bits / 8, rel=2e-3)


@pytest.mark.parametrize(("field", "value"), [("levels", 0), ("levels", 32768), ("bucket", -1)])
def test_parameters_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(InputError, match=f"^{field}: at least .*, got {value}$"):
        QSGD(**{field: value})


# Lists of the numbers that are not rounded to zero.


@settings(deadline=None)
@given(
    d=LENGTHS,
    levels=st.sampled_from(LEVELS),
    bucket=st.sampled_from([0, 1, 5, 100, 512]),
    scaled=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    density=st.floats(0.0, 1.0),
    exponent=st.sampled_from([-110, 0, 100]),
)
@example(d=0, levels=1000, bucket=0, scaled=True, dtype=np.float64, density=0.0, exponent=0)
def test_either_coding_gives_the_same_vector(d, levels, bucket, scaled, dtype, density, exponent):
    x = np.ldexp(vector(d, dtype, seed=d), exponent)
    x[np.random.default_rng(levels).random(d) > density] = 0.0
    dense, auto = (QSGD(levels=levels, bucket=bucket, scaled=scaled, coding=coding) for coding in ("dense", "auto"))
    message = auto.encode(x, 7)
    assert message.size <= auto.capacity(d) == dense.size(d) + 1
    assert auto.size(d) is None
    np.testing.assert_array_equal(auto.decode(message, np.empty_like(x)), coded(dense, x, 7))


@pytest.mark.parametrize(("levels", "bits"), [(1, 1), (2, 2), (127, 8), (1000, 11)])
@pytest.mark.parametrize("count", [0, 1, 3, 8])
@pytest.mark.parametrize("d", [1000, 5000])
def test_few_numbers_are_sent_as_a_list_of_indices_and_levels(d, count, levels, bits):
    x = np.zeros(d)
    x[np.random.default_rng(d).choice(d, count, replace=False)] = -2.0
    message = QSGD(levels=levels, scaled=False, coding="auto").encode(x)
    sent = np.count_nonzero(coded(QSGD(levels=levels, scaled=False), x))
    listed = 2 if sent == 1 else sent  # a number alone comes twice
    assert message.size == 1 + 4 + -(-listed * ((d - 1).bit_length() + bits) // 8)


@pytest.mark.parametrize(
    ("place", "byte", "expected"),
    [
        (-1, 255, "out of range for a vector of 600 numbers"),  # the level
        (-2, 255, "out of range for a vector of 600 numbers"),  # the index
        (0, 0, "expected 230 bytes"),
        (0, 2, "expected 230 bytes"),
    ],
)
def test_a_damaged_list_is_refused(place, byte, expected):
    compressor = QSGD(levels=3, coding="auto")
    message = compressor.encode(np.eye(600)[17] - np.eye(600)[599])
    assert message.size == 1 + 4 + 4
    message[place] = byte
    with pytest.raises(ValueError, match=expected):
        compressor.decode(message, np.empty(600))


def test_a_list_that_is_as_long_as_the_dense_coding_is_refused():
    compressor = QSGD(levels=127, coding="auto")
    message = compressor.encode(np.ones(600))
    assert message.size == compressor.capacity(600)
    message[0] = 1
    with pytest.raises(ValueError, match="first byte of 0"):
        compressor.decode(message, np.empty(600))
