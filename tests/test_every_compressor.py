"""The properties of every registered compressor, with its default parameters and with some others."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS, Compressor, NotFiniteError
from hpcopt.compression.few_levels import FewLevels

VARIANTS = {  # in addition to the defaults; unregistered names are skipped
    "low-rank": [{"rank": 2, "iterations": 2}, {"rank": 50}],
    "qsgd": [
        {"levels": 1},
        {"levels": 4, "bucket": 10},
        {"levels": 2, "scaled": False},
        {"levels": 16, "scaled": False, "coding": "auto"},
        {"levels": 300},
        {"levels": 32767},
    ],
    "random-k": [{"fraction": 0.3}, {"k": 3}, {"fraction": 0.25, "scaled": True}, {"fraction": 0.8, "scaled": True}],
    "ternary": [{"clip": 2.5}, {"bucket": 10}, {"coding": "dense"}],
    "threshold-ternary": [
        {"rule": "exact"},
        {"rule": "nonzero"},
        {"unbiased": True},
        {"bucket": 10, "coding": "dense"},
    ],
    "top-k": [{"fraction": 0.1}, {"fraction": 0.5}, {"fraction": 1.0}, {"k": 3}],
}
SIZES = [0, 1, 7, 100, 1025]
DRAWS = 2000
SIGMAS = 4.0
ROUNDING = 1e-6  # of a squared error, due to float32 arithmetic


def cases():
    """Yield a compressor for each name and each set of parameters."""
    for name in COMPRESSORS:
        for parameters in [{}, *VARIANTS.get(name, [])]:
            yield COMPRESSORS[name](**parameters)


CASES = list(cases())
CASE = pytest.mark.parametrize("compressor", CASES, ids=str)
CASE_AND_SIZE = pytest.mark.parametrize(
    ("compressor", "d"),
    [pytest.param(case, d, id=f"{case}-{d}") for case in CASES for d in SIZES if case.refuses(d) is None],
)
DTYPE = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = {
    "normal": np.random.default_rng(0).standard_normal(64),
    "one-hot": -2.5 * np.eye(64)[17],
    "flat": np.where(np.arange(64) % 3, 0.3, -0.3),
    "heavy-tailed": np.random.default_rng(2).standard_cauchy(64),
    "sparse": np.where(np.arange(64) % 7, 0.0, np.random.default_rng(3).standard_normal(64)),
}
SHAPE = pytest.mark.parametrize("x", SHAPES.values(), ids=SHAPES)


def vector(d, dtype=np.float64):
    return np.random.default_rng(d).standard_normal(d).astype(dtype)


def coded(compressor, x, key=0):
    return compressor.decode(compressor.encode(x, key), np.full_like(x, np.nan))


def moved_by_one_byte(message):
    """Return the message at an unaligned address."""
    moved = np.empty(message.size + 9, dtype=np.uint8)
    first = (1 - moved.ctypes.data) % 8
    moved[first : first + message.size] = message
    return moved[first : first + message.size]


def draws(compressor, x):
    """Return C(x) for many keys, shape (n, d); one is enough if the key doesn't matter."""
    return np.array([coded(compressor, x, key) for key in range(DRAWS if compressor.randomised else 1)])


def relative_errors(compressor, x):
    return np.sum((draws(compressor, x) - x) ** 2, axis=1) / np.sum(x**2)


def assert_mean_at_most(samples, bound):
    error = samples.std() / np.sqrt(samples.size)
    assert samples.mean() <= bound * (1.0 + ROUNDING) + SIGMAS * error + ROUNDING**2


@CASE_AND_SIZE
@DTYPE
def test_a_vector_comes_back_finite_from_a_message_of_the_declared_size(compressor, d, dtype):
    x = vector(d, dtype)
    message = compressor.encode(x, 5)
    declared = compressor.size(d, x.itemsize)
    assert message.dtype == np.uint8
    assert message.size == declared or declared is None
    assert message.size <= compressor.capacity(d, x.itemsize)
    out = np.full_like(x, np.nan)
    assert compressor.decode(message, out) is out
    assert np.isfinite(out).all()


@CASE_AND_SIZE
@DTYPE
def test_zeros_come_back_as_zeros(compressor, d, dtype):
    assert not coded(compressor, np.zeros(d, dtype=dtype), 3).any()


@CASE_AND_SIZE
@DTYPE
def test_the_same_key_gives_the_same_bytes_and_the_vector_is_left_alone(compressor, d, dtype):
    x = vector(d, dtype)
    before = x.copy()
    first, second = compressor.encode(x, 2**63 + 1), compressor.encode(x.copy(), 2**63 + 1)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, before)


@CASE
def test_the_key_matters_where_it_is_said_to(compressor):
    x = vector(1025)
    differ = any(not np.array_equal(compressor.encode(x, 0), compressor.encode(x, key)) for key in (1, 2**32, 2**63))
    assert differ == compressor.randomised


@CASE_AND_SIZE
@DTYPE
def test_room_that_is_given_is_used_and_holds_the_same_message(compressor, d, dtype):
    x = vector(d, dtype)
    room = np.full(compressor.capacity(d, x.itemsize) + 3, 255, dtype=np.uint8)
    message = compressor.encode(x, 5, room)
    assert message.ctypes.data == room.ctypes.data
    np.testing.assert_array_equal(message, compressor.encode(x, 5))
    assert (room[message.size :][-3:] == 255).all()


