"""AdaGrad with a sharded model: every node updates its own coordinates; the iterates are those of an all-gather."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import hpcopt
from hpcopt.compression import COMPRESSORS
from hpcopt.compression.identity import Identity
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.errors import InputError
from hpcopt.kernels import owners
from hpcopt.solvers import SOLVERS
from tests.test_lazy_updates import PENALISED, SOLVED, made, rare

SIZES = [(75,), (30, 45), (30, 25, 20), (40, 0, 20, 15)]
UNCOMPRESSED = [name for name in SOLVED if isinstance(made(name).compressor, Identity)]


@pytest.mark.parametrize("sizes", SIZES, ids=len)
@pytest.mark.parametrize("penalty", PENALISED)
@pytest.mark.parametrize("name", UNCOMPRESSED)
def test_uncompressed_the_iterates_are_those_of_an_all_gather(name, penalty, sizes):
    spread = rare(penalty, sizes=sizes)
    gathered, sharded = (solve(made(name, exchange=way), spread, iterations=20) for way in ("all-gather", "sharded"))
    for outcome in sharded.outcomes:
        np.testing.assert_array_equal(outcome.w, gathered.w)
    assert [row["objective"] for row in sharded.rows] == [row["objective"] for row in gathered.rows]
    assert gathered.w.any()


def test_a_start_that_is_not_zero_and_dense_rows_have_them_too():
    start = np.linspace(-1.0, 1.0, 600)
    for batch in (0, 4):
        solvers = [SOLVERS["adagrad-cmd"](batch=batch, exchange=way) for way in ("all-gather", "sharded")]
        gathered, sharded = (solve(solver, rare("elastic-net"), start=start, iterations=20) for solver in solvers)
        assert gathered.outcome.state.lazy == (batch > 0)
        np.testing.assert_allclose(sharded.w, gathered.w, rtol=1e-12, atol=1e-15)


def test_each_owner_gets_a_message_with_scales_of_its_own():
    compressor = COMPRESSORS["threshold-ternary"](rule="nonzero")
    spread, step = rare("none", sizes=(20, 20)), 0.5
    parameters = {"batch": 0, "compressor": compressor, "step_size": step, "delta": 1e-3}
    sharded = solve(SOLVERS["qcmd-adagrad"](exchange="sharded", **parameters), spread, iterations=1)
    mean, ends = np.zeros(spread.d), np.cumsum([0, *spread.sizes])
    for first, last in pairwise(ends):
        rows, y = spread.X[first:last], spread.y[first:last]
        gradient = -(rows.T @ (0.5 * y)) / len(y)  # of the logistic loss at 0
        for owner in (0, 1):
            own = gradient[owner::2].copy()
            mean[owner::2] += 0.5 * compressor.decode(compressor.encode(own), np.empty_like(own))
    np.testing.assert_allclose(sharded.w, -step * mean / (1e-3 + np.abs(mean)), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["adagrad-cmd", "qrda-adagrad"])
def test_measuring_and_resuming_change_no_bit_and_all_nodes_have_one_model(name):
    spread, solver, kept = rare(), made(name, exchange="sharded"), Kept()
    whole = solve(solver, spread, iterations=6, checkpoints=kept)
    silent = solve(solver, spread, iterations=6, record_every=0)
    runs = [solve(solver, spread, iterations=6, checkpoints=going_on(snapshots)) for snapshots in kept.after.values()]
    assert len(runs) == 5
    for outcome in (outcome for run in (whole, silent, *runs) for outcome in run.outcomes):
        np.testing.assert_array_equal(outcome.w, whole.w)
    for run in (silent, *runs):
        assert [run.rows[-1][key] for key in ("bytes", "round", "work")] == [
            whole.rows[-1][key] for key in ("bytes", "round", "work")
        ]


@pytest.mark.parametrize("name", ["adagrad-rda", "qrda-adagrad"])
def test_the_ledger_shows_the_declared_bytes_and_three_rounds_a_step(name):
    spread, solver = rare(), made(name, exchange="sharded")
    solved = solve(solver, spread, iterations=7)
    up = [solver.messages(outcome.state)[0] for outcome in solved.outcomes]
    assert solved.rows[-1]["bytes"] == sum(up) == solved.rows[-1]["bytes_up"]
    assert min(up) > 0
    assert solved.rows[-1]["round"] == 3 * 7


def test_neither_memory_nor_messages_of_a_node_grow_with_the_number_of_nodes():
    few, many = (solve(made("adagrad-rda", exchange="sharded"), rare(sizes=(12,) * k), iterations=10) for k in (2, 6))
    assert [len(outcome.state.records) for outcome in few.outcomes] == [300, 300]
    assert [len(outcome.state.records) for outcome in many.outcomes] == [100] * 6
    per_node = [run.rows[-1]["bytes"] / len(run.outcomes) for run in (few, many)]
    assert per_node[1] < 2.0 * per_node[0]  # (5/6) / (1/2) of the same coordinates belong to others
    gathered = [solve(made("adagrad-rda"), rare(sizes=(12,) * k), iterations=10) for k in (2, 6)]
    assert gathered[1].rows[-1]["bytes"] / 6 > 3.0 * gathered[0].rows[-1]["bytes"] / 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"compressor": COMPRESSORS["threshold-ternary"](), "error_feedback": "ef"},
            'requires error_feedback = "none"',
        ),
        ({"compressor": COMPRESSORS["top-k"](k=4)}, "requires a compressor of lists"),
        ({"downlink": "gradient"}, 'requires exchange = "hub"'),
    ],
)
def test_what_a_shard_cannot_do_is_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        SOLVERS["qcmd-adagrad"](exchange="sharded", **parameters)


def test_penalties_without_a_threshold_and_more_nodes_than_coordinates_are_refused():
    solver, data = {"name": "adagrad-cmd", "exchange": "sharded"}, {"source": "logistic", "rows": 20, "features": 4}
    ball = {"penalty": {"name": "l2-ball", "radius": 1.0}}
    for problem, workers, message in (
        (ball, 2, 'solver.exchange: .*requires penalty "none", "l1", "l2" or "elastic-net"; got "l2-ball"'),
        ({"l1": 0.1}, 5, "requires a coordinate for each node; got 4 on 5 nodes"),
    ):
        cluster, stop = {"kind": "virtual", "workers": workers}, {"rounds": 3}
        with pytest.raises(InputError, match=message):
            hpcopt.run({"data": data, "problem": problem, "solver": solver, "cluster": cluster, "stop": stop})


@pytest.mark.parametrize("size", [1, 2, 3, 7, 200])
@pytest.mark.parametrize("count", [0, 1, 90])
def test_coordinates_are_divided_in_turn(size, count):
    places = np.sort(np.random.default_rng(count).choice(1000, count, replace=False))
    counts, own, where = np.empty(size, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    owners.divide(places, size, counts, own, where)
    for rank, part in enumerate(np.split(own, np.cumsum(counts)[:-1])):
        np.testing.assert_array_equal(part, places[places % size == rank] // size)
    np.testing.assert_array_equal(own[where], places // size)
