"""The ternary compressors: formulas for bias, variance and contraction, packing, lists, thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcopt.compression import COMPRESSORS
from hpcopt.errors import InputError
from hpcopt.kernels.trits import BLOCK

Ternary, Threshold = COMPRESSORS["ternary"], COMPRESSORS["threshold-ternary"]
DRAWS = 10_000
SIGMAS = 4.0
TAILS = [*range(1, 17), 127, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7]
RULES = ["all", "nonzero", "exact"]
UNBIASED = [Ternary(), Ternary(bucket=5), *(Threshold(unbiased=True, rule=rule) for rule in RULES)]

NUMBERS = st.floats(-100.0, 100.0, width=32).map(lambda x: x if abs(x) > 1e-3 else 0.0)
VECTORS = arrays(np.float32, st.integers(1, 60), elements=NUMBERS)

SUMMED = 4e-6  # relative error of a mean of a few thousand float32; depends on the CPU's vector width


def normal(d, dtype=np.float32):
    return np.random.default_rng(d).standard_normal(d).astype(dtype)


def coded(compressor, x, key=0):
    return compressor.decode(compressor.encode(x, key), np.full_like(x, np.nan))


def lost(compressor, x, key=0):
    return np.sum((coded(compressor, x, key).astype(np.float64) - x) ** 2)


def square(x):
    return np.sum(np.asarray(x, dtype=np.float64) ** 2)


def draws(compressor, x):
    return np.array([coded(compressor, x, key) for key in range(DRAWS)])


def thresholded(x, threshold):
    """Return the result by definition: the mean magnitude above the threshold, with signs, on the support."""
    kept = np.abs(x) > threshold
    return np.where(kept, np.sign(x) * np.abs(x[kept]).mean() if kept.any() else 0.0, 0.0)


def best_square(x):
    """Return max over K of (sum of the K largest magnitudes)^2 / K, by sorting."""
    sums = np.cumsum(np.sort(np.abs(x.astype(np.float64)))[::-1])
    return np.max(sums**2 / np.arange(1, x.size + 1))


# Packing: a vector of three (five) values needs no rounding, so only levels and positions matter.


@pytest.mark.parametrize("d", TAILS)
@pytest.mark.parametrize("coding", ["auto", "dense"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_three_values_come_back_as_they_are(d, coding, dtype):
    x = np.random.default_rng(d).integers(-1, 2, d).astype(dtype) * 0.3
    x[-1] = -0.3
    np.testing.assert_array_equal(coded(Ternary(coding=coding), x), x.astype(np.float32))
    np.testing.assert_allclose(coded(Threshold(coding=coding), x), x, rtol=SUMMED)


@pytest.mark.parametrize("d", TAILS)
@pytest.mark.parametrize("coding", ["auto", "dense"])
def test_five_values_come_back_as_they_are(d, coding):
    x = np.random.default_rng(d).choice([0.0, 0.5, -0.5, 4.0, -4.0], d).astype(np.float32)
    x[0] = 4.0
    compressor = Threshold(unbiased=True, rule="all", kappa=0.5 / np.abs(x).mean(dtype=float), coding=coding)
    np.testing.assert_array_equal(coded(compressor, x, 7), x)


def test_a_byte_is_a_number_of_five_digits_base_3_that_stand_apart():
    x = np.array([1, -1, 0, 0, 1, 1, -1], dtype=np.float32)  # two bytes: x[0], x[2], x[4], x[6], 0 and x[1], x[3], x[5]
    message = Ternary(coding="dense").encode(x)
    digits = [[2, 1, 2, 0, 1], [0, 1, 2, 1, 1]]
    np.testing.assert_array_equal(message[4:], [sum(t * 3**k for k, t in enumerate(byte)) for byte in digits])


@pytest.mark.parametrize("d", TAILS)
def test_dense_messages_are_four_bytes_a_scale_and_five_trits_a_byte(d):
    x = normal(d)
    assert Ternary(coding="dense").encode(x).size == Ternary(coding="dense").size(d) == 4 + -(-d // 5)
    several = Threshold(coding="dense", bucket=10)
    assert several.encode(x).size == several.size(d) == 4 * -(-d // 10) + -(-d // 5)
    both = Threshold(coding="dense", unbiased=True)
    assert both.encode(x).size == both.size(d) == 8 + -(-d // 3)


# Lists of the nonzero numbers.


@pytest.mark.parametrize("d", [200, 5000, 100_000])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_few_numbers_are_sent_as_a_list_of_indices_and_signs(d, count):
    x = np.zeros(d, dtype=np.float32)
    x[np.random.default_rng(d).choice(d, count, replace=False)] = -2.0
    listed = (max(count, 2) * (math.ceil(math.log2(d)) + 1) + 7) // 8  # a number alone comes twice
    message = Threshold().encode(x)
    assert message.size == 4 + min(listed, -(-d // 5))
    np.testing.assert_array_equal(Threshold().decode(message, np.empty_like(x)), x)


@settings(deadline=None)
@given(
    data=st.data(), d=st.integers(1, 2 * BLOCK), bucket=st.sampled_from([0, 1, 7, 512, 5000]), key=st.integers(0, 99)
)
def test_a_list_decodes_to_the_vector_of_the_dense_coding_and_is_never_longer(data, d, bucket, key):
    x = normal(d)
    x[np.random.default_rng(key).random(d) > data.draw(st.floats(0.0, 1.0))] = 0.0
    kind, others = data.draw(st.sampled_from([(Ternary, {}), (Threshold, {}), (Threshold, {"unbiased": True})]))
    auto, dense = (kind(bucket=bucket, coding=coding, **others) for coding in ("auto", "dense"))
    assert auto.encode(x, key).size <= dense.encode(x, key).size == auto.capacity(d)
    np.testing.assert_array_equal(coded(auto, x, key), coded(dense, x, key))


def test_only_dense_coding_declares_a_size():
    assert Ternary().size(1000) is None
    assert Ternary().capacity(1000) == Ternary(coding="dense").size(1000) == 204


# Random rounding.


@pytest.mark.parametrize("compressor", UNBIASED, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mean_of_many_draws_is_the_vector(compressor, dtype):
    x = np.concatenate([normal(13, dtype), [0.0, 1e-3, -1e-4]]).astype(dtype)
    a = np.abs(x.astype(float))
    error = np.sqrt(a * (a.max() - a) / DRAWS)  # TernGrad's; no other one is larger
    mean = draws(compressor, x).mean(axis=0, dtype=float)
    assert (np.abs(mean - x) <= SIGMAS * error + 1e-6 * a).all()


def test_numbers_far_below_a_step_of_the_dither_are_unbiased_too():
    d = 50_000
    x = np.full(d, 2.0**-19, dtype=np.float32)  # an eighth of a step
    x[0] = 1.0
    kept = sum(np.count_nonzero(coded(Ternary(), x, key)[1:]) for key in range(400))
    expected = 400 * d * 2.0**-19
    assert abs(kept - expected) <= 5 * math.sqrt(2 * expected)  # twice that of Poisson, as a block shares its fraction


def test_ternary_loses_the_scale_times_the_1_norm_less_the_square():
    x = normal(50)
    losses = np.sum((draws(Ternary(), x) - x.astype(float)) ** 2, axis=1)
    expected = np.abs(x).max() * np.abs(x).sum() - square(x)
    assert abs(losses.mean() - expected) <= SIGMAS * losses.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize("rule", RULES)
def test_rounding_to_the_threshold_or_the_largest_loses_what_either_interval_makes_it_lose(rule):
    x = normal(50)
    compressor = Threshold(unbiased=True, rule=rule)
    low, high = compressor.encode(x)[:8].view(np.float32).astype(float)
    a = np.abs(x.astype(float))
    expected = np.sum(np.where(a > low, (a - low) * (high - a), a * (low - a)))
    losses = np.sum((draws(compressor, x) - x.astype(float)) ** 2, axis=1)
    assert abs(losses.mean() - expected) <= SIGMAS * losses.std() / np.sqrt(DRAWS)
    assert expected < high * a.sum() - square(x)  # TernGrad's


@settings(deadline=None)
@given(x=VECTORS.filter(np.any))
def test_no_vector_loses_more_than_the_declared_variance(x):
    a = np.abs(x.astype(float))
    assert a.max() * a.sum() - square(x) <= Ternary().variance(x.size) * square(x) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("n", [1, 2, 9, 100, 10_000])
def test_one_vector_loses_all_of_the_declared_variance(n):
    a = np.full(n, 1.0 / (1.0 + math.sqrt(n)))
    a[0] = 1.0
    assert (a.sum() - square(a)) / square(a) == pytest.approx(Ternary().variance(n), abs=1e-12)


def test_a_variance_below_one_is_a_contraction_and_another_is_none():
    assert Ternary().contraction(4) == 1.0 - Ternary().variance(4) == 0.5
    assert Ternary().contraction(9) is None
    assert Ternary(bucket=4).contraction(1000) == Threshold(unbiased=True, bucket=4).contraction(1000) == 0.5


def test_clipping_cuts_at_root_mean_squares_and_declares_nothing():
    x = normal(10_000)
    x[17] = 50.0
    clipped = Ternary(clip=2.5)
    assert np.abs(coded(clipped, x)).max() == pytest.approx(2.5 * math.sqrt(square(x) / x.size), rel=1e-6)
    assert lost(clipped, x) < 0.5 * lost(Ternary(), x)
    assert clipped.variance(100) is clipped.contraction(4) is None
    flat = np.full(100, -0.1, dtype=np.float32)
    np.testing.assert_array_equal(coded(clipped, flat), flat)


@pytest.mark.parametrize("bucket", [1, 7, 512, BLOCK, BLOCK + 1, 10_000])
@pytest.mark.parametrize("d", [1, 512, 9000])
def test_every_bucket_has_a_scale_of_its_own(bucket, d):
    x = normal(d)
    ternary = coded(Ternary(bucket=bucket), x)
    threshold = coded(Threshold(bucket=bucket), x)
    for first in range(0, d, bucket):
        part = slice(first, first + bucket)
        assert set(np.abs(ternary[part])) <= {0.0, np.abs(x[part]).max()}
        np.testing.assert_allclose(threshold[part], coded(Threshold(), x[part].copy()), rtol=SUMMED)


# Thresholds.


@settings(deadline=None)
@given(x=VECTORS.filter(np.any), kappa=st.sampled_from([0.0, 0.3, 0.7]), rule=st.sampled_from(["all", "nonzero"]))
def test_the_mean_rules_are_their_definition(x, kappa, rule):
    a = np.abs(x.astype(float))
    threshold = kappa * (a.mean() if rule == "all" else a[a > 0].mean())
    assume((np.abs(a - threshold) > 1e-5 * threshold).all())  # otherwise roundoff decides
    np.testing.assert_allclose(coded(Threshold(rule=rule, kappa=kappa), x), thresholded(x, threshold), rtol=1e-5)


@settings(deadline=None, max_examples=100)
@given(x=VECTORS.filter(np.any))
def test_the_exact_rule_is_the_best_support_of_all(x):
    assert lost(Threshold(rule="exact"), x) == pytest.approx(square(x) - best_square(x), abs=1e-5 * square(x))


@pytest.mark.parametrize("d", [1000, 40_000])
@pytest.mark.parametrize("kind", ["normal", "laplace", "cauchy", "two groups", "sparse", "worst", "flat"])
def test_the_exact_rule_needs_no_full_sort(kind, d):
    random = np.random.default_rng(d)
    x = {
        "normal": random.standard_normal(d),
        "laplace": random.laplace(size=d),
        "cauchy": random.standard_cauchy(d),
        "two groups": np.where(random.random(d) < 0.1, 10.0, 1.0) * random.random(d),
        "sparse": random.standard_normal(d) * (random.random(d) < 0.02),
        "worst": np.sqrt(np.arange(1, d + 1)) - np.sqrt(np.arange(d)),
        "flat": np.full(d, -3.0),
    }[kind].astype(np.float32)
    assert lost(Threshold(rule="exact"), x) == pytest.approx(square(x) - best_square(x), abs=1e-5 * square(x))


@settings(deadline=None)
@given(x=VECTORS.filter(np.any), rule=st.sampled_from(RULES), kappa=st.floats(0.0, 0.95))
def test_a_threshold_loses_the_square_less_what_is_kept_and_contracts_as_declared(x, rule, kappa):
    compressor = Threshold(rule=rule, kappa=kappa)
    kept = square(coded(compressor, x))
    assert lost(compressor, x) == pytest.approx(square(x) - kept, abs=1e-5 * square(x))
    assert kept >= compressor.contraction(x.size) * square(x) * (1.0 - 1e-5)


@pytest.mark.parametrize(
    ("draw", "rule", "delta"),
    [
        ("laplace", "all", 0.72),
        ("standard_normal", "all", 0.81),
        ("laplace", "exact", 0.74),
        ("standard_normal", "exact", 0.81),
    ],
)
def test_what_is_kept_of_laplaces_and_of_normal_numbers(draw, rule, delta):
    x = getattr(np.random.default_rng(5), draw)(size=200_000)
    assert 1.0 - lost(Threshold(rule=rule), x) / square(x) == pytest.approx(delta, abs=0.005)


@pytest.mark.parametrize("d", [2, 10, 1000, 100_000])
def test_the_constant_of_the_exact_rule_is_nearly_met(d):
    worst = np.sqrt(np.arange(1, d + 1)) - np.sqrt(np.arange(d))
    delta = 1.0 - lost(Threshold(rule="exact"), worst) / square(worst)
    assert Threshold(rule="exact").contraction(d) <= delta <= 1.15 * Threshold(rule="exact").contraction(d)


def test_the_mean_over_non_zeros_drops_more_of_a_sparse_vector():
    x = normal(10_000) * (np.random.default_rng(1).random(10_000) < 0.05)
    over_all, nonzero = (np.count_nonzero(coded(Threshold(rule=rule), x)) for rule in ("all", "nonzero"))
    assert nonzero < 0.7 * over_all
    assert over_all > 0.9 * np.count_nonzero(x)


# Limits of the number range, and parameters.


@pytest.mark.parametrize("compressor", [Ternary(), *(Threshold(rule=rule) for rule in RULES), *UNBIASED], ids=str)
@pytest.mark.parametrize("size", [1e-30, 3e38])
def test_numbers_near_the_ends_of_float32_are_coded(compressor, size):
    x = np.full(5000, size, dtype=np.float32)
    np.testing.assert_allclose(coded(compressor, x), x, rtol=SUMMED)


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        (Ternary, {"clip": 0.5}, "clip: expected 0 (off) or at least 1, got 0.5"),
        (Ternary, {"bucket": -1}, "bucket: at least 0, got -1"),
        (Threshold, {"coding": "sparse"}, "coding: one of auto, dense; got 'sparse'"),
        (Threshold, {"rule": "mean"}, "rule: one of all, nonzero, exact; got 'mean'"),
        (Threshold, {"kappa": 1.0}, "kappa: at least 0 and below 1, got 1.0"),
    ],
)
def test_wrong_parameters_are_named(kind, parameters, message):
    with pytest.raises(InputError) as caught:
        kind(**parameters)
    assert str(caught.value) == message


@pytest.mark.parametrize("scale", [2.0**-112, 2.0**-120])
def test_what_is_below_the_dithers_reach_is_sent_as_zeros(scale):
    x = scale * np.linspace(-1.0, 1.0, 100)
    for compressor in (Ternary(), Threshold(unbiased=True)):
        assert not compressor.decode(compressor.encode(x, 1), np.empty(100)).any()


@pytest.mark.parametrize("exponent", [-110, -109, -108, -107])
def test_the_unbiased_variant_is_so_just_above_that(exponent):
    x = 2.0**exponent * np.array([1.0, -0.9, 0.8, 0.3, 0.05])
    compressor = Threshold(unbiased=True, kappa=0.99)
    mean = np.mean([compressor.decode(compressor.encode(x, key), np.empty(5)) for key in range(4000)], axis=0)
    np.testing.assert_allclose(mean, x, atol=0.05 * 2.0**exponent)
