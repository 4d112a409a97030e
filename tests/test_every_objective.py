"""The properties of every combination of a registered model, loss and penalty."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from hpcopt.errors import InputError
from hpcopt.fabric.meter import Meter
from hpcopt.models.model import Model
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix
from hpcopt.problems.targets import Targets
from tests.penalties import penalty_of

N, D, CLASSES = 23, 4, 3
SMALL = {"mlp": {"hidden": (3,), "activation": "tanh"}}  # finite differences are invalid across a rectifier's kinks
PLAIN = [("linear", "logistic"), ("linear", "softmax")]  # one of each oracle, which knows a penalty's curvature only
PRODUCTS = [
    (model, loss, penalty)
    for model in MODELS
    for loss in LOSSES
    for penalty in PENALTIES
    if MODELS[model].takes(LOSSES[loss]) and (PENALTIES[penalty].smooth or (model, loss) in PLAIN)
]
PRODUCT = pytest.mark.parametrize("product", PRODUCTS, ids=" ".join)
FORM = pytest.mark.parametrize("form", ["dense", "sparse"])


def formulation(product, intercept=True):
    model, loss, penalty = product
    family, kind = MODELS[model](intercept=intercept, **SMALL.get(model, {})), LOSSES[loss]()
    return Formulation(family, kind, penalty_of(penalty, family.sized(kind, D, CLASSES).penalised))


def shard_of(made, model, form="dense"):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.7)
    targets = {
        Targets.REAL: rng.standard_normal(N),
        Targets.SIGNS: np.where(rng.random(N) < 0.5, 1.0, -1.0),
        Targets.CLASSES: rng.integers(0, CLASSES, N).astype(float),
    }
    return Shard(
        as_matrix(model.rows(scipy.sparse.csr_array(X) if form == "sparse" else X)), targets[made.loss.targets]
    )


def objective(product, form="dense", *, intercept=True):
    made = formulation(product, intercept)
    model = made.sized(D, CLASSES)
    return Problem(made, model, total=2 * N, entries=1).on(shard_of(made, model, form), Meter())


def points(d, count=3):
    return np.random.default_rng(1).standard_normal((count, d))


def smooth_part(product, form="dense", *, intercept=True):
    """Return the function f without the nonsmooth part of the penalty, as gradients and curvature have it."""
    bare = objective((*product[:2], "none"), form, intercept=intercept)
    curvature = formulation(product).penalty.curvature
    return lambda w: bare.at(w).value + 0.5 * curvature * w[: bare.penalised] @ w[: bare.penalised]


def assert_the_penalty_is_left_out(f, w, rows):
    """Assert that gradients of the loss differ from those of f by the penalty's smooth part."""
    smooth = np.zeros(f.d)
    f.penalty.add_gradient(w[: f.penalised], smooth[: f.penalised])
    assert_allclose(f.at(w).loss_gradient + smooth, f.at(w).gradient, rtol=1e-13, atol=1e-15)
    assert_allclose(f.gradient_of_rows(w, rows, loss_only=True) + smooth, f.gradient_of_rows(w, rows), rtol=1e-13)


def differences(function, w, step=1e-6):
    return np.array([(function(w + step * e) - function(w - step * e)) / (2 * step) for e in np.eye(len(w))])


@PRODUCT
@FORM
def test_the_gradient_is_that_of_the_value(product, form):
    f, smooth = objective(product, form), smooth_part(product, form)
    for w in points(f.d):
        assert_allclose(f.at(w).gradient, differences(smooth, w), rtol=1e-5, atol=1e-8)


@PRODUCT
@FORM
def test_many_values_and_all_rows_agree_with_one_point(product, form):
    f = objective(product, form)
    models = points(f.d)
    assert_allclose(f.values(models), [f.at(w).value for w in models], rtol=1e-13)
    rows = np.random.default_rng(2).permutation(N)
    assert_allclose(f.gradient_of_rows(models[0], rows), f.at(models[0]).gradient, rtol=1e-10, atol=1e-13)
    assert_the_penalty_is_left_out(f, models[0], rows[:5])


@PRODUCT
@FORM
@pytest.mark.parametrize("rows", [[], [4], [7, 2, 7, 11]], ids=len)
def test_a_sparse_gradient_is_the_gradient_of_the_losses_and_zero_elsewhere(product, form, rows):
    bare = objective((*product[:2], "none"), form)
    f, rows, w = objective(product, form), np.array(rows, dtype=np.int64), points(bare.d)[0]
    before = f.meter.touched
    few = f.sparse_rows(rows)
    coordinates, values = few.coordinates, few.gradient(w[few.coordinates])
    assert f.meter.touched - before == pytest.approx(f.matrix.nnz * len(rows) / N)
    assert (np.diff(coordinates) > 0).all()
    gradient = np.zeros(f.d)
    gradient[coordinates] = values
    assert_allclose(gradient, bare.gradient_of_rows(w, rows), rtol=1e-15, atol=1e-16)


