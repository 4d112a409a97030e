"""The casts' properties beyond those of all compressors: round to nearest, ties to even, at every scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcopt.compression import COMPRESSORS, NotFiniteError
from hpcopt.kernels import casts

F32, F16, BF16 = (COMPRESSORS[name]() for name in ("f32", "f16", "bf16"))
LARGEST = float(np.finfo(np.float32).max)
HEAD = 4096  # numbers from which f16 estimates the range

SINGLES = arrays(np.float32, st.integers(0, 40), elements=st.floats(-LARGEST, LARGEST, width=32))
MODERATE = arrays(np.float32, st.integers(1, 40), elements=st.floats(-1000.0, 1000.0, width=32))


def coded(compressor, x):
    return compressor.decode(compressor.encode(x), np.full_like(x, np.nan))


def unit_of(message):
    return message[:4].view(np.float32)[0]


def relative_error(compressor, x):
    exact = x.astype(np.float64)
    return np.sum((coded(compressor, x).astype(np.float64) - exact) ** 2) / np.sum(exact**2)


def brain(x):
    """Return the nearest bfloat16, ties to even, by comparing the two neighbours."""
    below = x.view(np.uint32) & np.uint32(0xFFFF0000)
    above = np.minimum(below + np.uint32(0x10000), np.uint32(0x7F7F0000) | (below & np.uint32(1 << 31)))
    low, high = below.view(np.float32).astype(np.float64), above.view(np.float32).astype(np.float64)
    up, down = np.abs(high - x), np.abs(low - x)
    even = (above >> np.uint32(16)) % 2 == 0
    return np.where((up < down) | ((up == down) & even), high, low).astype(np.float32)


@settings(deadline=None)
@given(x=SINGLES)
def test_f32_keeps_float32(x):
    np.testing.assert_array_equal(coded(F32, x), x)


def test_f32_rounds_float64_to_the_nearest():
    x = np.random.default_rng(0).standard_normal(1001)
    np.testing.assert_array_equal(coded(F32, x), x.astype(np.float32))


@pytest.mark.parametrize("compressor", [F32, F16, BF16], ids=str)
def test_a_number_beyond_float32_is_refused(compressor):
    with pytest.raises(NotFiniteError, match=f"^{compressor.name}: NaN, infinity or a number beyond float32"):
        compressor.encode(np.array([1.0, 1e39]))


@settings(deadline=None)
@given(x=MODERATE)
def test_f16_is_numpys_cast_where_the_range_is_comfortable(x):
    x[0] = 0.5  # in range; numpy rounds to nearest even
    message = F16.encode(x)
    assert unit_of(message) == 1.0
    np.testing.assert_array_equal(message[4:].view(np.float16), x.astype(np.float16))


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e-8, 1e-3, 1.0, 3e4, 1e5, 1e30, 1e37])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_f16_contracts_at_every_scale(scale, dtype):
    x = (scale * np.random.default_rng(1).standard_normal(1000)).astype(dtype)
    assert relative_error(F16, x) <= 1.0 - F16.contraction(1000)
    assert np.log2(unit_of(F16.encode(x))) % 1 == 0


@pytest.mark.parametrize(("beginning", "rest"), [(1e-30, 1e30), (1e30, 1e-30), (0.0, 1e-9), (1.0, 1e9), (1e-9, 1.0)])
def test_f16_holds_where_the_beginning_is_unlike_the_rest(beginning, rest):
    x = np.concatenate([np.full(HEAD, beginning), rest * np.random.default_rng(2).standard_normal(1000)])
    assert relative_error(F16, x) <= 1.0 - F16.contraction(x.size)


def test_f16_refuses_what_is_not_finite_behind_a_beginning_it_would_magnify():
    x = np.full(HEAD + 10, 1e-30)
    x[-1] = np.inf
    with pytest.raises(NotFiniteError):
        F16.encode(x)


@settings(deadline=None)
@given(x=SINGLES)
def test_bf16_is_the_nearest_of_its_two_neighbours_and_finite(x):
    np.testing.assert_array_equal(coded(BF16, x), brain(x))


def test_bf16_takes_ties_to_even():
    x = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8], dtype=np.float32)
    np.testing.assert_array_equal(coded(BF16, x), [1.0, 1 + 2.0**-6, -1.0])


@settings(deadline=None)
@given(x=SINGLES.filter(lambda x: x.size and np.abs(x).max() > 2.0**-122))
@pytest.mark.parametrize("compressor", [F32, F16, BF16], ids=str)
def test_every_vector_loses_less_than_declared(compressor, x):
    assert relative_error(compressor, x) <= 1.0 - compressor.contraction(x.size)


def test_casts_declare_no_variance_and_nearly_no_loss():
    assert [c.variance(10**6) for c in (F32, F16, BF16)] == [None, None, None]
    assert [c.size(10**6) for c in (F32, F16, BF16)] == [4 * 10**6, 4 + 2 * 10**6, 2 * 10**6]
    assert min(c.contraction(10**6) for c in (F32, F16, BF16)) > 0.9999


@pytest.mark.parametrize(("f16c", "refused"), [(False, True), (True, False)])
def test_f16_is_refused_on_an_x86_that_cannot_cast_to_it(monkeypatch, f16c, refused):
    monkeypatch.setattr(casts.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(casts.binding, "get_host_cpu_features", lambda: {"f16c": f16c})
    casts.has_half.cache_clear()
    said = F16.refuses(10)
    casts.has_half.cache_clear()
    assert bool(said) == refused
    assert not refused or "F16C" in said


def test_other_processors_are_not_asked(monkeypatch):
    monkeypatch.setattr(casts.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(casts.binding, "get_host_cpu_features", lambda: 1 / 0)
    casts.has_half.cache_clear()
    said = F16.refuses(10)
    casts.has_half.cache_clear()
    assert said is None
