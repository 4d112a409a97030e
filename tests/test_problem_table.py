"""[problem]: the allowed combinations of model, loss and penalty, and the errors for others."""

from __future__ import annotations

import re

import pytest

from hpcopt.errors import InputError
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES
from hpcopt.spec.specification import as_toml_dict, specification_from


def specification(stop=None, solver="lbfgs", **problem):
    tables = {"data": {"source": "breast-cancer"}, "solver": {"name": solver}, "problem": problem}
    return specification_from({**tables, "stop": stop or {}})


@pytest.mark.parametrize(
    ("model", "loss"), [(m, loss) for m in MODELS for loss in LOSSES if MODELS[m].takes(LOSSES[loss])]
)
def test_every_product_of_names_makes_an_objective_and_survives_the_resolved_specification(model, loss):
    spec = specification(model=model, loss=loss, penalty={"name": "l2", "weight": "2/n"})
    made = spec.problem.formulation(8)
    assert (made.model.name, made.loss.name, made.penalty) == (model, loss, PENALTIES["l2"](weight=0.25))
    assert as_toml_dict(specification_from(as_toml_dict(spec))) == as_toml_dict(spec)


@pytest.mark.parametrize("problem", [{"l2": "3/n"}, {"penalty": {"name": "l2", "weight": "3/n"}}])
def test_l2_is_the_short_form_of_a_penalty(problem):
    assert specification(**problem).problem.formulation(6).penalty == PENALTIES["l2"](weight=0.5)


@pytest.mark.parametrize(
    ("problem", "penalty"),
    [
        ({"l1": "3/n"}, PENALTIES["l1"](weight=0.5)),
        ({"l1": 0.5, "l2": 0}, PENALTIES["l1"](weight=0.5)),
        ({"l1": 0.5, "l2": "3/n"}, PENALTIES["elastic-net"](l1=0.5, l2=0.5)),
        ({"l1": 0}, PENALTIES["l2"](weight=1 / 6)),
        ({"penalty": {"name": "elastic-net", "l1": "3/n", "l2": 0.5}}, PENALTIES["elastic-net"](l1=0.5, l2=0.5)),
        ({"penalty": "simplex"}, PENALTIES["simplex"](radius=1.0)),
        ({"penalty": {"name": "box", "lower": [0, 1], "upper": 2}}, PENALTIES["box"](lower=(0.0, 1.0), upper=2.0)),
        (
            {"penalty": {"name": "group-lasso", "weight": "3/n", "groups": [[1, 0], [2]]}},
            PENALTIES["group-lasso"](weight=0.5, groups=((1, 0), (2,))),
        ),
    ],
)
def test_penalties_that_are_not_smooth_and_their_short_forms(problem, penalty):
    spec = specification(solver="adagrad-cmd", **problem)
    assert spec.problem.formulation(6).penalty == penalty
    assert as_toml_dict(specification_from(as_toml_dict(spec))) == as_toml_dict(spec)


def test_a_penalty_without_parameters_is_its_name():
    resolved = as_toml_dict(specification(penalty="none"))["problem"]
    assert resolved["penalty"] == {"name": "none"}
    assert "l2" not in resolved