@CASE_AND_SIZE
@DTYPE
def test_a_message_may_lie_at_any_address(compressor, d, dtype):
    x = vector(d, dtype)
    message = compressor.encode(x, 5)
    decoded = compressor.decode(moved_by_one_byte(message), np.empty_like(x))
    np.testing.assert_array_equal(decoded, compressor.decode(message, np.empty_like(x)))
    room = moved_by_one_byte(np.zeros(compressor.capacity(d, x.itemsize), dtype=np.uint8))
    np.testing.assert_array_equal(compressor.encode(x, 5, room), message)


@CASE
@DTYPE
def test_strided_vectors_are_refused(compressor, dtype):
    strided = vector(200, dtype)[::2]
    message = compressor.encode(strided.copy(), 5)
    with pytest.raises(ValueError, match=r"^x: expected a contiguous vector"):
        compressor.encode(strided, 5)
    with pytest.raises(ValueError, match=r"^out: expected a contiguous vector"):
        compressor.decode(message, strided)


@CASE
@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_message_of_another_length_is_refused(compressor, wrong):
    message = compressor.encode(np.ones(100), 5)  # no list of few is shorter
    resized = np.zeros(message.size + wrong, dtype=np.uint8)
    resized[: message.size] = message[: resized.size]
    with pytest.raises(ValueError, match=r"^message: expected"):
        compressor.decode(resized, np.empty(100))


@CASE
@pytest.mark.parametrize("nonzeros", [0, 1, 2, 9])
def test_a_message_that_is_cut_at_its_end_is_refused(compressor, nonzeros):
    d, rng = 300, np.random.default_rng(nonzeros)
    x = np.zeros(d)
    x[rng.choice(d, nonzeros, replace=False)] = rng.choice([-2.0, 2.0], nonzeros)
    message = compressor.encode(x, 5)
    for size in (0, *range(max(message.size - 16, 1), message.size)):
        with pytest.raises(ValueError, match=r"^message: "):
            compressor.decode(message[:size], np.empty(d))
        if isinstance(compressor, FewLevels) and compressor.takes_lists:
            with pytest.raises(ValueError, match=r"^message: "):
                compressor.decode_list(message[:size], d)


@pytest.mark.parametrize(
    "compressor",
    [COMPRESSORS[name](**p) for name, p in [("top-k", {"k": 2}), ("top-k", {"k": 30}), ("threshold-ternary", {})]],
    ids=str,
)
def test_a_place_beyond_the_vector_is_refused(compressor):
    message = compressor.encode(np.where(np.arange(100) % 50, 0.0, 1.0))
    message[-1] = 255
    with pytest.raises(ValueError, match="out of range for a vector of 100 numbers"):
        compressor.decode(message, np.empty(100))


@CASE
def test_a_message_decodes_to_either_precision(compressor):
    message = compressor.encode(vector(100), 5)
    short, long = (compressor.decode(message, np.empty(100, dtype=dtype)) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(short, long, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("compressor", [c for c in CASES if type(c).view is not Compressor.view], ids=str)
@DTYPE
@pytest.mark.parametrize("d", SIZES)
def test_a_view_of_a_message_shows_what_decoding_gives(compressor, dtype, d):
    x = vector(d, dtype)
    message = compressor.encode(x, 5)
    np.testing.assert_array_equal(compressor.view(message, d), compressor.decode(message, np.empty_like(x)))


@CASE
@DTYPE
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("d", [3, 1025])
def test_a_vector_that_is_nowhere_finite_is_refused(compressor, dtype, wrong, d):
    with pytest.raises(NotFiniteError, match=compressor.name):
        compressor.encode(np.full(d, wrong, dtype=dtype), 5)


@CASE
@DTYPE
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [17, 1024])
def test_what_is_not_finite_never_travels(compressor, dtype, wrong, place):
    x = vector(1025, dtype)
    x[place] = wrong
    try:
        decoded = coded(compressor, x, 5)
    except NotFiniteError:
        return
    assert compressor.name == "random-k"  # it reads only the selected numbers
    assert np.isfinite(decoded).all()


@CASE
@SHAPE
def test_what_is_lost_stays_within_the_declared_constants(compressor, x):
    errors = relative_errors(compressor, x)
    delta, omega = compressor.contraction(x.size), compressor.variance(x.size)
    if delta is not None:
        assert 0.0 < delta <= 1.0
        assert_mean_at_most(errors, 1.0 - delta)
    if omega is not None:
        assert_mean_at_most(errors, omega)


@pytest.mark.parametrize("compressor", [c for c in CASES if c.variance(64) is not None], ids=str)
@SHAPE
def test_where_a_variance_is_declared_the_mean_is_the_vector(compressor, x):
    samples = draws(compressor, x)
    omega = compressor.variance(x.size)
    bias = np.linalg.norm(samples.mean(axis=0) - x) / np.linalg.norm(x)
    assert bias <= SIGMAS * np.sqrt(omega / len(samples)) + ROUNDING  # E ||mean - x||^2 <= omega ||x||^2 / n


@CASE
@SHAPE
@DTYPE
@pytest.mark.parametrize("exponent", [-100, 100])
def test_the_relative_error_does_not_depend_on_the_scale(compressor, x, dtype, exponent):
    x = x.astype(dtype)
    scaled = np.ldexp(x, exponent)
    here = np.linalg.norm(coded(compressor, x) - x) / np.linalg.norm(x)
    there = np.linalg.norm(np.ldexp(coded(compressor, scaled), -exponent) - x) / np.linalg.norm(x)
    assert there == pytest.approx(here, rel=1e-3, abs=1e-3)
