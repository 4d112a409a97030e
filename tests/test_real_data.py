"""Real data sets with known optima, and the LocalNewton paper's experiment; skipped where the data are absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hpcopt
from tests.launch import hpcopt_ranks, requires_mpi

STUDY = Path(__file__).resolve().parents[1] / "jobs" / "studies" / "local_newton.toml"


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize(
    ("name", "solver", "tolerance"),
    [("a9a", "local-newton", 1e-6), ("agaricus.train", "newton-cg", 1e-10)],
)
def test_fit_on_two_ranks_reaches_the_known_optimum(tmp_path, data_folder, name, solver, tolerance):
    described = json.loads((data_folder / "reference_optima.json").read_text())["sets"][name]
    rows, known = described["n"], described["l2"]["1/n"]
    model = tmp_path / "model.npz"
    data = data_folder / f"{name}.bz2"
    done = hpcopt_ranks(2, "fit", data, "--loss", "logistic", "--l2", "1/n", "--solver", solver, "-o", model)
    assert done.returncode == 0, done.stderr
    with np.load(model) as fitted:
        objective = json.loads(str(fitted["meta"]))["objective"]
        norm = float(np.linalg.norm(fitted["coef"]))
    assert objective == pytest.approx(known["objective"], rel=tolerance)
    assert norm == pytest.approx(known["w_norm"], rel=1e-3)
    done = hpcopt_ranks(1, "predict", model, data)
    assert len(done.stdout.split()) == rows
    assert float(done.stderr.split()[1]) == pytest.approx(known["accuracy"], abs=1e-4)


@pytest.mark.mpi
@requires_mpi
def test_fit_with_l1_on_two_ranks_reaches_the_known_optimum_and_its_zeros(tmp_path, data_folder):
    known = json.loads((data_folder / "reference_optima.json").read_text())["sets"]["agaricus.train"]["l1"]["0.001"]
    model = tmp_path / "model.npz"
    done = hpcopt_ranks(2, "fit", data_folder / "agaricus.train.bz2", "--l1", "0.001", "-o", model)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    with np.load(model) as fitted:
        assert json.loads(str(fitted["meta"]))["objective"] == pytest.approx(known["objective"], rel=1e-6)
        assert np.count_nonzero(fitted["coef"]) == known["nonzeros"]


@pytest.mark.study
def test_adaptive_local_newton_needs_a_fraction_of_the_rounds_and_seconds_of_its_peers(tmp_path, data_folder):
    comparison = hpcopt.compare(STUDY, overrides=[f'data.path="{data_folder / "a9a.bz2"}"'], folder=tmp_path / "study")
    rows = {row["solver"]: row for row in comparison.rows()}
    ours = [row for label, row in rows.items() if label.startswith("adaptive")]
    peers = [rows[label] for label in ("GIANT", "L-BFGS", "local SGD")]
    assert len(ours) == 2
    for row in ours:
        assert row["rounds"] <= 0.6 * min(peer["rounds"] for peer in peers if peer["reached"])
        assert row["seconds"] <= 0.4 * min(peer["seconds"] for peer in peers if peer["reached"])


def test_a_thousand_nodes_run_in_one_process(data_folder):
    run = hpcopt.run(
        {
            "data": {"path": str(data_folder / "a9a.bz2")},
            "problem": {"start": "ones"},
            "solver": {"name": "local-newton", "schedule": "paper"},
            "cluster": {"kind": "virtual", "workers": 1000},
            "stop": {"rounds": 6},
        }
    )
    assert run.result["bytes"] == 2 * 999 * 8 * (3 * 123 + 2 * 123 + 11)
    assert run.result["objective"] < 0.35
