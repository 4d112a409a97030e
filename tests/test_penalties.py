"""The penalties: proximal steps against a general minimiser, residuals at known optima, parameters that are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from hpcopt.errors import InputError
from hpcopt.problems.penalties import PENALTIES
from tests.penalties import SIZE, penalty_of

WEIGHTS = arrays(np.float64, SIZE, elements=st.floats(-8.0, 8.0).map(lambda x: round(x, 3)))
METRIC = arrays(np.float64, SIZE, elements=st.sampled_from([1e-6, 0.01, 0.5, 1.0, 3.0, 1e4]))
PENALTY = pytest.mark.parametrize("name", list(PENALTIES))
NONSMOOTH = pytest.mark.parametrize("name", [name for name in PENALTIES if not PENALTIES[name].smooth])


def points(count):
    return np.random.default_rng(1).standard_normal((count, SIZE))


def inner(w, metric, step, u):
    return float(metric @ (u - w) ** 2) / (2.0 * step)


@NONSMOOTH
@settings(max_examples=40, deadline=None)
@given(w=WEIGHTS, metric=st.none() | METRIC, step=st.sampled_from([0.01, 1.0, 20.0]), seed=st.integers(0, 99))
def test_the_prox_is_the_minimiser_by_its_own_optimality_condition(name, w, metric, step, seed):
    """The subgradient of least norm of r(u) + ||u - w||^2_H / (2 step) vanishes at u, and no point nearby is lower."""
    penalty, H = penalty_of(name), np.ones(SIZE) if metric is None else metric
    u = penalty.prox(w, step, metric)
    slope = H * (u - w) / step + penalty.curvature * u
    scale = 1.0 + np.abs(slope)
    assert np.max(np.abs(penalty.residual(u, slope)) / scale) < 1e-6
    least = penalty.value(u) + inner(w, H, step, u)
    rng = np.random.default_rng(seed)
    for size in (1e-3, 1.0):
        v = penalty.nearest(u + size * rng.standard_normal(SIZE))
        assert penalty.value(v) + inner(w, H, step, v) >= least - 1e-9 * (1.0 + abs(least))


@PENALTY
@pytest.mark.parametrize("metric", [None, np.array([0.5, 1.0, 2.0, 30.0, 0.1])])
def test_a_general_minimiser_finds_the_same_step(name, metric):
    penalty, rng = penalty_of(name), np.random.default_rng(0)
    H = np.ones(SIZE) if metric is None else metric
    bounds = {"simplex": [(0.0, None)] * SIZE, "box": [(-0.5, 0.8)] * SIZE}.get(name)
    conditions = {
        "simplex": [{"type": "eq", "fun": lambda u: u.sum() - penalty.radius}],
        "l2-ball": [{"type": "ineq", "fun": lambda u: penalty.radius**2 - u @ u}],
    }.get(name, [])
    constrained = bool(bounds or conditions)
    for w in 2.0 * rng.standard_normal((3, SIZE)):
        kept = w.copy()
        found = penalty.prox(w, 0.7, metric)
        assert_array_equal(w, kept)
        assert found is not w
        done = scipy.optimize.minimize(
            lambda u, w=w: inner(w, H, 0.7, u) + (0.0 if constrained else penalty.value(u)),
            penalty.nearest(w),
            method="SLSQP" if constrained else "Powell",
            bounds=bounds,
            constraints=conditions,
            options={"maxiter": 5000, "ftol": 1e-14},
        )
        assert_allclose(found, done.x, atol=3e-5)


@PENALTY
def test_the_smooth_part_has_the_gradient_of_its_value(name):
    penalty = penalty_of(name)
    value = penalty.value if penalty.smooth else lambda w: 0.5 * penalty.curvature * w @ w
    for w in points(3):
        gradient = np.arange(1.0, SIZE + 1)
        penalty.add_gradient(w, gradient)
        slopes = [(value(w + 1e-6 * e) - value(w - 1e-6 * e)) / 2e-6 for e in np.eye(SIZE)]
        assert_allclose(gradient - np.arange(1.0, SIZE + 1), slopes, rtol=1e-7, atol=1e-9)


@PENALTY
def test_a_penalty_along_a_ray_is_its_value_there(name):
    penalty, (w, p) = penalty_of(name), points(2)
    steps = np.array([0.0, 0.5, -2.0, 1e3])
    assert_allclose(penalty.along(w, p)(steps), [penalty.value(w - t * p) for t in steps], rtol=1e-12)


@PENALTY
def test_the_residual_is_the_subgradient_of_least_norm(name):
    """No direction descends faster than minus the residual, at the rate of its norm."""
    penalty, rng = penalty_of(name), np.random.default_rng(4)
    for w in [penalty.prox(w, 3.0) for w in points(3)]:  # with zeros, and at bounds
        slope = rng.standard_normal(SIZE)
        residual = penalty.residual(w, slope + penalty.curvature * w)
        norm = float(np.linalg.norm(residual))
        directions = rng.standard_normal((50, SIZE))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)

        def rate(p, w=w, slope=slope):
            return slope @ p + (penalty.value(w + 1e-6 * p) - penalty.value(w)) / 1e-6

        assert min(rate(p) for p in directions) >= -norm - 1e-4
        if norm > 1e-9:
            assert rate(-residual / norm) == pytest.approx(-norm, abs=1e-4)


def test_least_squares_with_orthonormal_columns_has_the_soft_threshold_as_its_lasso():
    rng = np.random.default_rng(1)
    Q = np.linalg.qr(rng.standard_normal((9, SIZE)))[0]
    y = rng.standard_normal(9)
    correlations = Q.T @ y
    weight = float(np.median(np.abs(correlations)))
    optimum = np.sign(correlations) * np.maximum(np.abs(correlations) - weight, 0.0)
    assert 0 < np.count_nonzero(optimum) < SIZE
    lasso = PENALTIES["l1"](weight=weight)
    assert_allclose(lasso.residual(optimum, Q.T @ (Q @ optimum - y)), 0.0, atol=1e-14)
    away = optimum + 0.1
    assert np.abs(lasso.residual(away, Q.T @ (Q @ away - y))).min() > 0.05


def test_the_elastic_net_is_l1_where_l2_is_zero_and_l2_where_l1_is():
    w, metric = np.array([3.0, -0.2, 0.0, 1.0, -5.0]), np.array([1.0, 2.0, 3.0, 0.1, 5.0])
    for one, other in (
        (PENALTIES["elastic-net"](l1=0.4, l2=0.0), PENALTIES["l1"](weight=0.4)),
        (PENALTIES["elastic-net"](l1=0.0, l2=0.4), PENALTIES["l2"](weight=0.4)),
        (PENALTIES["group-lasso"](weight=0.4, groups=((3,), (1,), (0,), (4,), (2,))), PENALTIES["l1"](weight=0.4)),
    ):
        assert one.value(w) == pytest.approx(other.value(w))
        assert_allclose(one.prox(w, 0.3, metric), other.prox(w, 0.3, metric), rtol=1e-12)
        assert_allclose(one.prox(w, 0.3), other.prox(w, 0.3), rtol=1e-12)
        assert_allclose(one.residual(w, np.ones(5)), other.residual(w, np.ones(5)), rtol=1e-12)


def test_a_group_is_zero_as_a_whole_or_not_at_all():
    penalty = PENALTIES["group-lasso"](weight=1.0, groups=((0, 2), (1, 3, 4)), group_weights=(0.0, 1.0))
    w = np.array([1.0, 0.3, -2.0, 0.1, 0.2])
    assert penalty.value(w) == pytest.approx(np.sqrt(0.14))
    for metric in (None, np.array([1.0, 0.5, 3.0, 1.0, 1.0])):
        assert_allclose(penalty.prox(w, 0.5, metric), [1.0, 0.0, -2.0, 0.0, 0.0])
        assert np.count_nonzero(penalty.prox(w, 0.1, metric)) == 5


@pytest.mark.parametrize("radius", [1e-9, 1e-300])
@pytest.mark.parametrize("name", ["simplex", "l2-ball"])
def test_the_nearest_point_of_a_tiny_set_is_found_beside_large_weights(name, radius):
    penalty, w = PENALTIES[name](radius=radius), 1e8 * points(1)[0]
    for metric in (None, np.array([0.5, 1.0, 2.0, 30.0, 0.1]), np.full(SIZE, 1e-300)):
        with np.errstate(all="ignore"):  # as in a run
            u = penalty.prox(w, 1.0, metric)
        assert penalty.contains(u)
        assert np.isfinite(u).all()
        if name == "simplex":  # all of it belongs to the weight that ends first, those of the others end far below
            assert np.flatnonzero(u) == np.argmax(w if metric is None else metric * w)


def test_a_feature_stands_for_its_weights_in_all_outputs():
    groups = PENALTIES["group-lasso"](weight=1.0, groups=((1,), (0, 2))).sized(3, 2)
    assert groups.groups == ((2, 3), (0, 1, 4, 5))
    assert groups.value(np.array([0.0, 0.0, 3.0, 4.0, 0.0, 0.0])) == pytest.approx(5.0 * np.sqrt(2.0))
    box = PENALTIES["box"](lower=(0.0, 1.0), upper=2.0).sized(2, 2)
    assert_allclose(box.prox(np.zeros(4), 1.0), [0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("l1", {"weight": np.nan}, "weight: at least 0"),
        ("l2", {"weight": -1.0}, "weight: at least 0, got"),
        ("elastic-net", {"l1": 0.1, "l2": -1.0}, "l2: at least 0"),
        ("simplex", {"radius": 0.0}, "radius: between 0 and inf, got 0.0"),
        ("l2-ball", {"radius": -1.0}, "radius: between 0 and inf"),
        ("box", {}, "lower: missing; expected lower, upper or both"),
        ("box", {"lower": 1.0, "upper": 0.0}, "upper: expected at least 1, the number in lower, got 0"),
        ("box", {"lower": (0.0, 1.0), "upper": 0.5}, "upper: expected for feature 1 at least 1, the number in lower"),
        ("box", {"lower": (0.0, 1.0), "upper": (2.0,)}, "upper: expected 2 numbers, as many as in lower, got 1"),
        ("group-lasso", {"groups": ((0, 1), (1, 2))}, "groups: feature 1 is named 2 times"),
        ("group-lasso", {"groups": ((0, 0),)}, "groups: feature 0 is named 2 times"),
        ("group-lasso", {"groups": ((0,), (1,)), "group_weights": (1.0,)}, "group_weights: expected 2 numbers"),
    ],
)
def test_parameters_that_make_no_penalty_are_refused(name, parameters, message):
    with pytest.raises(InputError, match=re.escape(message)):
        PENALTIES[name](**{"weight": 1.0, **parameters} if name == "group-lasso" else parameters)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (PENALTIES["group-lasso"](weight=1.0, groups=((0,), (2,))), "groups: feature 1 is in no group"),
        (PENALTIES["group-lasso"](weight=1.0, groups=((0, 1, 2), (3,))), "groups: there is no feature 3"),
        (PENALTIES["box"](upper=(1.0, 2.0)), "upper: expected a number or 3 numbers, one per feature, got 2"),
    ],
)
def test_what_does_not_suit_the_number_of_features_is_refused(penalty, message):
    with pytest.raises(InputError, match=re.escape(message)):
        penalty.sized(3, 1)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_value_bounds_the_norm_of_the_weights(name):
    penalty, rng = penalty_of(name), np.random.default_rng(0)
    for scale in (0.0, 0.01, 1.0, 100.0):
        w = penalty.nearest(scale * rng.standard_normal(SIZE))
        assert np.linalg.norm(w) <= penalty.reach(penalty.value(w), SIZE) * (1 + 1e-12)
    assert np.isinf(penalty.reach(1.0, SIZE)) == (name == "none")
