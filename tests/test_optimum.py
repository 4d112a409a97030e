"""Optima that are computed: right, certified, counted nowhere, and remembered."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import Lasso

import hpcopt
from hpcopt.cli.main import main
from hpcopt.data import from_arrays
from hpcopt.errors import InputError
from hpcopt.fabric.conditions import PLAIN
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.kernels.cache import Place
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.targets import Targets
from hpcopt.results import folder as folders
from hpcopt.runs import optimum as module
from hpcopt.runs import remembered
from hpcopt.runs.certificate import certify
from hpcopt.runs.goal import objective_at_start
from hpcopt.runs.prepare import prepare
from hpcopt.spec.specification import specification_from
from tests.launch import python_ranks, requires_mpi

ROWS, FEATURES = 60, 4
RNG = np.random.default_rng(0)
X = RNG.standard_normal((ROWS, FEATURES)) * [1.0, 10.0, 0.1, 1.0]
SCORES = X @ [1.0, -0.1, 3.0, 0.0] + 0.5 * RNG.standard_normal(ROWS) + 0.3
LABELS = {
    Targets.REAL: SCORES,
    Targets.SIGNS: np.sign(SCORES),
    Targets.CLASSES: np.digitize(SCORES, [-0.5, 0.7]).astype(float),
}
GROUPS = {"name": "group-lasso", "weight": 0.02, "groups": [[0, 2], [1, 3]]}
VIRTUAL = {"kind": "virtual", "workers": 5}


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(remembered, "place", lambda: Place(None, ()))
    monkeypatch.setattr("hpcopt.runs.execute.draw_convergence", lambda *_: None)


def spec(problem, **tables):
    simple = {"solver": {"name": "local-sgd", "step_size": 1e-3}, "stop": {"rounds": 2}}
    return {"data": {"source": "arrays"}, "problem": {"optimum": "auto", **problem}, **simple, **tables}


def rows_for(problem):
    return from_arrays(X, LABELS[LOSSES[problem.get("loss", "logistic")].targets])


def run(problem, **tables):
    problem = {"optimum": "auto", **problem}
    if problem.get("penalty") or problem.get("l1"):
        tables.setdefault("solver", {"name": "prox-lbfgs"})
    return hpcopt.run(spec(problem, **tables), rows=rows_for(problem))


def logistic(w, l2):
    z = X @ w[:FEATURES] + w[FEATURES:].sum()
    return np.mean(np.logaddexp(0.0, -z * LABELS[Targets.SIGNS])) + 0.5 * l2 * w[:FEATURES] @ w[:FEATURES]


def softmax(w, l2):
    W, b = w[: 3 * FEATURES].reshape(FEATURES, 3), w[3 * FEATURES :]
    z = X @ W + b
    own = z[np.arange(ROWS), LABELS[Targets.CLASSES].astype(int)]
    return np.mean(np.logaddexp.reduce(z, axis=1) - own) + 0.5 * l2 * np.sum(W**2)


def lowest(f, size, l2):
    found = minimize(f, np.zeros(size), args=(l2,), method="BFGS", options={"gtol": 1e-7})
    return minimize(f, found.x, args=(l2,), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}).fun


def ridge(l2, *, intercept):
    A = np.column_stack([X, np.ones(ROWS)]) if intercept else X
    ridge = l2 * np.diag([1.0] * FEATURES + [0.0] * intercept)
    w = np.linalg.solve(A.T @ A / ROWS + ridge, A.T @ SCORES / ROWS)
    return 0.5 * np.mean((A @ w - SCORES) ** 2) + 0.5 * w @ ridge @ w


def lasso(l1):
    w = Lasso(alpha=l1, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, SCORES).coef_
    return 0.5 * np.mean((X @ w - SCORES) ** 2) + l1 * np.abs(w).sum()


KNOWN = [
    ({"l2": 0.1}, lambda: lowest(logistic, 4, 0.1)),
    ({"l2": 0.1, "intercept": True}, lambda: lowest(logistic, 5, 0.1)),
    ({"loss": "softmax", "l2": 0.1, "intercept": True}, lambda: lowest(softmax, 15, 0.1)),
    ({"loss": "squared", "l2": 0.1, "intercept": True}, lambda: ridge(0.1, intercept=True)),
    ({"loss": "squared", "l2": 0.0}, lambda: ridge(0.0, intercept=False)),
    ({"loss": "squared", "l1": 0.05}, lambda: lasso(0.05)),
    ({"loss": "huber", "delta": 1e3, "l2": 0.1}, lambda: ridge(0.1, intercept=False)),  # the errors are smaller
]


@pytest.mark.parametrize(("problem", "reference"), KNOWN)
def test_it_is_the_minimum_on_one_node_and_on_several(problem, reference):
    one, several = (run(problem, **tables).goal.optimum for tables in ({}, {"cluster": VIRTUAL}))
    assert one == pytest.approx(reference(), rel=1e-9)
    assert several == pytest.approx(one, rel=1e-12)


CONVEX = [
    *({"loss": loss, "l2": 0.05} for loss in ("logistic", "squared", "huber", "squared-hinge", "softmax")),
    *({"penalty": penalty} for penalty in (GROUPS, {"name": "simplex"}, {"name": "l2-ball", "radius": 0.5})),
    {"l1": 0.02},
    {"l1": 0.02, "l2": 0.02},
    {"penalty": {"name": "box", "lower": -0.2, "upper": [0.1, 0.1, 0.3, 0.0]}},
    {"loss": "squared", "l2": 0.0},
    {"loss": "squared", "penalty": {"name": "box", "lower": 0.0}},
]


@pytest.mark.parametrize("intercept", [False, True], ids=["without", "intercept"])
@pytest.mark.parametrize("problem", CONVEX, ids=str)
def test_no_bound_is_smaller_than_the_distance_to_the_minimum(problem, intercept):
    problem = {**problem, "intercept": intercept, "optimum": "auto"}
    tables = spec(problem, solver={"name": "prox-lbfgs"})
    prepared = prepare(specification_from(tables), SoloCluster(), PLAIN, rows_for(problem))
    best, model = run(problem).goal.optimum, prepared.problem.model
    bounds = 0
    for place, size in enumerate((0.0, 1e-6, 1e-3, 0.1, 1.0, 30.0)):
        w = size * np.random.default_rng(place).standard_normal(model.size)
        w[: model.penalised] = prepared.problem.formulation.penalty.nearest(w[: model.penalised])
        value = objective_at_start(replace(prepared, w0=w))
        for accepted in (1e300, 0.0):  # the first bound that there is, and the best one
            found = certify(prepared, w, value, accepted)
            if found.words.startswith("bound"):
                assert (value - best) * (1 - 1e-9) <= found.gap < np.inf
                bounds += 1
    assert bounds >= 6


def test_nothing_of_it_counts(tmp_path):
    plain = run({"optimum": 0.1}, cluster=VIRTUAL)
    auto = run({"optimum": "auto"}, cluster=VIRTUAL)
    assert auto.records == plain.records
    assert auto.result == plain.result


@pytest.mark.parametrize("key", ["suboptimality", "relative"])
def test_targets_and_run_json_have_it(tmp_path, key):
    solver, stop = {"name": "newton-cg"}, {"target": {key: 1e-3}}
    ended = hpcopt.run(spec({}, solver=solver, stop=stop), rows=rows_for({}), folder=tmp_path / "run")
    assert ended.result["status"] == "target"
    described = json.loads((tmp_path / "run" / folders.RUN).read_text())
    first, best = ended.records[0].objective, described["optimum"]["value"]
    assert described["target"] == pytest.approx(best + 1e-3 * (1.0 if key == "suboptimality" else first - best))
    assert described["optimum"]["certificate"] == "bound by strong convexity"
    assert 0.0 <= described["optimum"]["gap"] <= 1e-9 * best
    assert described["optimum"]["how"].startswith("newton-cg, ")
    assert described["specification"]["problem"]["optimum"] == "auto"
    assert described["phases"]["optimum"] > 0.0


def test_it_is_announced(tmp_path, capsys):
    file = tmp_path / "spec.toml"
    file.write_text('data.source = "breast-cancer"\nproblem.optimum = "auto"\nsolver.name = "lbfgs"\nstop.rounds = 3\n')
    assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out.splitlines()
    place = told.index("computing the optimum: newton-cg on all rows")
    assert told[place + 1].startswith("optimum: 0.103976155993 (newton-cg, ")
    assert main(["run", str(file), "--out", str(tmp_path / "out"), "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_it_is_remembered_for_the_same_problem_only(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "place", lambda: Place(tmp_path / "kernels", ()))
    first = run({"l2": 0.1}).goal.optimum
    (file,) = (tmp_path / "optima").iterdir()
    for problem, tables in (
        ({"l2": 0.2}, {}),
        ({"l2": 0.1, "loss": "squared"}, {}),
        ({"l2": 0.1, "intercept": True}, {}),
        ({"l2": 0.1}, {"data": {"source": "arrays", "scale": "standard"}}),
        ({"l2": 0.1}, {"data": {"source": "arrays", "storage": "f32"}}),
        ({"l2": 0.1}, {"data": {"source": "arrays", "rows": 59}}),
    ):
        assert run(problem, **tables).goal.optimum != first
    assert len(list((tmp_path / "optima").iterdir())) == 7
    file.write_text("{")
    assert run({"l2": 0.1}).goal.optimum == first
    monkeypatch.setattr(module, "_minimum", None)
    again = run({"l2": 0.1}, cluster=VIRTUAL, seed=1)
    assert again.goal.optimum == first


def test_what_was_edited_or_moved_is_computed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "place", lambda: Place(tmp_path / "kernels", ()))
    first, other = run({"l2": 0.1}).goal.optimum, run({"l2": 0.2}).goal.optimum
    files = {json.loads(path.read_text())["optimum"]["value"]: path for path in (tmp_path / "optima").iterdir()}
    file, elsewhere = files[first], files[other]
    kept = file.read_text()
    file.write_text(kept.replace(f"{first}", f"{first + 1.0}"))
    assert run({"l2": 0.1}).goal.optimum == first
    assert file.read_text() == kept
    file.write_text(elsewhere.read_text())
    assert run({"l2": 0.1}).goal.optimum == first


@pytest.mark.parametrize("there", ["{}", '{"value": "x", "how": "y"}', "[]", "\x00"])
def test_what_is_damaged_or_cannot_be_written_is_computed(tmp_path, monkeypatch, there):
    monkeypatch.setattr(remembered, "place", lambda: Place(tmp_path / "kernels", ()))
    first = run({}).goal.optimum
    (file,) = (tmp_path / "optima").iterdir()
    file.write_text(there)
    assert run({}).goal.optimum == first
    monkeypatch.setattr(remembered, "place", lambda: Place(Path("/dev/null/kernels"), ()))
    assert run({}).goal.optimum == first


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({"model": "mlp"}, r'"auto" requires a convex objective, and model "mlp" is not convex; give a number'),
        ({"loss": "relu", "start": "ones"}, r'"auto" requires a convex objective, and loss "relu" is not convex; give'),
        ({"loss": "hinge"}, r'"auto" requires a smooth loss, and "hinge" is not smooth; give a number'),
        ({"optimum": "automatic"}, r'expected a number or "auto", got "automatic"; did you mean'),
        ({"optimum": [0.1]}, r'expected a number or "auto", got \[0.1\]'),
    ],
)
def test_what_cannot_be_certified_is_refused_before_the_data_are_read(problem, message):
    with pytest.raises(InputError, match=rf"^problem\.optimum: {message}"):
        hpcopt.run(spec(problem, data={"path": "missing.svm"}))


def test_an_optimum_without_a_certificate_is_refused():
    rows = from_arrays(np.random.default_rng(0).standard_normal((5, 20)), np.array([1.0, -1.0, 1.0, 1.0, -1.0]))
    with pytest.raises(InputError, match=r'^problem\.optimum: "auto" has no certificate here: a singular Hessian, and'):
        hpcopt.run(spec({"l2": 0.0}), rows=rows)


def test_an_optimum_that_takes_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 1e-9)
    with pytest.raises(
        InputError, match=r"^problem\.optimum: .*, by newton-cg, .* above it, where .* is accepted; give"
    ):
        run({"l2": 1e-6})


def test_data_without_errors_have_the_optimum_0():
    rows = from_arrays(X, X @ [1.0, -0.1, 3.0, 0.0])
    assert hpcopt.run(spec({"loss": "squared", "l2": 0.0}), rows=rows).goal.optimum == 0.0


@pytest.mark.mpi
@requires_mpi
def test_ranks_find_the_same_optimum():
    data, solver = {"source": "logistic", "rows": 90, "features": 5}, {"name": "prox-lbfgs"}
    problems = [{"intercept": True}, {"l1": 1e-2}, {"loss": "squared", "l2": 0.0}]
    specs = [spec(problem, data=data, solver=solver) for problem in problems]
    done = python_ranks(3, Path(__file__).parent / "ranks" / "optima.py", json.dumps(specs))
    assert done.returncode == 0, done.stderr
    alone = [hpcopt.run(each).goal.optimum for each in specs]
    np.testing.assert_allclose(json.loads(done.stdout), alone, rtol=1e-12)
