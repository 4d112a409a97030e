"""Special properties of the rectified loss: predictions are rectified, and zero is not a valid start."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import hpcopt
from hpcopt.fabric.meter import Meter
from hpcopt.models.model import Model
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.penalties.none import NoPenalty
from hpcopt.problems.storage import as_matrix

X = np.array([[1.0, 0.0], [-2.0, 1.0], [0.5, -3.0]])


@pytest.mark.parametrize(("loss", "predicted"), [("squared", [1.0, -1.0, -2.5]), ("relu", [1.0, 0.0, 0.0])])
def test_a_model_of_real_targets_predicts_what_its_loss_compares_with_them(loss, predicted):
    assert_array_equal(Model(np.ones(2), 0.0, loss).predict(X), predicted)


@pytest.mark.parametrize("loss", ["squared", "relu"])
def test_the_loss_of_a_margin_is_half_the_squared_error_of_its_prediction(loss):
    y = np.array([0.3, 2.0, -1.0])
    f = Objective(as_matrix(X), y, LOSSES[loss](), NoPenalty(), total=3, meter=Meter())
    expected = 0.5 * np.mean((LOSSES[loss]().prediction(X @ np.ones(2)) - y) ** 2)
    assert f.at(np.ones(2)).value == pytest.approx(expected, rel=1e-15)


def test_zero_is_a_stationary_point_of_the_rectified_loss_though_none_of_its_minima():
    f = Objective(as_matrix(X), np.ones(3), LOSSES["relu"](), L2(weight=0.1), total=3, meter=Meter())
    assert_array_equal(f.at(np.zeros(2)).gradient, np.zeros(2))
    assert f.at(np.array([0.5, 0.0])).value < f.at(np.zeros(2)).value


def test_from_a_random_start_the_rectified_regression_fits_its_data_to_the_noise():
    run = hpcopt.run(
        {
            "data": {"source": "relu-regression", "features": 50},
            "problem": {"loss": "relu", "l2": 0.0, "start": "random"},
            "solver": {"name": "lbfgs"},
            "cluster": {"kind": "virtual", "workers": 4},
            "stop": {"rounds": 100},
        }
    )
    # half the variance of the errors, minus the part that 50 coefficients fit of 2000; half of the rows are flat
    assert run.result["objective"] == pytest.approx(0.5 * 0.05**2 * (1 - 50 / 2000), rel=0.1)
