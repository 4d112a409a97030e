"""The properties of every oracle with second derivatives, dense and sparse, in both storages."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from hpcopt.fabric.meter import Meter
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.penalties.none import NoPenalty
from hpcopt.problems.storage import as_matrix
from hpcopt.problems.targets import Targets

N, D = 37, 5
LOSS = pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES if Formulation(Linear(), LOSSES[loss](), NoPenalty()).hessian]
)
FORM = pytest.mark.parametrize("form", ["dense", "sparse"])
STORAGE = pytest.mark.parametrize("storage", ["f64", "f32"])


def oracle(loss, form="dense", storage="f64", *, l2=0.1, intercept=False, seed=0, meter=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D)).astype(np.float32).astype(np.float64)
    if intercept:
        X[:, -1] = 1.0
    y = np.where(rng.random(N) < 0.5, 1.0, -1.0) if LOSSES[loss].targets is Targets.SIGNS else rng.standard_normal(N)
    rows = scipy.sparse.csr_array(X) if form == "sparse" else X
    matrix = as_matrix(rows, storage)
    penalty, penalised = L2(weight=l2), D - intercept
    return Objective(matrix, y, LOSSES[loss](), penalty, total=2 * N, meter=meter or Meter(), penalised=penalised)


def points(count=4):
    return np.random.default_rng(1).standard_normal((count, D)) * np.array([[0.0], [0.1], [1.0], [10.0]])[:count]


def beside_kinks(loss, w):
    """Return `w`, or a point near it if margins of 0 are kinks, across which finite differences are invalid."""
    return w if LOSSES[loss].smooth else w + 1e-3


def differences(function, w, step=1e-6):
    return np.array([(function(w + step * e) - function(w - step * e)) / (2 * step) for e in np.eye(len(w))])


@LOSS
@FORM
@STORAGE
@pytest.mark.parametrize("w", points())
def test_the_gradient_is_that_of_the_value(loss, form, storage, w):
    f, w = oracle(loss, form, storage), beside_kinks(loss, w)
    expected = differences(lambda v: f.at(v).value, w)
    np.testing.assert_allclose(f.at(w).gradient, expected, rtol=1e-6, atol=1e-7)


@LOSS
@FORM
@STORAGE
@pytest.mark.parametrize("w", points())
def test_the_hessian_product_is_that_of_the_gradient(loss, form, storage, w):
    f, w = oracle(loss, form, storage), beside_kinks(loss, w)
    here = f.at(w)
    expected = differences(lambda v: f.at(v).gradient, w)
    products = np.array([here.hessian_product(e) for e in np.eye(D)])
    np.testing.assert_allclose(products, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(here.hessian(), products, rtol=1e-10, atol=1e-12)


@LOSS
@FORM
@pytest.mark.parametrize("ridge", [None, 0.7])
def test_the_newton_direction_solves_its_system(loss, form, ridge):
    f = oracle(loss, form)
    here = f.at(points()[2])
    g = np.arange(1.0, D + 1)
    np.testing.assert_allclose(here.hessian(ridge) @ here.newton_direction(g, ridge=ridge), g, rtol=1e-9)


@LOSS
def test_where_a_factor_costs_too_much_conjugate_gradients_find_the_direction(loss, monkeypatch):
    meter = Meter()
    f = oracle(loss, meter=meter)
    here = f.at(points()[2])
    small = 1e-12 * here.gradient  # the smaller the right-hand side, the smaller the relative residual
    exact = here.newton_direction(small)
    monkeypatch.setattr(f.matrix, "gram_flops", np.inf)
    before = meter.touched
    np.testing.assert_allclose(here.newton_direction(small), exact, rtol=1e-4)
    assert meter.touched > before + 2 * f.matrix.nnz  # one pass per product, where a factorisation takes one


@LOSS
@FORM
def test_values_along_a_ray_are_those_of_the_objective(loss, form):
    f = oracle(loss, form)
    w, p = points()[2], points()[3]
    steps = np.array([0.0, 1e-3, 0.5, 1.0, -2.0])
    expected = [f.at(w - t * p).value for t in steps]
    np.testing.assert_allclose(f.at(w).along(p).values(steps), expected, rtol=1e-12)


@LOSS
def test_vectors_used_again_disturb_no_point_or_ray_still_in_use(loss):
    f = oracle(loss)
    w, p = points()[2], points()[3]
    steps = np.array([0.0, 0.5])
    ray = f.at(w).along(p)
    before = ray.values(steps)
    kept = f.at(points()[1])
    product = kept.hessian_product(p)
    for _ in range(5):  # points are created and deleted, and reuse vectors of earlier ones
        for v in points():
            f.at(v).along(v).values(steps)
    np.testing.assert_array_equal(ray.values(steps), before)
    np.testing.assert_array_equal(kept.hessian_product(p), product)


@LOSS
@FORM
def test_the_intercept_is_not_penalised(loss, form):
    free, none = oracle(loss, form, intercept=True), oracle(loss, form, intercept=True, l2=0.0)
    w = np.zeros(D)
    w[-1] = 3.0
    assert free.at(w).value == pytest.approx(none.at(w).value, rel=1e-14)
    np.testing.assert_allclose(free.at(w).gradient, none.at(w).gradient, rtol=1e-13)
    expected = differences(lambda v: free.at(v).gradient, points()[1])
    np.testing.assert_allclose(free.at(points()[1]).hessian(), expected, rtol=1e-5, atol=1e-7)
    steps = np.array([0.5])
    assert free.at(w).along(w).values(steps)[0] == pytest.approx(free.at(0.5 * w).value, rel=1e-12)


@LOSS
@FORM
def test_a_batch_of_all_rows_has_the_whole_gradient(loss, form):
    f = oracle(loss, form)
    w = points()[2]
    rows = np.random.default_rng(2).permutation(N)
    np.testing.assert_allclose(f.gradient_of_rows(w, rows), f.at(w).gradient, rtol=1e-10, atol=1e-13)


@LOSS
@FORM
@pytest.mark.parametrize("batch", [1, 4, N])
def test_sgd_is_a_sequence_of_batch_gradient_steps(loss, form, batch):
    f = oracle(loss, form)
    rows = np.random.default_rng(3).permutation(N)
    sizes = 0.01 / np.arange(1.0, -(-N // batch) + 1)
    w = points()[1].copy()
    for j, size in enumerate(sizes):
        w = w - size * f.gradient_of_rows(w, rows[j * batch : (j + 1) * batch])
    np.testing.assert_allclose(f.sgd(points()[1], rows, batch, sizes), w, rtol=1e-9, atol=1e-12)


@LOSS
@FORM
def test_row_smoothness_bounds_the_curvature_of_any_row(loss, form):
    f = oracle(loss, form)
    rows = np.asarray(f.matrix.as_array().todense() if form == "sparse" else f.matrix.as_array())
    bound = LOSSES[loss].curvature_bound * (rows**2).sum(axis=1).max() + f.penalty.curvature
    assert f.row_smoothness() == pytest.approx(bound)


@LOSS
def test_the_effective_dimension_is_the_trace_of_the_shrinkage(loss):
    f = oracle(loss)
    here = f.at(points()[2])
    plain = here.hessian(ridge=0.0)
    expected = np.trace(plain @ np.linalg.inv(plain + f.penalty.curvature * np.eye(D)))
    assert here.effective_dimension() == pytest.approx(expected, rel=1e-10)


@LOSS
@FORM
def test_every_call_reports_its_work_and_value_with_gradient_is_one_pass(loss, form):
    meter = Meter()
    f = oracle(loss, form, meter=meter)
    here = f.at(points()[2])
    assert meter.touched == 0.0
    for expected, call in enumerate(
        [
            lambda: here.value,
            lambda: here.hessian_product(np.ones(D)),
            here.hessian,
            lambda: f.gradient_of_rows(np.ones(D), np.arange(N)),
            lambda: f.sparse_rows(np.arange(N)).gradient(np.ones(D)),
        ],
        start=1,
    ):
        flops = meter.flops
        call()
        assert meter.touched == pytest.approx(expected * f.matrix.nnz)
        assert meter.flops > flops
    here.gradient, here.value  # noqa: B018
    ray = here.along(np.ones(D))
    ray.values(np.ones(3))
    assert meter.touched == pytest.approx(6 * f.matrix.nnz)


@LOSS
def test_asking_again_for_the_same_point_costs_nothing_and_a_changed_array_is_another_point(loss):
    meter = Meter()
    f = oracle(loss, meter=meter)
    w = points()[2].copy()
    value = f.at(w).value
    assert f.at(w.copy()).value == value
    assert meter.touched == f.matrix.nnz
    w += 1.0
    assert f.at(w).value != value


@pytest.mark.parametrize("margin", [-1e4, -800.0, -30.0, 30.0, 800.0, 1e4])
def test_saturated_margins_give_finite_derivatives(margin):  # A9: exp would overflow
    X, y = np.array([[margin]]), np.ones(1)
    f = Objective(as_matrix(X), y, LOSSES["logistic"](), L2(weight=1e-3), total=1, meter=Meter())
    here = f.at(np.ones(1))
    assert np.isfinite(here.value)
    assert np.isfinite(here.gradient).all()
    assert np.isfinite(here.newton_direction()).all()