@pytest.mark.parametrize(("model", "loss"), [("linear", "logistic"), ("mlp", "softmax")])
def test_each_model_has_a_loss_where_none_is_given(model, loss):
    assert specification(model=model).problem.loss == loss


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"loss": "mlp"}, '"mlp" is a model; give model = "mlp" with loss = "softmax"'),
        ({"loss": "logistic", "model": "mlp"}, 'model "mlp" takes "softmax", got "logistic"'),
        ({"model": "liner"}, 'expected one of "linear", "mlp", got "liner"; did you mean \'linear\'?'),
        ({"penalty": "l2", "l2": 0.1}, "given together with l2, which is also a penalty; remove one of the two"),
        ({"penalty": {"name": "l2"}}, 'missing; expected a number >= 0 or "c/n"'),
        ({"penalty": {"name": "l2", "weight": "1/m"}}, 'expected a number >= 0 or "c/n", got "1/m"'),
        ({"penalty": {"name": "l2", "weight": -1}}, 'expected a number >= 0 or "c/n", got -1'),
        ({"penalty": {"name": "l3"}}, "unknown penalty 'l3'; did you mean 'l2'? (known: "),
        ({"penalty": {"name": "none", "weight": 1}}, "unknown key; there are no keys but name"),
        ({"penalty": "l1", "l1": "1/n"}, "given together with l1, which is also a penalty; remove one of the two"),
        ({"l1": "1/m"}, 'expected a number >= 0 or "c/n", as in "1/n", got "1/m"'),
        ({"l1": -1}, "expected a number >= 0 or"),
        ({"penalty": {"name": "group-lasso", "weight": 1}}, "penalty.groups: missing; expected a list"),
        ({"penalty": {"name": "group-lasso", "weight": 1, "groups": []}}, "penalty.groups: expected"),
        ({"penalty": {"name": "group-lasso", "weight": 1, "groups": [[0], [0.5]]}}, "penalty.groups.1.0: expected an"),
        ({"penalty": {"name": "group-lasso", "weight": 1, "groups": [[0], [0]]}}, "penalty.groups: feature 0 is named"),
        ({"penalty": {"name": "simplex", "radius": 0}}, "penalty.radius: expected a number > 0, got 0"),
        (
            {"penalty": {"name": "box", "lower": [0.0]}, "model": "mlp"},
            'box is about single features, and model "mlp" has hidden layers; choose another penalty',
        ),
        ({"delta": 0, "loss": "huber"}, "expected a number > 0, got 0"),
        ({"delta": -1.5, "loss": "huber"}, "expected a number > 0, got -1.5"),
        ({"delta": float("nan"), "loss": "huber"}, "expected a finite number, got nan"),
        ({"delta": "wide", "loss": "huber"}, 'expected a number > 0, got "wide"'),
        ({"delta": 1.0, "loss": "hinge"}, 'requires loss = "huber"; loss is "hinge"'),
        ({"delta": 1.0, "model": "mlp"}, 'requires loss = "huber"; loss is "softmax"'),
        ({"loss": "squared-hing"}, "did you mean 'squared-hinge'?"),
    ],
)
def test_a_product_that_cannot_be_is_refused(problem, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        specification(**problem)
    assert str(caught.value).startswith(f"problem.{next(iter(problem))}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("given", "delta"), [({}, 1.35), ({"delta": 2}, 2.0)])
def test_a_losss_parameter_is_a_key_of_the_table_and_has_a_default(given, delta):
    spec = specification(loss="huber", **given)
    assert spec.problem.formulation(8).loss == LOSSES["huber"](delta=delta)
    assert as_toml_dict(spec)["problem"]["delta"] == delta
    assert "delta" not in as_toml_dict(specification(loss="squared"))["problem"]


@pytest.mark.parametrize("goal", ["gradient_norm", "relative_gradient", "scaled_gradient"])
def test_a_goal_for_the_gradient_is_refused_where_it_need_not_vanish(goal):
    with pytest.raises(InputError, match=rf"stop\.{goal}: requires a smooth loss: at an optimum of hinge the gradient"):
        specification({goal: 1e-3}, loss="hinge")
    for loss in LOSSES:
        if LOSSES[loss]().flat_minima:
            assert specification({goal: 1e-3}, loss=loss).stop.measures


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"loss": "relu"}, "requires a convex loss; relu is not convex"),
        ({"model": "mlp"}, "requires a convex model; mlp is not convex"),
        ({"penalty": "none"}, "requires problem.l2 > 0"),
    ],
)
def test_a_certified_gap_rests_on_all_three_parts(problem, message):
    with pytest.raises(InputError, match=re.escape(f"stop.gap: {message}")):
        specification({"gap": 1e-3}, **problem)


def test_a_largest_residual_is_a_goal_only_where_it_is_measured():
    with pytest.raises(InputError, match=re.escape("stop.kkt: requires a penalty that is not smooth, got l2")):
        specification({"kkt": 1e-3})
    assert specification({"kkt": 1e-3}, solver="adagrad-cmd", l1=0.1).stop.kkt == 1e-3
