"""The studies of quantised AdaGrad in jobs/studies: the claims of their page, by running the solvers concerned."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import hpcopt
from hpcopt.studies.compare import compare

pytestmark = [pytest.mark.study, pytest.mark.timeout(600)]  # a study takes up to two minutes of an idle core
STUDIES = Path(__file__).parents[1] / "jobs" / "studies"
METHODS = ("QCMD", "QRDA")
FEATURES = {"a9a": 123, "sector.scale": 55197}


def run(name, path, seeds=1, **tables):
    """Run a study on the data at `path`; return its rows by label, each with the percentage of zeros."""
    specification = tomllib.loads((STUDIES / f"quantized_adagrad_{name}.toml").read_text()) | {"seeds": seeds}
    del specification["output"]["folder"]
    for table, keys in {"data": {"path": str(path)}, **tables}.items():
        specification[table] = {**specification[table], **keys}
    comparison = compare(specification)
    rows = {one.label: row for one, row in zip(comparison.contenders, comparison.rows(), strict=True)}
    for row in rows.values():
        row["zeros"] = 100.0 * (1.0 - row["nonzeros"] / FEATURES[path.stem])
    return rows


@pytest.fixture(scope="module")
def table(data_folder):
    return run("table", data_folder / "a9a.bz2")


TERNARY = ("ternary", "threshold", "threshold + ef", "exact + ef")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("quantiser", TERNARY)
def test_three_values_are_as_accurate_as_float32_with_a_fourteenth_of_the_bytes_up(table, method, quantiser):
    full, row = table[f"{method}, float32"], table[f"{method}, {quantiser}"]
    assert row["test_accuracy"] >= full["test_accuracy"] - 0.005
    assert full["bytes_up"] >= 14 * row["bytes_up"]


@pytest.mark.parametrize("quantiser", TERNARY)
def test_dual_averaging_is_as_sparse_with_three_values_as_with_float32(table, quantiser):
    assert abs(table[f"QRDA, {quantiser}"]["zeros"] - table["QRDA, float32"]["zeros"]) <= 6


@pytest.mark.parametrize("method", METHODS)
def test_signs_are_worse_than_every_other_quantiser(table, method):
    others = [row["objective"] for label, row in table.items() if label.startswith(method) and "sign" not in label]
    assert table[f"{method}, sign"]["objective"] > max(others)


def test_two_quantisations_with_feedback_take_a_sixteenth_of_the_bytes_in_both_directions(data_folder):
    rows = run("bytes", data_folder / "a9a.bz2", output={"record_every": 0})
    full, row = rows["float32, model"], rows["exact + ef, gradient"]
    assert full["bytes"] >= 15 * row["bytes"]
    assert row["objective"] <= full["objective"] + 0.001
    assert rows["ternary, model"]["objective"] == rows["ternary, all-gather"]["objective"]


def test_noise_averages_out_over_the_workers_and_bias_does_not(data_folder):
    one, many = (run("workers", data_folder / "a9a.bz2", cluster={"workers": k}) for k in (1, 32))

    def gap(rows, label):
        return rows[label]["objective"] - rows["float32"]["objective"]

    assert gap(one, "threshold, eta = 0.1") < gap(one, "ternary, eta = 0.1")
    assert gap(many, "threshold, eta = 0.1") > 2 * gap(many, "ternary, eta = 0.1")
    assert gap(many, "ternary") < 0.2 * gap(one, "ternary")
    assert gap(many, "threshold, eta = 0.1") > 0.8 * gap(one, "threshold")
    assert gap(many, "exact + ef") < 0 > gap(one, "exact + ef")


def test_on_sparse_features_the_exact_rule_with_feedback_loses_nothing_that_the_threshold_loses(data_folder):
    rows = run("sector", data_folder / "sector.scale.bz2")
    for method in METHODS:
        full, bare, exact = (
            rows[f"{method}, {quantiser}"] for quantiser in ("float32", "threshold of nonzeros", "exact + ef")
        )
        assert bare["test_accuracy"] < full["test_accuracy"] - 0.05
        assert exact["test_accuracy"] > full["test_accuracy"] - 0.005
        assert exact["objective"] < full["objective"] + 0.002
        assert full["bytes_up"] > 30 * exact["bytes_up"]


@pytest.mark.parametrize("weight", [1e-4, 3e-3])
def test_dual_averaging_keeps_its_zeros_along_the_path(data_folder, weight):
    rows = run("path", data_folder / "a9a.bz2", problem={"l1": weight})
    assert abs(rows["QRDA, exact + ef"]["zeros"] - rows["QRDA, float32"]["zeros"]) < 6
    assert rows["QCMD, float32"]["zeros"] < rows["QRDA, float32"]["zeros"] - 15


@pytest.mark.parametrize(("bandwidth", "pays"), [(1e6, True), (1e9, False)])
def test_ternary_messages_save_seconds_below_a_bandwidth_and_the_exact_rule_with_feedback_always(
    data_folder, bandwidth, pays
):
    rows = run("time", data_folder / "a9a.bz2", cluster={"bandwidth": bandwidth})
    full = rows["doubles, reduced by a tree"]["seconds"]
    assert (rows["ternary"]["seconds"] < full) is pays
    assert rows["exact + ef"]["seconds"] < full


def test_the_limit_of_mirror_descent_is_the_known_optimum_with_its_support(data_folder):
    known = json.loads((data_folder / "reference_optima.json").read_text())["sets"]["a9a"]["l1"]["0.001"]
    found = hpcopt.run(
        {
            "data": {"path": str(data_folder / "a9a.bz2")},
            "problem": {"loss": "logistic", "l1": 1e-3},
            "solver": {"name": "adagrad-cmd", "batch": 0, "step_size": 1.0},
            "stop": {"target": known["objective"] + 1e-6, "iterations": 1500},
            "output": {"record_every": 50},
        }
    ).result
    assert found["objective"] == pytest.approx(known["objective"], abs=1e-6)
    assert found["nonzeros"] == known["nonzeros"]
