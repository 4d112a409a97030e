"""The commands in one process: their output, files and exit codes."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression, Ridge

import hpcopt
from hpcopt.cli.main import main
from hpcopt.cli.told import WIDTH
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES
from hpcopt.solvers import SOLVERS

SPECIFICATION = """
[data]
source = "breast-cancer"
scale = "standard"
test_fraction = 0.2
[problem]
l2 = "1/n"
[stop]
target = 0.07
rounds = 60
"""
ONE = SPECIFICATION + '[solver]\nname = "giant"\n'
MANY = SPECIFICATION + '[[solvers]]\nname = "giant"\n[[solvers]]\nname = "sgd"\n[[solvers]]\nname = "giant"\n'


@pytest.fixture
def spec(tmp_path):
    def write(text):
        path = tmp_path / "spec.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def labelled(tmp_path):
    """A file with 200 rows of 4 features and two classes, and its arrays."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 4)) * [1.0, 3.0, 0.3, 1.0] + [0.0, 1.0, 0.0, 2.0]
    y = np.where(X @ [1.0, -0.5, 2.0, 0.5] + rng.standard_normal(200) > 0.3, 7.0, 3.0)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    return tmp_path / "data.npz", X, y


def test_run_leaves_trace_model_picture_and_result(tmp_path, spec, capsys):
    out = tmp_path / "out"
    assert main(["run", spec(ONE), "--virtual", "4", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "objective: mean logistic loss + (l2/2)||w||^2" in said
    assert "scikit-learn: C = 1" in said
    described = json.loads((out / "run.json").read_text())
    rows = [json.loads(line) for line in (out / "trace.jsonl").read_text().splitlines()]
    assert described["result"]["status"] == "target"
    assert described["result"]["reached"] is True
    assert described["result"]["objective"] == rows[-1]["objective"] <= 0.07
    assert described["specification"]["cluster"]["workers"] == 4
    assert set(rows[0]) >= {"round", "seconds", "clock", "bytes", "messages", "work", "objective", "grad_norm"}
    assert rows[-1]["clock"] == "virtual"
    assert 0.9 < rows[-1]["test_accuracy"] <= 1.0
    assert (out / "convergence.png").read_bytes()[:4] == b"\x89PNG"
    with np.load(out / "model.npz", allow_pickle=False) as model:
        assert model["coef"].shape == (30,)


def test_compare_tells_who_reached_the_target_first(tmp_path, spec, capsys):
    out = tmp_path / "out"
    assert main(["compare", spec(MANY), "--virtual", "3", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "not reached" in said
    assert f"picture: {out / 'compare.png'}" in said.replace("\n", "")
    with (out / "compare.csv").open() as file:
        giant, sgd, again = csv.DictReader(file)
    assert (giant["reached"], sgd["reached"]) == ("true", "false")
    assert giant["rounds"] == again["rounds"]
    assert giant["solver"] != again["solver"]
    assert len(list(out.glob("*/run.json"))) == 3


def test_require_target_ends_with_three_where_it_was_missed(tmp_path, spec):
    arguments = ["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(tmp_path / "out"), "--overwrite"]
    assert main([*arguments, "--require-target"]) == 0
    assert main([*arguments, "--require-target", "--set", "stop.target=0.001"]) == 3
    assert main([*arguments, "--set", "stop.target=0.001"]) == 0


def test_in_a_batch_log_long_labels_of_a_comparison_stand_in_one_line(tmp_path, spec, capsys):
    label = " ".join(["a label of many words"] * 3)
    text = MANY.replace('"giant"', f'"giant"\nlabel = "{label}"', 1)
    assert main(["compare", spec(text), "--virtual", "3", "--out", str(tmp_path / "out")]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f" {label}  "))
    assert len(row) > WIDTH


def test_quiet_prints_nothing(tmp_path, spec, capsys):
    assert main(["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_folder_with_a_run_is_kept_unless_overwrite_is_given(tmp_path, spec, capsys):
    arguments = ["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    before = (tmp_path / "out" / "run.json").read_text()
    assert main(arguments) == 1
    assert "holds another run" in capsys.readouterr().err
    assert (tmp_path / "out" / "run.json").read_text() == before
    assert main([*arguments, "--overwrite"]) == 0


def test_overwrite_replaces_one_run_and_leaves_everything_else(tmp_path, spec):
    outer = tmp_path / "out"
    assert main(["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(outer)]) == 0
    assert main(["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(outer / "inner")]) == 0
    (outer / "notes.txt").write_text("mine")
    assert main(["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(outer), "--overwrite"]) == 0
    assert (outer / "inner" / "run.json").exists()
    assert (outer / "notes.txt").read_text() == "mine"


def test_a_run_that_cannot_start_leaves_the_one_to_be_overwritten(tmp_path, spec):
    arguments = ["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(tmp_path / "out"), "--overwrite"]
    assert main(arguments) == 0
    before = (tmp_path / "out" / "run.json").read_text()
    assert main([*arguments, "--set", "data.test_fraction=0.0001"]) == 1
    assert (tmp_path / "out" / "run.json").read_text() == before
    assert (tmp_path / "out" / "model.npz").exists()


def test_a_new_comparison_leaves_no_run_of_the_old_one(tmp_path, spec):
    arguments = ["--virtual", "2", "--quiet", "--out", str(tmp_path / "out"), "--overwrite"]
    assert main(["compare", spec(MANY), *arguments]) == 0
    (tmp_path / "out" / "mine").mkdir()
    assert main(["compare", spec(MANY.replace('"giant"', '"lbfgs"')), *arguments]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert names == {"lbfgs-1", "sgd", "lbfgs-2", "mine"}


def test_labels_become_folders_of_their_own_inside_the_comparisons(tmp_path, spec):
    labels = ["..", "---", "a b", "a-b", "A b"]
    text = SPECIFICATION + "".join(f'[[solvers]]\nname = "giant"\nlabel = "{label}"\n' for label in labels)
    out = tmp_path / "deep" / "out"
    assert main(["compare", spec(text), "--virtual", "2", "--quiet", "--out", str(out)]) == 0
    assert sorted(path.parent.name for path in out.glob("*/run.json")) == ["A-b-3", "a-b", "a-b-2", "run", "run-2"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_a_folders_name_is_taken_as_it_is(tmp_path, spec):
    out = tmp_path / """it's a "b" \\c"""
    assert main(["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(out)]) == 0
    assert (out / "run.json").exists()


def test_numbers_beyond_all_bounds_end_the_run_as_diverged(tmp_path, spec):
    np.save(tmp_path / "start.npy", np.full(30, 1e200))
    arguments = ["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", f"problem.start={tmp_path}/start.npy"]) == 3
    result = json.loads((tmp_path / "out" / "run.json").read_text())["result"]
    assert result["status"] == "diverged"
    assert result["objective"] is None


@pytest.mark.parametrize("content", [np.array(["a"] * 30), np.full(30, 1j), np.zeros((30, 1))])
def test_a_start_that_is_no_vector_of_numbers_is_refused(tmp_path, spec, content, capsys):
    np.save(tmp_path / "start.npy", content)
    arguments = ["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", f"problem.start={tmp_path}/start.npy"]) == 1
    assert "start.npy" in capsys.readouterr().err


def test_no_arguments_and_help_and_version(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "compare" in said
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == said
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == hpcopt.__version__


@pytest.mark.parametrize(("value", "l2"), [(".5", 0.5), ("5.", 5.0), ("01", 1.0), ("2/n", 2 / 200)])
def test_l2_is_a_number_as_people_write_it_or_a_part_of_n(tmp_path, labelled, value, l2):
    model = tmp_path / "model.npz"
    assert main(["fit", str(labelled[0]), "--l2", value, "--l1", "0", "-o", str(model), "--quiet"]) == 0
    assert json.loads(str(np.load(model)["meta"]))["l2"] == l2


SLOW = {"prox-svrg"}  # its step size is that of the largest row, and takes more rounds than fit makes by default


@pytest.mark.parametrize("solver", [name for name in SOLVERS if SOLVERS[name].floor is None and name not in SLOW])
def test_fit_with_intercept_agrees_with_scikit_learn(tmp_path, labelled, solver):
    path, X, y = labelled
    model = tmp_path / "model.npz"
    arguments = ["fit", str(path), "--l2", "0.01", "--intercept", "--solver", solver, "-o", str(model), "--quiet"]
    assert main(arguments) == 0
    peer = LogisticRegression(C=1.0 / (200 * 0.01), tol=1e-12, max_iter=10_000).fit(X, y)
    with np.load(model) as ours:
        np.testing.assert_allclose(ours["coef"], peer.coef_[0], rtol=1e-5)
        np.testing.assert_allclose(ours["intercept"], peer.intercept_[0], rtol=1e-5)
        assert list(ours["classes"]) == [3.0, 7.0]


def test_fit_takes_another_penalty_and_without_one_the_weights_are_larger(tmp_path, labelled):
    sizes = []
    for more in ([], ["--set", "problem.penalty=none"]):
        model = tmp_path / "model.npz"
        assert main(["fit", str(labelled[0]), *more, "-o", str(model), "--quiet"]) == 0
        sizes.append(np.linalg.norm(np.load(model)["coef"]))
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("more", [[], ["--l2", "1/n"]])
def test_fit_with_l1_agrees_with_scikit_learn_and_says_how_many_weights_are_left(tmp_path, labelled, capsys, more):
    path, X, y = labelled
    model = tmp_path / "model.npz"
    assert main(["fit", str(path), "--l1", "10/n", *more, "--intercept", "-o", str(model)]) == 0
    told = capsys.readouterr()
    assert not told.err
    C, ratio = map(float, re.search(r"scikit-learn: C = ([0-9.e-]+), l1_ratio = ([0-9.e-]+)", told.out).groups())
    peer = LogisticRegression(C=C, l1_ratio=ratio, solver="saga", tol=1e-10, max_iter=100_000).fit(X, y)
    with np.load(model) as ours:
        np.testing.assert_allclose(ours["coef"], peer.coef_[0], atol=1e-3)
        np.testing.assert_array_equal(ours["coef"] == 0.0, peer.coef_[0] == 0.0)
        left = np.count_nonzero(ours["coef"])
    assert re.search(rf"weights other than zero +{left}\b", told.out)
    assert left < X.shape[1]


@pytest.mark.parametrize(
    ("loss", "solver"), [("logistic", "prox-lbfgs"), ("softmax", "prox-lbfgs"), ("hinge", "adagrad-cmd")]
)
def test_fit_with_l1_converges_on_features_in_different_units_where_the_loss_is_smooth(tmp_path, capsys, loss, solver):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5)) * [1e-3, 1.0, 10.0, 1.0, 1e3] + [0.0, 0.0, 100.0, 0.0, 0.0]
    np.savez(tmp_path / "data.npz", X=X, y=np.sign(X[:, 1] - X[:, 3] + rng.standard_normal(60)))
    arguments = ["fit", str(tmp_path / "data.npz"), "--l1", "1e-3", "--loss", loss, "--intercept", "--virtual", "3"]
    assert main([*arguments, "-o", str(tmp_path / "model.npz")]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"hpcopt {solver}: ")
    assert told.err.startswith("hpcopt: warning: no test tells") if loss == "hinge" else not told.err


def test_fit_of_the_squared_loss_agrees_with_scikit_learns_ridge(tmp_path, labelled):
    path, X, y = labelled
    model = tmp_path / "model.npz"
    arguments = ["fit", str(path), "--loss", "squared", "--l2", "0.1", "--intercept", "-o", str(model), "--quiet"]
    assert main(arguments) == 0
    peer = Ridge(alpha=200 * 0.1, tol=1e-12).fit(X, y)
    with np.load(model) as ours:
        np.testing.assert_allclose(ours["coef"], peer.coef_, rtol=1e-6)
        np.testing.assert_allclose(ours["intercept"], peer.intercept_, rtol=1e-6)


def test_fit_of_a_network_stops_where_going_on_gains_little(tmp_path, capsys):
    X, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "digits.npz", X=X / 16.0, y=y)
    arguments = ["--model", "mlp", "--set", "problem.hidden=[16]", "-o", str(tmp_path / "model.npz")]
    assert main(["fit", str(tmp_path / "digits.npz"), *arguments]) == 0
    shown = capsys.readouterr()
    assert "the gradient norm fell below the tolerance" in shown.out
    assert not shown.err


def test_fit_with_local_newton_ends_in_giant_at_the_optimum(tmp_path, labelled):
    path, _, _ = labelled
    objectives = []
    for solver in ("newton-cg", "local-newton"):
        model = tmp_path / f"{solver}.npz"
        arguments = ["fit", str(path), "--solver", solver, "--virtual", "4", "-o", str(model), "--quiet"]
        assert main(arguments) == 0
        objectives.append(json.loads(str(np.load(model)["meta"]))["objective"])
    assert objectives[1] == pytest.approx(objectives[0], rel=1e-10)


def test_predict_writes_the_labels_and_prints_the_accuracy(tmp_path, labelled, capsys):
    path, X, y = labelled
    model = tmp_path / "model.npz"
    assert main(["fit", str(path), "--intercept", "-o", str(model)]) == 0
    capsys.readouterr()
    assert main(["predict", str(model), str(path), "-o", str(tmp_path / "predicted")]) == 0
    predicted = np.loadtxt(tmp_path / "predicted")
    assert set(predicted) == {3.0, 7.0}
    accuracy = float(re.search(r"accuracy ([\d.]+)", capsys.readouterr().out)[1])
    assert accuracy == pytest.approx(np.mean(predicted == y), abs=1e-6)
    np.savez(tmp_path / "unlabelled.npz", X=X)
    assert main(["predict", str(model), str(tmp_path / "unlabelled.npz")]) == 0
    told = capsys.readouterr()
    np.testing.assert_array_equal([float(line) for line in told.out.split()], predicted)
    assert told.err == ""


def test_a_scaled_runs_model_predicts_from_the_features_as_they_are(tmp_path, spec, capsys):
    out = tmp_path / "out"
    assert main(["run", spec(ONE), "--virtual", "2", "--quiet", "--out", str(out)]) == 0
    X, y = load_breast_cancer(return_X_y=True)
    np.savez(tmp_path / "raw.npz", X=X, y=y)
    assert main(["predict", str(out / "model.npz"), str(tmp_path / "raw.npz")]) == 0
    assert float(re.search(r"accuracy ([\d.]+)", capsys.readouterr().err)[1]) > 0.97


def test_plot_draws_runs_and_comparisons(tmp_path, spec, capsys):
    out = tmp_path / "out"
    assert main(["compare", spec(MANY), "--virtual", "3", "--quiet", "--out", str(out)]) == 0
    (out / "compare.png").unlink()
    assert main(["plot", str(out)]) == 0
    assert (out / "compare.png").exists()
    run = next(out.glob("*/run.json")).parent
    assert main(["plot", str(run), "-o", str(tmp_path / "one.png")]) == 0
    assert (tmp_path / "one.png").exists()
    assert main(["plot", str(tmp_path)]) == 1
    assert "no run here" in capsys.readouterr().err


KINDS = [("solvers", SOLVERS), ("models", MODELS), ("losses", LOSSES), ("penalties", PENALTIES)]


@pytest.mark.parametrize(("kind", "registry"), KINDS)
def test_list_names_all_of_a_kind_with_a_line_each(kind, registry, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(registry)


@pytest.mark.parametrize("name", [*SOLVERS, *MODELS, *LOSSES, *PENALTIES])
def test_show_tells_parameters_defaults_needs_and_paper(name, capsys):
    assert main(["show", name]) == 0
    said = capsys.readouterr().out
    assert said.startswith(name)
    if name in SOLVERS:
        assert f"Paper: {SOLVERS[name].paper}" in said
        assert ("Needs: " in said) == bool(SOLVERS[name].needs.words())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "gaint"], "unknown name 'gaint'; did you mean 'giant'?"),
        (["list", "solver"], "unknown kind 'solver'; did you mean 'solvers'?"),
        (["bench", "kernel"], "unknown subject 'kernel'; did you mean 'kernels'?"),
        (["bench", "kernels", "--sparse"], "--sparse: a part of the subject solvers, got the subject kernels"),
        (["run", "nowhere.toml"], "nowhere.toml"),
        (["predict", "nowhere.npz", "x"], "nowhere.npz: no such file"),
        (["fit", "nowhere.txt", "-o", "nowhere/model.npz"], "nowhere/model.npz: there is no folder nowhere"),
        (["fit", "nowhere.txt", "-o", "model.npz", "--solver", "giannt"], "did you mean 'giant'?"),
        (["fit", "nowhere.txt", "-o", "."], "is a folder"),
        (
            ["fit", "nowhere.txt", "-o", "model.npz", "--l1", "0.1", "--solver", "giant"],
            'giant requires a smooth penalty, which "l1" is not; choose one of adagrad-cmd, ',
        ),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith("hpcopt: error: ")
    assert told.count("\n") == 1
    assert message in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "s.toml", "--virtual", "1_0"], "'--virtual': expected an integer >= 1, got 1_0"),
        (["run", "s.toml", "--virtual", "\u0663"], "'--virtual': expected an integer >= 1, got \u0663"),
        (["topology", "ring", "--nodes", "0"], "'--nodes': expected an integer >= 1, got 0"),
        (["topology", "ring", "--nodes", "3", "--seed", "1_0"], "'--seed': expected an integer >= 0, got 1_0"),
        (["fit", "a.svm", "-o", "m.npz", "--tol", "1_0"], "'--tol': expected a number, got 1_0"),
        (["fit", "a.svm", "-o", "m.npz", "--l1", "nan"], 'problem.l1: expected a number >= 0 or "c/n"'),
        (["fit", "a.svm", "-o", "m.npz", "--test-fraction", "1_0"], "'--test-fraction': expected a number, got 1_0"),
        (["fit", "a.svm", "-o", "m.npz", "--l2", "1_0"], 'problem.l2: expected a number >= 0 or "c/n"'),
        (["check", "s.py", "--limit", "0"], "'--limit': expected a number >= 0.1, got 0"),
    ],
)
def test_numbers_given_as_options_are_decimal(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in {1, 2}
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert message in told


def test_info_describes_the_environment(capsys):
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    for word in ("hpcopt", "MPI", "cores", "numba", "compiled kernels in"):
        assert word in said


def test_python_runs_a_dict_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    specification = {
        "data": {"source": "logistic", "rows": 300, "features": 4},
        "solver": {"name": "newton-cg"},
        "cluster": {"kind": "virtual", "workers": 3},
        "stop": {"gradient_norm": 1e-9},
    }
    run = hpcopt.run(specification)
    assert run.result["reached"]
    assert run.model.coef.shape == (4,)
    assert run.trace[0]["round"] == 0
    assert list(tmp_path.iterdir()) == []
    both = hpcopt.compare({**specification, "solver": {"name": "giant"}})
    assert [one.label for one in both.runs] == ["giant"]


@pytest.mark.parametrize("solver", list(SOLVERS))
def test_the_warm_up_before_a_wall_clock_run_changes_nothing(solver):
    specification = {
        "data": {"source": "logistic", "rows": 200, "features": 4},
        "solver": {"name": solver},
        "stop": {"rounds": 9},
    }
    real = hpcopt.run({**specification, "cluster": {"kind": "mpi"}})
    virtual = hpcopt.run({**specification, "cluster": {"kind": "virtual", "workers": 1}})
    np.testing.assert_array_equal(real.model.coef, virtual.model.coef)
    kept = ("round", "iteration", "bytes", "work", "objective")
    if SOLVERS[solver].needs.pace == "own":  # the wall clock determines their rows
        return
    assert [[row[key] for key in kept] for row in real.trace] == [[row[key] for key in kept] for row in virtual.trace]


GOSSIP = """
[data]
source = "least-squares"
rows = 60
features = 5
[problem]
loss = "squared"
[cluster]
kind = "virtual"
workers = 4
[solver]
name = "choco-sgd"
gamma = 0.3
compressor = { name = "top-k", k = 2 }
[stop]
rounds = 12
target = 0.0
target_on = "worst_objective"
"""


def test_a_gossip_run_leaves_its_topology_and_what_each_edge_carried(tmp_path, spec, capsys):
    out = tmp_path / "out"
    assert main(["run", spec(GOSSIP), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "topology: ring, 4 nodes" in said
    assert "objective of the worst node's model" in said
    edges = np.loadtxt(out / "edges.csv", delimiter=",", skiprows=1, dtype=int)
    assert {tuple(edge) for edge in edges[:, :2]} == {(i, j) for i in range(4) for j in ((i - 1) % 4, (i + 1) % 4)}
    described = json.loads((out / "run.json").read_text())
    reduced = 2 * 3 * 8  # the largest smoothness
    assert edges[:, 2].sum() + reduced == described["result"]["bytes"]
    assert described["specification"]["cluster"]["topology"]["name"] == "ring"
    assert (out / "topology.png").exists()
    assert main(["plot", str(out), "-o", str(tmp_path / "picture.svg")]) == 0
    pictures = capsys.readouterr().out.split()
    assert pictures == [str(tmp_path / name) for name in ("picture.svg", "picture-topology.svg")]
    assert all((tmp_path / name).exists() for name in ("picture.svg", "picture-topology.svg"))


def test_what_a_theory_does_not_cover_runs_if_the_person_insists(tmp_path, spec, capsys):
    out = tmp_path / "out"
    assert main(["run", spec(GOSSIP), "--out", str(out), "--quiet"]) == 0
    before = (out / "run.json").read_text()
    arguments = ["run", spec(GOSSIP), "--out", str(out), "--quiet", "--overwrite"]
    arguments += ["--set", 'cluster.topology={name="star",weights="uniform"}']
    assert main(arguments) == 1
    assert "choco-sgd: requires symmetric weights; those of star (uniform) are not (--force" in capsys.readouterr().err
    assert (out / "run.json").read_text() == before  # rejected before the old run is modified
    assert main([*arguments, "--force"]) == 0


def test_a_solver_that_minimises_nothing_fits_nothing(tmp_path, labelled, capsys):
    assert main(["fit", str(labelled[0]), "--solver", "choco-gossip", "-o", str(tmp_path / "m.npz")]) == 1
    assert "choco-gossip: does not minimise" in capsys.readouterr().err
