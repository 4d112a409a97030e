"""Model files: loading returns what was saved, predictions follow the formula, and other files are rejected."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hpcopt.errors import InputError
from hpcopt.models.model import Model, load
from hpcopt.models.trained import unscaled


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def classifier(coef=(1.0, -2.0, 0.5), intercept=0.25, classes=(3.0, 8.0)):
    return Model(np.array(coef), intercept, "logistic", np.array(classes), {"solver": "giant", "objective": 0.3})


@pytest.mark.parametrize("model", [classifier(), Model(np.array([0.1, 0.2]), -1.0, "squared")])
def test_a_loaded_model_is_the_saved_one(tmp_path, model):
    model.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert_array_equal(again.coef, model.coef)
    assert (again.intercept, again.loss, again.meta) == (model.intercept, model.loss, model.meta)
    assert_array_equal(again.classes, model.classes)


def test_anyone_can_read_the_file_with_numpy_alone(tmp_path):
    classifier().save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as content:
        assert_array_equal(content["coef"], [1.0, -2.0, 0.5])
        assert content["intercept"].shape == ()
        assert_array_equal(content["classes"], [3.0, 8.0])


def test_a_model_of_mostly_zeros_has_a_small_file_that_anyone_can_read(tmp_path):
    coef = np.zeros(300_000)
    coef[::1000] = np.arange(1.0, 301.0)
    Model(coef, 0.5, "squared").save(tmp_path / "model.npz")
    assert (tmp_path / "model.npz").stat().st_size < coef.nbytes / 100
    with np.load(tmp_path / "model.npz", allow_pickle=False) as content:
        assert_array_equal(content["coef"], coef)
    found = load(tmp_path / "model.npz")
    assert_array_equal(found.coef, coef)
    rows = csr_array((np.array([2.0, 3.0]), np.array([1000, 1001]), np.array([0, 1, 2])), shape=(2, 2000))
    assert_array_equal(found.predict(rows), [4.5, 0.5])


def test_predictions_agree_with_scikit_learn(rng):
    X = rng.standard_normal((60, 4))
    y = np.where(X @ [1.0, -1.0, 2.0, 0.0] + rng.standard_normal(60) > 0, 7.0, 2.0)
    peer = LogisticRegression().fit(X, y)
    model = Model(peer.coef_[0], float(peer.intercept_[0]), "logistic", peer.classes_)
    assert_allclose(model.decision(X), peer.decision_function(X), rtol=1e-12)
    assert_array_equal(model.predict(X), peer.predict(X))


def test_a_model_of_scaled_features_speaks_of_the_original_ones(rng):
    X = 3.0 + rng.standard_normal((40, 5)) * [1.0, 10.0, 0.1, 5.0, 2.0]
    scaler = StandardScaler().fit(X)
    w = rng.standard_normal(5)
    coef, intercept = unscaled(w, 0.7, scaler.mean_, scaler.scale_)
    assert_allclose(X @ coef + intercept, scaler.transform(X) @ w + 0.7, rtol=1e-12)


def test_without_scaling_the_coefficients_are_a_copy(rng):
    w = rng.standard_normal(3)
    coef, intercept = unscaled(w, 0.5, None, None)
    assert_array_equal(coef, w)
    assert intercept == 0.5
    assert not np.shares_memory(coef, w)


def test_regression_predicts_the_decision_itself(rng):
    X = rng.standard_normal((5, 2))
    model = Model(np.array([2.0, -1.0]), 0.5, "squared")
    assert_allclose(model.predict(X), 2.0 * X[:, 0] - X[:, 1] + 0.5, rtol=1e-14)


def test_coefficients_that_overflow_are_left_for_the_model_to_refuse():
    coef, intercept = unscaled(np.full(2, 1e10), 0.0, np.ones(2), np.full(2, 1e-305))
    with pytest.raises(InputError, match="expected finite numbers"):
        Model(coef, intercept, "squared")


@pytest.mark.parametrize("sparse", [csr_array, csr_matrix])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dense_and_sparse_rows_have_the_same_decision(rng, sparse, dtype):
    X = (rng.random((20, 3)) * (rng.random((20, 3)) < 0.5)).astype(dtype)
    decision = classifier().decision(sparse(X))
    assert decision.dtype == np.float64
    assert_allclose(decision, classifier().decision(X), rtol=1e-12)


def test_sparse_rows_may_end_before_the_last_feature():
    assert_allclose(classifier().decision(csr_array([[1.0, 1.0]])), [1.0 - 2.0 + 0.25])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 4)), "the rows have 4 features, the model has 3"),
        (np.zeros((2, 2)), "the rows have 2 features, the model has 3"),
        (csr_array((2, 4)), "the rows have 4 features, the model has 3"),
        (np.zeros(3), r"expected rows of shape \(n, 3\), got shape \(3,\)"),
    ],
)
def test_rows_of_another_shape_are_refused(X, message):
    with pytest.raises(InputError, match=message):
        classifier().decision(X)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"coef": np.zeros((2, 2))}, r"coef: expected float64 of shape \(d,\)"),
        ({"coef": np.zeros(2, dtype=np.float32)}, "coef: expected float64"),
        ({"coef": np.array([np.nan])}, "expected finite numbers"),
        ({"intercept": np.inf}, "expected finite numbers"),
        ({"classes": None}, "classes: loss 'logistic' has 2 classes, got 0"),
        ({"loss": "squared"}, "classes: loss 'squared' has no classes, got 2"),
        ({"loss": "logistc"}, "unknown loss 'logistc'; did you mean 'logistic'"),
    ],
)
def test_what_makes_no_model_is_refused(parts, message):
    whole = {"coef": np.zeros(2), "intercept": 0.0, "loss": "logistic", "classes": np.array([0.0, 1.0])}
    with pytest.raises(InputError, match=message):
        Model(**{**whole, **parts})


def test_an_interrupted_save_leaves_the_old_model_and_nothing_else(tmp_path, monkeypatch):
    classifier(intercept=1.0).save(tmp_path / "model.npz")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        classifier(intercept=2.0).save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").intercept == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


def arrays(**changed):
    whole = {
        "format": np.array(1),
        "coef": np.zeros(2),
        "intercept": np.array(0.0),
        "classes": np.array([0.0, 1.0]),
        "loss": np.array("logistic"),
        "meta": np.array("{}"),
    }
    return {key: value for key, value in {**whole, **changed}.items() if value is not None}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"coef": None, "loss": None}, "not a model: it lacks coef, loss"),
        ({"format": np.array(99)}, "a model in format 99; this hpcopt reads format 1"),
        ({"coef": np.zeros((2, 3))}, "not a model: coef: expected float64"),
        ({"coef": np.array(["a"])}, "not a model: coef: contains values of type <U1; expected numbers"),
        ({"intercept": np.zeros(2)}, "not a model: "),
        ({"loss": np.array("cubic")}, "not a model: unknown loss 'cubic'"),
        ({"meta": np.array("{")}, "not a model: "),
        (
            {"coef": np.array([{}], dtype=object)},
            "not a model: coef: it contains Python objects, which are never loaded",
        ),
        ({"intercept": np.array("a")}, "not a model: intercept: contains values of type <U1; expected numbers"),
        ({"intercept": np.array(1j)}, "not a model: intercept: contains values of type complex128; expected numbers"),
        ({"coef": np.zeros(())}, "not a model: coef: expected float64 of shape (d,)"),
        ({"classes": np.array([0.0, np.nan])}, "not a model: classes: expected finite numbers"),
        ({"classes": np.zeros((1, 2))}, "not a model: classes: expected finite numbers of shape (classes,)"),
        ({"loss": np.array(3)}, "not a model: loss: expected a text, got int64 of shape ()"),
        (
            {"loss": np.array(2**31 - 1, np.int32).view("<U1")},
            "not a model: loss: expected a text, got invalid",
        ),
        ({"loss": np.array("log\nistic")}, "not a model: loss: expected a text, got invalid characters"),
        ({"loss": np.array(["logistic"])}, "not a model: loss: expected a text, got <U8 of shape (1,)"),
        ({"meta": np.array("[1, 2]")}, "not a model: meta: expected a JSON object, got [1, 2]"),
        ({"meta": np.array("3")}, "not a model: meta: expected a JSON object, got 3"),
        ({"meta": np.array("[" * 100_000)}, "not a model: meta: invalid JSON"),
        (
            {"meta": np.array('{"zero_based": [1]}')},
            "not a model: meta: zero_based: expected true, false or null, got [1]",
        ),
        ({"meta": np.array('{"zero_based": 1}')}, "not a model: meta: zero_based: expected true, false or null, got 1"),
        (
            {"meta": np.array('{"hash_bits": true}')},
            "not a model: meta: hash_bits: expected an integer from 1 to 30, got",
        ),
        ({"meta": np.array('{"hash_bits": 9}')}, "not a model: meta: hash_bits: 9 for a model of"),
        (
            {"meta": np.array('{"positive": 3, "negative": [1]}')},
            "not a model: meta: positive, negative: expected lists",
        ),
        ({"meta": np.array('{"positive": ["a"], "negative": [1]}')}, "not a model: positive.0: expected a number, got"),
        ({"model": np.array("mlp"), "hidden_1_coef": np.zeros(3)}, "not a model: it lacks hidden_1_intercept"),
    ],
)
def test_a_file_that_holds_no_model_is_refused(tmp_path, changed, message):
    path = tmp_path / "model.npz"
    np.savez(path, **arrays(**changed))
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_text_file_are_told(tmp_path):
    (tmp_path / "text.npz").write_text("1:2 3:4\n")
    for name, message in [
        ("none.npz", "no such file"),
        (".", "is a folder"),
        ("text.npz", "not a model: expected the .npz"),
    ]:
        with pytest.raises(InputError, match=message):
            load(tmp_path / name)


@pytest.mark.parametrize("where", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(("zeros", "wrong"), [(0, 4000), (900, 400)], ids=["dense", "mostly zeros"])
def test_a_file_cut_short_or_with_a_wrong_byte_is_refused_in_one_line(tmp_path, where, zeros, wrong):
    path = tmp_path / "model.npz"
    Model(np.arange(1000.0) * (np.arange(1000) >= zeros), 0.0, "squared").save(path)
    whole = path.read_bytes()
    at = int(where * len(whole))
    for damaged in (whole[:at], whole[:wrong] + bytes([whole[wrong] ^ 255]) + whole[wrong + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="not a model") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_hidden_layers_of_another_shape_are_refused(tmp_path):
    layers = {"hidden_1_coef": np.zeros(3), "hidden_1_intercept": np.zeros(3), "activation": np.array("relu")}
    whole = arrays(coef=np.zeros((2, 3)), intercept=np.zeros(2), loss=np.array("softmax"), model=np.array("mlp"))
    np.savez(tmp_path / "model.npz", **whole, **layers)
    with pytest.raises(InputError, match="not a model: hidden: expected coefficients of shape"):
        load(tmp_path / "model.npz")


def test_arrays_beside_a_models_are_not_looked_at(tmp_path):
    np.savez(tmp_path / "model.npz", **arrays(names=np.array(["a", "b"], dtype=object)))
    assert load(tmp_path / "model.npz").features == 2
