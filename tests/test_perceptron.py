"""Softmax regression and multi-layer perceptrons: the oracle, the start, whole runs, models and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.fabric.meter import Meter
from hpcopt.kernels.softmax import cross_entropy
from hpcopt.models.model import Model, load
from hpcopt.problems import perceptron
from hpcopt.problems.layers import Layers
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import Affine
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.perceptron import Perceptron
from hpcopt.problems.storage import as_matrix
from hpcopt.solvers import SOLVERS

N, D, CLASSES = 37, 5, 3
FORM = pytest.mark.parametrize("form", ["dense", "sparse"])
HIDDEN = pytest.mark.parametrize("hidden", [(), (4,), (4, 6)])
FIRST_ORDER = [name for name in SOLVERS if SOLVERS[name].minimises and not SOLVERS[name].needs.hessian]
DIGITS, LABELS = load_digits(return_X_y=True)


def rows_of(form, n=N):
    X = np.random.default_rng(0).standard_normal((n, D)).astype(np.float32).astype(np.float64)
    X[np.random.default_rng(1).random(X.shape) < 0.4] = 0.0
    return scipy.sparse.csr_array(X) if form == "sparse" else X


def oracle(hidden=(), form="dense", storage="f64", *, n=N, classes=CLASSES, l2=0.1, biases=True, activation="tanh"):
    y = np.random.default_rng(2).integers(0, classes, n).astype(float)
    layers = Layers((D, *hidden, classes), biases, activation)
    matrix, loss = as_matrix(rows_of(form, n), storage), LOSSES["softmax"]()
    return Perceptron(matrix, y, loss, layers, L2(weight=l2), total=2 * n, meter=Meter())


def point(f, seed=3):
    return np.random.default_rng(seed).standard_normal(f.d)


def differences(function, w, step=1e-6):
    return np.array([(function(w + step * e) - function(w - step * e)) / (2 * step) for e in np.eye(len(w))])


@HIDDEN
@FORM
@pytest.mark.parametrize("storage", ["f64", "f32"])
@pytest.mark.parametrize(("biases", "activation"), [(True, "tanh"), (True, "relu"), (False, "tanh")])
def test_the_gradient_is_that_of_the_value(hidden, form, storage, biases, activation):
    f = oracle(hidden, form, storage, biases=biases, activation=activation)
    w = point(f)
    assert_allclose(f.at(w).gradient, differences(lambda v: f.at(v).value, w), rtol=1e-5, atol=1e-8)


@FORM
@pytest.mark.parametrize("biases", [True, False])
def test_the_value_is_the_cross_entropy_and_the_penalty_of_the_weights(form, biases):
    f = oracle(form=form, biases=biases)
    w = point(f)
    W = w[: D * CLASSES].reshape(D, CLASSES)
    z = rows_of("dense") @ W + (w[D * CLASSES :] if biases else 0.0)
    expected = np.mean(logsumexp(z, axis=1) - z[np.arange(N), f.y]) + 0.05 * np.sum(W**2)
    assert f.at(w).value == pytest.approx(expected, rel=1e-13)
    assert_allclose(f.values(np.array([w, 2 * w]))[0], expected, rtol=1e-13)
    assert f.at(np.zeros(f.d)).value == pytest.approx(np.log(CLASSES))


@HIDDEN
@pytest.mark.parametrize("asked", [True, False])
def test_a_point_that_was_known_before_a_checkpoint_costs_nothing_after_it(hidden, asked):
    f, again = oracle(hidden), oracle(hidden)
    w = point(f)
    if asked:
        assert f.at(w).value > 0.0
    again.recall(f.remembered())
    assert again.meter.flops == 0.0
    assert_array_equal(again.at(w).gradient, f.at(w).gradient)
    assert (again.meter.flops == 0.0) is asked


@HIDDEN
@FORM
def test_rows_beyond_a_block_are_rows_like_others(hidden, form, monkeypatch):
    f = oracle(hidden, form)
    w = point(f)
    value, gradient = f.at(w).value, f.at(w).gradient
    monkeypatch.setattr(perceptron, "BLOCK", 10)
    again = oracle(hidden, form)
    assert again.at(w).value == pytest.approx(value, rel=1e-13)
    assert again.values(w[None])[0] == pytest.approx(value, rel=1e-13)
    assert_allclose(again.at(w).gradient, gradient, rtol=1e-10, atol=1e-14)
    assert_allclose(again.gradient_of_rows(w, np.arange(N)), gradient, rtol=1e-10, atol=1e-14)


@HIDDEN
@FORM
def test_the_gradient_of_a_batch_is_the_mean_over_its_rows_with_repetitions(hidden, form):
    f = oracle(hidden, form)
    w = point(f)
    rows = np.array([3, 30, 3, 0])
    expected = np.mean([f.gradient_of_rows(w, rows[k : k + 1]) for k in range(4)], axis=0)
    assert_allclose(f.gradient_of_rows(w, rows), expected, rtol=1e-10, atol=1e-14)


@HIDDEN
@FORM
@pytest.mark.parametrize("batch", [1, 4, N])
def test_sgd_is_a_sequence_of_batch_gradient_steps(hidden, form, batch):
    f = oracle(hidden, form)
    rows = np.random.default_rng(3).permutation(N)
    sizes = 0.01 / np.arange(1.0, -(-N // batch) + 1)
    w = start = point(f)
    for j, size in enumerate(sizes):
        w = w - size * f.gradient_of_rows(w, rows[j * batch : (j + 1) * batch])
    assert_allclose(f.sgd(start, rows, batch, sizes), w, rtol=1e-12)
    assert_array_equal(start, point(f))


def test_two_classes_are_logistic_regression_with_twice_the_l2():
    f = oracle(classes=2, l2=0.2)
    X = np.hstack([rows_of("dense"), np.ones((N, 1))])
    meter = Meter()
    loss, penalty = LOSSES["logistic"](), L2(weight=0.1)
    margins = Objective(as_matrix(X), 2.0 * f.y - 1.0, loss, penalty, total=2 * N, meter=meter, penalised=D)
    u = np.random.default_rng(4).standard_normal(D + 1)
    w = np.concatenate([np.outer(u[:D], [-0.5, 0.5]).ravel(), u[D] * np.array([-0.5, 0.5])])
    assert f.at(w).value == pytest.approx(margins.at(u).value, rel=1e-13)
    by_class = f.at(w).gradient.reshape(D + 1, 2)
    assert_allclose(by_class[:, 1], margins.at(u).gradient, rtol=1e-10)
    assert_allclose(by_class[:, 0], -margins.at(u).gradient, rtol=1e-10)


@FORM
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("exact", [True, False])
def test_the_smoothness_is_the_largest_curvature_which_two_classes_have_at_zero(form, biases, exact, monkeypatch):
    if not exact:
        monkeypatch.setattr(perceptron, "GRAM_LIMIT", 0)
    l2 = 0.0 if biases else 0.1  # biases are not penalised: the bound is that of the weights
    f = oracle(form=form, classes=2, biases=biases, l2=l2)
    hessian = differences(lambda v: f.at(v).gradient, np.zeros(f.d))
    largest = np.linalg.eigvalsh(hessian)[-1]
    assert largest * (1 - 1e-7) <= f.smoothness() <= largest * (1 + (1e-7 if exact else 3e-3))
    of_rows = [
        differences(lambda v, row=row: f.gradient_of_rows(v, np.array([row])), np.zeros(f.d)) for row in range(N)
    ]
    steepest = np.linalg.eigvalsh(of_rows).max()
    assert f.row_smoothness() == pytest.approx(steepest, rel=1e-6)


@FORM
@pytest.mark.parametrize("seed", range(3))
def test_no_curvature_of_many_classes_exceeds_the_smoothness(form, seed):
    f = oracle(form=form)
    hessian = differences(lambda v: f.at(v).gradient, point(f, seed))
    assert np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1] <= f.smoothness()


def test_a_network_with_hidden_layers_has_no_smoothness_constant():
    f = oracle((4,))
    for ask in (f.smoothness, f.row_smoothness):
        with pytest.raises(
            InputError, match="step_size: a model with hidden layers has no known smoothness constant L; give"
        ):
            ask()


@HIDDEN
@FORM
def test_value_with_gradient_is_one_pass_and_asking_again_costs_nothing(hidden, form):
    f = oracle(hidden, form)
    w = point(f)
    f.at(w).value, f.at(w).gradient, f.at(w.copy()).value
    assert f.meter.touched == pytest.approx(f.matrix.nnz)
    once = f.meter.flops
    f.gradient_of_rows(w, np.arange(N))
    assert (f.meter.touched, f.meter.flops) == pytest.approx((2 * f.matrix.nnz, 2 * once))
    f.values(np.array([w, w]))
    assert f.meter.touched == pytest.approx(4 * f.matrix.nnz)
    w[0] += 1.0
    f.at(w).value  # noqa: B018
    assert f.meter.touched == pytest.approx(5 * f.matrix.nnz)


def test_huge_outputs_neither_overflow_nor_hide_what_is_no_number():
    z = np.array([[1000.0, -1000.0, 0.0], [0.0, 0.0, 800.0]])
    assert cross_entropy(z, np.array([0, 1])) == pytest.approx(800.0)
    assert_array_equal(z, [[0.0, 0.0, 0.0], [0.0, -1.0, 1.0]])
    assert np.isnan(cross_entropy(np.array([[0.0, np.nan]]), np.array([0])))
    assert np.isnan(cross_entropy(np.array([[np.nan, 0.0]]), np.array([1])))


@FORM
def test_products_of_wrong_shapes_are_refused_before_a_kernel_reads_beyond_an_array(form):
    matrix = as_matrix(rows_of(form))
    rows, out = np.arange(4), np.zeros((D, 2))
    for ask in (
        lambda: matrix.products(np.zeros((D + 1, 2)), rows),
        lambda: matrix.products(np.zeros((D, 2)), np.array([N])),
        lambda: matrix.add_transposed(np.zeros((5, 2)), rows, out),
        lambda: matrix.add_transposed(np.zeros((4, 3)), rows, out),
        lambda: matrix.add_transposed(np.zeros((4, 2)), np.array([0, 1, 2, -1]), out),
    ):
        with pytest.raises(ValueError, match=r"shape|rows: between"):
            ask()
    with pytest.raises(ValueError, match="classes between 0 and 2"):
        LOSSES["softmax"]().as_targets(np.full(N, 3.0), CLASSES)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_random_start_keeps_the_scale_of_what_flows_through_and_has_no_biases(activation):
    layers = Layers((300, 400, 400, 10), True, activation)
    w = layers.random_start(7)
    assert_array_equal(w, layers.random_start(7))
    assert (w != layers.random_start(8)).any()
    assert not w[layers.penalised :].any()
    first, second, last = layers.weights(w)
    assert first.std() == pytest.approx(np.sqrt(2 / 300 if activation == "relu" else 2 / 700), rel=0.02)
    assert second.std() == pytest.approx(np.sqrt(2 / 400 if activation == "relu" else 2 / 800), rel=0.02)
    assert last.std() == pytest.approx(np.sqrt(2 / 410), rel=0.05)


def run(model, solver, *, data=None, problem=None, workers=4, **stop):
    return hpcopt.run(
        {
            "data": {"source": "digits", "scale": "global-max-abs", **(data or {})},
            "problem": {"model": model, "loss": "softmax", **(problem or {})},
            "solver": solver,
            "cluster": {"kind": "virtual", "workers": workers},
            "stop": stop,
        }
    )


def entropy(model, X, y):
    z = model.decision(X)
    return np.mean(logsumexp(z, axis=1) - z[np.arange(len(y)), np.searchsorted(model.classes, y)])


def test_fit_finds_the_model_of_scikit_learn_and_predict_tells_its_classes(tmp_path, capsys):
    X, y = DIGITS[:600] / 16.0, LABELS[:600] * 2 + 1
    np.savez(tmp_path / "digits.npz", X=X, y=y)
    given_data, model = str(tmp_path / "digits.npz"), str(tmp_path / "model.npz")
    assert main(["fit", given_data, "--loss", "softmax", "--intercept", "-o", model, "--virtual", "3", "--quiet"]) == 0
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(X, y)
    ours = load(model)
    assert_array_equal(ours.classes, np.arange(1.0, 20.0, 2.0))
    assert_allclose(ours.coef, peer.coef_, atol=1e-4)
    assert_allclose(ours.intercept - np.mean(ours.intercept), peer.intercept_, atol=1e-4)
    theirs = Model(peer.coef_, peer.intercept_, "softmax", peer.classes_.astype(float))
    objectives = [entropy(m, X, y) + 0.5 / 600 * np.sum(m.coef**2) for m in (ours, theirs)]
    assert ours.meta["objective"] == pytest.approx(objectives[0], rel=1e-12)
    assert objectives[0] == pytest.approx(objectives[1], rel=1e-9)
    capsys.readouterr()
    assert main(["predict", model, given_data]) == 0
    told = capsys.readouterr()
    assert_array_equal(np.array(told.out.split(), dtype=float), peer.predict(X))
    assert told.err.startswith(f"accuracy {np.mean(peer.predict(X) == y):.6f} (")


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_every_first_order_solver_lowers_the_objective(name):
    done = run(
        "linear", {"name": name}, data={"rows": 300, "partition": "by-label", "labels_per_node": 5}, iterations=5
    )
    assert done.trace[0]["objective"] == pytest.approx(np.log(10))
    assert done.result["objective"] < 0.99 * np.log(10)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("scale", ["standard", "none"])
def test_a_perceptron_learns_and_its_model_speaks_of_the_data_as_they_are(activation, scale, tmp_path):
    done = run(
        "mlp",
        {"name": "lbfgs"},
        data={"scale": scale, "rows": 500},
        problem={"hidden": [12, 8], "activation": activation, "l2": 0.0},
        rounds=60,
    )
    X, y = DIGITS[:500], LABELS[:500]
    assert done.result["objective"] < 1.0
    assert entropy(done.model, X, y) == pytest.approx(done.result["objective"], rel=1e-9)
    done.model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert_array_equal(again.decision(X), done.model.decision(X))
    assert_allclose(again.decision(scipy.sparse.csr_array(X)), done.model.decision(X), rtol=1e-9, atol=1e-9)
    assert (again.features, again.coef.shape, again.activation) == (64, (10, 8), activation)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as content:
        assert content["hidden_1_coef"].shape == (12, 64)
        assert content["hidden_2_intercept"].shape == (8,)
    assert np.mean(again.predict(X) == y) > 0.75


def test_the_nodes_number_changes_the_path_of_a_perceptron_by_rounding_only():
    one, many = (run("mlp", {"name": "sgd", "step_size": 0.5}, workers=k, rounds=10).result for k in (1, 5))
    assert one["objective"] == pytest.approx(many["objective"], rel=1e-10)


def test_the_test_accuracy_is_that_of_the_classes():
    done = run("linear", {"name": "lbfgs"}, data={"test_fraction": 0.25}, problem={"intercept": True}, rounds=60)
    assert 0.93 < done.result["test_accuracy"] < 1.0
    assert "test_error" not in done.result


def test_labels_of_two_groups_are_two_classes():
    classes = {"positive": [3, 5], "negative": [8]}
    done = run("linear", {"name": "lbfgs"}, data={"classes": classes}, rounds=30)
    assert_array_equal(done.model.classes, [-1.0, 1.0])
    assert done.model.meta["positive"] == [3, 5]


@pytest.mark.parametrize(
    ("problem", "solver", "message"),
    [
        (
            {"loss": "softmax"},
            {"name": "giant"},
            "solver.name: giant requires second derivatives, which loss",
        ),
        (
            {"model": "mlp"},
            {"name": "sgd"},
            'solver.step_size: "auto" requires a smoothness constant, which model "mlp"',
        ),
        (
            {"model": "mlp"},
            {"name": "dgd", "step_size": "0.5/L"},
            'solver.step_size: "0.5/L" requires a smoothness',
        ),
        (
            {"loss": "softmax", "hidden": [3]},
            {"name": "sgd"},
            'problem.hidden: requires model = "mlp"; model is',
        ),
        (
            {"loss": "logistic", "activation": "relu"},
            {"name": "sgd"},
            'problem.activation: requires model = "mlp"',
        ),
        ({"model": "mlp", "hidden": [4, 0]}, {"name": "lbfgs"}, r"problem.hidden.1: expected an integer >= 1, got 0"),
        (
            {"model": "mlp", "intercept": False},
            {"name": "lbfgs"},
            'problem.intercept: the layers of model "mlp" always',
        ),
        (
            {"model": "mlp", "start": "zeros"},
            {"name": "lbfgs"},
            'problem.start: with model "mlp" zeros is a stationary',
        ),
        ({"model": "mlp", "start": "ones"}, {"name": "lbfgs"}, "problem.start: .* all units of a layer stay equal"),
    ],
)
def test_what_the_losses_of_classes_cannot_do_is_told_before_the_run(problem, solver, message):
    tables = {"data": {"source": "digits"}, "problem": problem, "solver": solver}
    with pytest.raises(InputError, match=message) as caught:
        hpcopt.run(tables)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "data", "message"),
    [
        ("labels_per_node", {"labels_per_node": 2}, 'requires partition = "by-label"; partition is "shuffled"'),
        ("labels_per_node", {"partition": "by-label", "labels_per_node": 11}, "between 1 and the 10 labels, got 11"),
        ("heterogeneity", {"source": "blobs", "heterogeneity": 1.0}, "blobs have no true model that could differ"),
    ],
)
def test_a_partition_by_labels_that_cannot_be_is_told(key, data, message):
    with pytest.raises(InputError, match=f"data.{key}: {message}"):
        run("linear", {"name": "lbfgs"}, data=data, rounds=1)


def hidden_model(**changed):
    whole = {
        "coef": np.zeros((3, 4)),
        "intercept": np.zeros(3),
        "loss": "softmax",
        "classes": np.arange(3.0),
        "hidden": (Affine(np.zeros((4, 5)), np.zeros(4)),),
        "activation": "relu",
        "family": "mlp",
    }
    return Model(**{**whole, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"coef": np.zeros(3)}, r"coef: expected float64 of shape \(classes, d\), got float64 of shape \(3,\)"),
        ({"coef": np.zeros((3, 5))}, "hidden: layers whose shapes do not match"),
        ({"intercept": 0.0}, r"intercept: expected shape \(3,\), got \(\)"),
        ({"classes": np.arange(2.0)}, "classes: loss 'softmax' has 3 classes, got 2"),
        ({"hidden": (Affine(np.zeros((4, 5)), np.zeros(5)),)}, "hidden: layers whose shapes do not match"),
        ({"hidden": (Affine(np.full((4, 5), np.inf), np.zeros(4)),)}, "expected finite numbers"),
        ({"hidden": ()}, "hidden, activation: not those of model 'mlp'"),
        ({"activation": "cubic"}, "hidden, activation: not those of model 'mlp'"),
        ({"family": "linear"}, "hidden, activation: not those of model 'linear'"),
        ({"loss": "logistic"}, "loss: model 'mlp' does not take 'logistic'"),
    ],
)
def test_layers_that_make_no_model_are_refused(changed, message):
    assert hidden_model().features == 5
    with pytest.raises(InputError, match=message):
        hidden_model(**changed)


def test_a_file_that_lacks_a_layer_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    hidden_model().save(path)
    with np.load(path) as content:
        arrays = dict(content)
    del arrays["hidden_1_intercept"]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="not a model: it lacks hidden_1_intercept"):
        load(path)


def test_files_from_before_models_and_losses_were_two_are_read_as_ever(tmp_path):
    path, X = tmp_path / "model.npz", np.random.default_rng(0).standard_normal((6, 5))
    for model, before in (
        (hidden_model(), "mlp"),
        (Model(np.eye(3, 5), np.zeros(3), "softmax", np.arange(3.0)), "softmax"),
    ):
        model.save(path)
        with np.load(path) as content:
            arrays = {name: array for name, array in content.items() if name != "model"}
        np.savez(path, **{**arrays, "loss": np.array(before)})
        assert (load(path).family, load(path).loss) == (model.family, "softmax")
        assert_array_equal(load(path).predict(X), model.predict(X))