@PRODUCT
def test_minibatch_steps_are_steps_along_gradients_of_rows(product):
    f = objective(product)
    rows, sizes = np.random.default_rng(3).permutation(N), np.array([0.01, 0.02, 0.005])
    w = points(f.d)[0]
    for j, size in enumerate(sizes):
        w = w - size * f.gradient_of_rows(w, rows[8 * j : 8 * (j + 1)])
    assert_allclose(f.sgd(points(f.d)[0], rows, 8, sizes), w, rtol=1e-9, atol=1e-12)


@PRODUCT
def test_the_penalty_is_of_the_leading_coordinates_alone(product):
    f, bare = objective(product), objective((*product[:2], "none"))
    w = points(f.d)[0]
    assert 0 < f.penalised < f.d  # an intercept, or biases
    w[: f.penalised] = f.penalty.nearest(w[: f.penalised])
    assert f.at(w).value - bare.at(w).value == pytest.approx(f.penalty.value(w[: f.penalised]), abs=1e-14)
    assert f.at(100.0 * w).value == pytest.approx(bare.at(100.0 * w).value + f.penalty.value(100.0 * w[: f.penalised]))
    assert_allclose(f.at(w).gradient[f.penalised :], bare.at(w).gradient[f.penalised :], rtol=1e-13)


@PRODUCT
def test_second_derivatives_are_there_where_they_are_offered(product):
    f, offered = objective(product), formulation(product).hessian
    w, p = points(f.d)[:2]
    here = f.at(w)
    assert offered == all(hasattr(here, name) for name in ("hessian", "hessian_product", "newton_direction", "along"))
    if offered:
        expected = differences(lambda v: f.at(v).gradient, w)
        assert_allclose(here.hessian(), expected, rtol=1e-5, atol=1e-7)
        assert_allclose(here.hessian_product(p), expected @ p, rtol=1e-5, atol=1e-7)
        steps = np.array([0.5, 0.0])
        assert_allclose(here.along(p).values(steps), [f.at(w - 0.5 * p).value, here.value], rtol=1e-12)


@PRODUCT
def test_no_curvature_exceeds_the_smoothness_where_one_is_offered(product):
    f = objective(product)
    if not formulation(product).bounded:
        for ask in (f.smoothness, f.row_smoothness):
            with pytest.raises(InputError, match="no known smoothness constant"):
                ask()
        return
    for w in points(f.d):
        hessian = differences(lambda v: f.at(v).gradient, w)
        assert np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1] <= f.smoothness() * (1 + 1e-6)
        row = differences(lambda v: f.gradient_of_rows(v, np.array([4])), w)
        assert np.linalg.eigvalsh((row + row.T) / 2)[-1] <= f.row_smoothness() * (1 + 1e-6)


@PRODUCT
def test_the_objective_lies_above_its_tangents_and_as_strongly_as_declared_where_it_is_convex(product):
    intercept = {"intercept": not MODELS[product[0]].convex}  # models with layers always have biases
    made = formulation(product, **intercept)
    f, smooth = objective(product, **intercept), smooth_part(product, **intercept)
    strength = Problem(made, made.sized(D, CLASSES), total=2 * N, entries=1).strong_convexity
    assert strength == (made.penalty.curvature if made.convex else 0.0)
    above = []
    for w, v in itertools.pairwise(np.concatenate([0.1 * points(f.d, 60), 2.0 * points(f.d, 60)])):
        bend = 0.5 * strength * (v - w) @ (v - w)
        tangent = smooth(w) + f.at(w).gradient @ (v - w) + bend
        above.append(smooth(v) >= tangent - 1e-12)
    assert all(above) or not made.convex
    assert all(above) == made.convex or made.penalty.curvature > 0  # which may bend all of it upwards


@PRODUCT
def test_what_the_penalty_leaves_out_is_not_strongly_convex(product):
    made = formulation(product, intercept=True)
    assert Problem(made, made.sized(D, CLASSES), total=2 * N, entries=1).strong_convexity == 0.0


@PRODUCT
def test_a_random_start_has_the_models_size_and_is_the_same_again(product):
    model = formulation(product).sized(D, CLASSES)
    w = model.random_start(5)
    assert w.shape == (model.size,)
    assert_array_equal(w, model.random_start(5))
    assert (w != model.random_start(6)).any()


@PRODUCT
@pytest.mark.parametrize("size", [1.0, 0.0])
def test_the_score_is_that_of_the_trained_models_predictions(product, size):
    made = formulation(product)
    model = made.sized(D, CLASSES)
    w = size * points(model.size)[0]
    shard = shard_of(made, model)
    *hidden, (coef, intercept) = model.layers(w)
    labels = {Targets.REAL: None, Targets.SIGNS: np.array([-1.0, 1.0]), Targets.CLASSES: np.arange(float(CLASSES))}
    many = made.loss.targets is Targets.CLASSES
    trained = Model(
        coef if many else coef[0],
        intercept if many else float(intercept[0]),
        made.loss.name,
        labels[made.loss.targets],
        hidden=tuple(hidden),
        activation=model.activation,
        family=made.model.name,
    )
    found = trained.predict(shard.matrix.as_array()[:, :D])
    expected = np.sum((found - shard.y) ** 2) if trained.classes is None else np.count_nonzero(found == shard.y)
    assert model.score(w, shard.matrix, shard.y) == pytest.approx(expected, rel=1e-12)
