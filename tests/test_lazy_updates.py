"""Lazy updates of AdaGrad on sparse rows: the iterates are those of updates of all coordinates in all steps."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse

from hpcopt.compression import COMPRESSORS
from hpcopt.compression.identity import Identity
from hpcopt.conformance.problems import Spread
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.kernels import adaptive, lazy
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.penalties import PENALTIES, Penalty
from hpcopt.problems.problem import Problem
from hpcopt.solvers import SOLVERS, quantized_adagrad
from tests.test_resume import assert_same_end

TERNARY = COMPRESSORS["ternary"]()
PENALISED = {
    "none": {},
    "l1": {"weight": 0.004},
    "l2": {"weight": 0.02},
    "elastic-net": {"l1": 0.003, "l2": 0.02},
}
LISTING = [
    Identity(),
    TERNARY,
    *(COMPRESSORS["threshold-ternary"](rule="exact", unbiased=unbiased) for unbiased in (False, True)),
    COMPRESSORS["nonzeros"](),
]
SOLVED = {
    "adagrad-cmd": {},
    "adagrad-rda": {},
    "ftrl": {"compressor": COMPRESSORS["identity"]()},
    "qcmd-adagrad": {},
    "qrda-adagrad": {},
}


@dataclass(frozen=True)
class Rare(Spread):
    """Sparse rows whose last feature is one in all of them: its weight is an intercept, which is not penalised."""

    penalty: Penalty

    @property
    def problem(self):
        formulation = Formulation(Linear(intercept=True), LOSSES[self.loss](), self.penalty)
        return Problem(formulation, formulation.sized(self.d - 1), total=len(self.y), entries=self.X.nnz)


def rare(penalty="l1", d=600, sizes=(30, 25, 20)):
    """Return rows with 3 of d - 1 features each, of which the first are common."""
    rng, n = np.random.default_rng(0), sum(sizes)
    X = np.zeros((n, d))
    columns = np.minimum(rng.geometric(0.02, (n, 3)) - 1, d - 2)
    np.put_along_axis(X, columns, rng.standard_normal((n, 3)), axis=1)
    X[:, -1] = 1.0
    y = np.sign(X[:, :20].sum(axis=1) + 0.3 + 0.1 * rng.standard_normal(n))
    return Rare("logistic", scipy.sparse.csr_array(X), y, 0.0, sizes, PENALTIES[penalty](**PENALISED[penalty]))


def made(name, **parameters):
    return SOLVERS[name](**SOLVED[name], batch=4, delta=1e-3, **parameters)


def step_of_all(rule, places, g, x, records, *rest):
    """Make the step of `lazy.step` at all coordinates, with the model in the place of the start."""
    eta, delta, t, l1, c, penalised = rest
    v, z = (records[:, k].copy() for k in ((1, 0) if rule == adaptive.MIRROR else (0, 1)))
    whole = np.zeros(len(x))
    whole[places] = g
    for part, penalty in ((slice(penalised), (l1, c)), (slice(penalised, None), (0.0, 0.0))):
        adaptive.step(rule, x[part], whole[part], v[part], z[part], eta, delta, float(t), *penalty)
    records[:, :2] = np.stack((z, v) if rule == adaptive.MIRROR else (v, z), axis=1)


def stored(rule, places, x, *rest):
    """Fill the last argument like `lazy.current` after `step_of_all`."""
    rest[-1][:] = x[places]


@pytest.fixture
def always_eager(monkeypatch):
    """A function that makes all further runs update all coordinates in all steps."""
    return lambda: monkeypatch.setattr(quantized_adagrad, "RARE", np.inf)


@pytest.mark.parametrize("penalty", PENALISED)
@pytest.mark.parametrize("name", SOLVED)
def test_the_iterates_are_those_of_steps_of_all_coordinates(monkeypatch, always_eager, name, penalty):
    spread, solver = rare(penalty), made(name)
    ours = solve(solver, spread, iterations=30)
    assert ours.outcome.state.lazy
    assert not ours.outcome.state.w.any()  # the start
    with monkeypatch.context() as patched:
        patched.setattr(lazy, "step", step_of_all)
        patched.setattr(lazy, "current", stored)
        same = solve(solver, spread, iterations=30)
    np.testing.assert_allclose(ours.w, same.w, rtol=1e-12, atol=1e-15)
    objectives = [[row["objective"] for row in run.rows] for run in (ours, same)]
    np.testing.assert_allclose(*objectives, rtol=1e-12)
    always_eager()
    eager = solve(solver, spread, iterations=30)
    assert not eager.outcome.state.lazy
    rounding = 1e-12 if isinstance(solver.compressor, Identity) else 1e-4  # the scales are float32
    np.testing.assert_allclose(ours.w, eager.w, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("name", ["adagrad-cmd", "ftrl"])
def test_a_start_that_is_not_zero_is_moved_as_by_steps_of_all_coordinates(always_eager, name):
    spread, start = rare("elastic-net"), np.linspace(-1.0, 1.0, 600)
    ours = solve(made(name), spread, start=start, iterations=30)
    always_eager()
    eager = solve(made(name), spread, start=start, iterations=30)
    assert ours.outcome.state.lazy > eager.outcome.state.lazy
    np.testing.assert_allclose(ours.w, eager.w, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", SOLVED)
def test_measuring_changes_no_bit_and_all_nodes_have_one_model(name):
    spread, solver = rare(), made(name)
    whole, silent = (solve(solver, spread, iterations=9, record_every=every) for every in (1, 0))
    for outcome in (*whole.outcomes, *silent.outcomes):
        np.testing.assert_array_equal(outcome.w, whole.w)


@pytest.mark.parametrize("penalty", ["l1", "elastic-net"])
@pytest.mark.parametrize(
    ("name", "compressor"),
    [(name, c) for name in SOLVED for c in LISTING if not name.startswith("adagrad") or isinstance(c, Identity)],
    ids=str,
)
def test_a_run_goes_on_from_any_yield_to_the_same_end(name, compressor, penalty):
    spread, kept, iterations = rare(penalty, d=300, sizes=(8, 7, 5)), Kept(), 4
    solver = dataclasses.replace(made(name), compressor=compressor)

    def run(**checkpoints):
        return solve(solver, spread, start=np.linspace(-1.0, 1.0, 300), iterations=iterations, **checkpoints)

    expected = run()
    assert expected.outcome.state.lazy
    assert_same_end(run(checkpoints=kept), expected)
    assert list(kept.after) == list(range(1, iterations))
    for count, snapshots in kept.after.items():
        assert_same_end(run(checkpoints=going_on(snapshots)), expected, skipped=count + 1)


@pytest.mark.parametrize("name", ["qcmd-adagrad", "ftrl"])
def test_gradients_that_no_message_can_hold_are_sent_as_zeros(name):
    spread = rare()
    large = dataclasses.replace(spread, X=1e39 * spread.X)
    solved = solve(dataclasses.replace(made(name), compressor=TERNARY), large, iterations=3)
    assert solved.outcome.state.lazy
    assert not solved.w.any()


@pytest.mark.parametrize("name", ["adagrad-rda", "qrda-adagrad"])
def test_the_ledger_shows_the_declared_bytes_and_few_of_them(always_eager, name):
    spread, solver, sizes = rare(), made(name), []
    for lazily in (True, False):
        solved = solve(solver, spread, iterations=7)
        encoded = sum(sum(solver.messages(outcome.state)) for outcome in solved.outcomes[1:])
        assert solved.outcome.state.lazy == lazily
        assert solved.rows[-1]["bytes"] == encoded + 32 * solver.doubles(solved.outcome.state, spread.d)
        sizes.append(solved.rows[-1]["bytes"])
        always_eager()
    if name == "qrda-adagrad":  # its dense gradients, too, are coded as lists
        assert sizes[0] == sizes[1]
    else:
        assert sizes[0] < 0.1 * sizes[1]


def test_they_are_chosen_only_where_they_pay_and_are_exact():
    def chosen(solver, spread):
        return solve(solver, spread, iterations=0).outcome.state.lazy

    dense = rare()
    assert chosen(made("qcmd-adagrad"), dense)
    assert not chosen(made("qcmd-adagrad", error_feedback="ef"), dense)
    assert not chosen(made("qcmd-adagrad", exchange="hub"), dense)
    assert not chosen(SOLVERS["qcmd-adagrad"](batch=0), dense)
    assert not chosen(SOLVERS["qcmd-adagrad"](batch=20), dense)  # 3 nodes * 20 rows * 4 entries > 600 / RARE
    assert not chosen(SOLVERS["qcmd-adagrad"](batch=4, compressor=COMPRESSORS["top-k"](k=4)), dense)


@pytest.mark.parametrize("nonzeros", [0, 1, 40, 900])
@pytest.mark.parametrize(
    "compressor",
    [
        *(COMPRESSORS["threshold-ternary"](rule=rule) for rule in ("all", "nonzero", "exact")),
        COMPRESSORS["threshold-ternary"](rule="nonzero", unbiased=True),
        COMPRESSORS["ternary"](),
        COMPRESSORS["nonzeros"](),
    ],
)
def test_a_sparse_vector_has_the_message_of_the_dense_one(compressor, nonzeros):
    d, rng = 5000, np.random.default_rng(nonzeros)
    places = np.sort(rng.choice(d, nonzeros, replace=False))
    values, dense = rng.standard_normal(nonzeros), np.zeros(d)
    dense[places] = values
    message = compressor.encode_list((places, values), d, 3)
    decoded = compressor.decode(message, np.empty(d))
    found, numbers = compressor.decode_list(message, d)
    np.testing.assert_array_equal(found, np.flatnonzero(decoded))
    np.testing.assert_array_equal(numbers, decoded[found])
    if not compressor.randomised:
        whole = compressor.encode(dense, 3)
        assert len(message) == len(whole)
        np.testing.assert_allclose(decoded, compressor.decode(whole, np.empty(d)), rtol=1e-6)


@pytest.mark.parametrize("unbiased", [True, False])
def test_random_levels_of_a_sparse_vector_are_unbiased(unbiased):
    compressor = COMPRESSORS["threshold-ternary"](rule="nonzero", unbiased=True) if unbiased else TERNARY
    places, values, sent = np.arange(0, 5000, 250), np.random.default_rng(0).standard_normal(20), np.zeros(5000)
    draws = 4000
    for key in range(draws):
        sent += compressor.decode(compressor.encode_list((places, values), 5000, key), np.empty(5000)) / draws
    np.testing.assert_allclose(sent[places], values, atol=4 * np.abs(values).max() / np.sqrt(draws))
    assert np.count_nonzero(sent) <= 20
