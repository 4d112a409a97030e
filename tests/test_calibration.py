"""A calibration of a real cluster, and the virtual cluster that takes as long as it did."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

import hpcopt
from hpcopt.calibration import kernels, measure, overhead
from hpcopt.calibration.kernels import Sample, fitted
from hpcopt.calibration.text import alpha_beta, toml
from hpcopt.errors import InputError
from hpcopt.fabric.calibration import Calibration, Kernel, Kernels, Links, Measured, Overhead
from hpcopt.fabric.join import join
from hpcopt.fabric.measured_network import MeasuredNetwork
from hpcopt.fabric.meter import Kind
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.spec.calibration_file import read_calibration
from tests.launch import python_ranks, requires_mpi

FAST = Kernel(call=1e-6, rates=((1e5, 4e9), (1e7, 2e9)), rest=((1e5, 1e9),))
LINE = ((8.0, 1e-5), (1008.0, 2e-5))
COLLECTIVES = ("sum", "broadcast", "broadcast_varying", "reduce", "gather", "gather_varying", "allgather", "alltoall")


def links(ranks=2, scale=1.0):
    curve = tuple((size, scale * seconds) for size, seconds in LINE)
    curves = dict.fromkeys((*COLLECTIVES, "exchange"), curve)
    return Links(ranks=ranks, latency=scale * 1e-5, bandwidth=1e8, barrier=scale * 1e-5, neighbours=1, **curves)


CALIBRATION = Calibration(
    measured=Measured(machine='two "hosts"', ranks=4, hosts=2, ranks_per_host=2),
    dense=Kernels(gradient=FAST, steps=replace(FAST, call=5e-6)),
    sparse=Kernels(gradient=FAST),
    overhead=Overhead(event=1e-6, number=1e-9),
    solvers={"sgd": Overhead(event=2e-6)},
    within=links(),
    between=links(4, 10.0),
)
SPEC = {
    "data": {"source": "logistic", "rows": 400, "features": 20},
    "problem": {"loss": "logistic", "l2": 1e-3},
    "solver": {"name": "sgd", "step_size": 0.1, "batch": 8},
    "cluster": {"kind": "virtual", "workers": 4},
    "stop": {"iterations": 10},
    "output": {"record_every": 0},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "here.toml"
    path.write_text(toml(CALIBRATION))
    return path


def seconds(file, **cluster):
    result = hpcopt.run({**SPEC, "cluster": {**SPEC["cluster"], "calibration": str(file), **cluster}}).result
    return result["seconds"]


def test_a_calibration_is_read_as_it_was_written(file):
    assert read_calibration(file) == CALIBRATION


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "call = 1e-06",
            'call = "fast"',
            "here.toml, line 13: dense.gradient.call: expected a number >= 0",
        ),
        ("[dense.gradient]", "[dense.gradients]", "here.toml, line 12: dense.gradients: unknown key"),
        ("latency = 1e-05", "latency = -1", "within.latency: expected a number >= 0, got -1"),
        (
            "sum = [[8, 1e-05]",
            "sum = [[8000, 1e-05]",
            "here.toml, line 46: within.sum: expected ascending numbers",
        ),
        ("event = 2e-06", "events = 2", "here.toml, line 37: solvers.sgd.events: unknown key"),
        ("barrier = 1e-05\n", "", "within.barrier: missing"),
        ("rest = [[100000, 1e+09]]", "rest = 1e+09", "here.toml, line 15: dense.gradient.rest: expected a list"),
        ("[measured]", "[measured", "here.toml, line 3, column 10: invalid TOML"),
    ],
)
def test_errors_in_a_calibration_name_file_line_and_key(file, before, after, message):
    file.write_text(file.read_text().replace(before, after, 1))
    with pytest.raises(InputError) as caught:
        read_calibration(file)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_run_with_a_missing_calibration_ends_with_the_name_of_the_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml: no such file"):
        seconds(tmp_path / "nowhere.toml")


def test_a_run_does_not_go_on_with_another_calibration(file, tmp_path):
    spec = {**SPEC, "cluster": {**SPEC["cluster"], "calibration": str(file)}}
    spec |= {"output": {"folder": str(tmp_path / "run")}, "checkpoint": {"every": 5}}
    hpcopt.run(spec)
    file.write_text(file.read_text() + "# the same numbers, but perhaps not\n")
    with pytest.raises(InputError, match=r"calibration\.sha256 was .*, and is "):
        hpcopt.run({**spec, "stop": {"iterations": 20}}, resume=True)


def test_the_time_of_a_run_is_that_of_its_calls_operations_and_own_code(file):
    pass_, rows = 10, 8
    read = 4.0 * 20 * rows
    kernel = 1e-6 + read / 4e9 + (20.0 * rows + 2.0 * 20) / 1e9  # "rows" is not in the file: as a pass
    bytes_ = 20 * 8
    reduction = 10 * (1e-5 + (bytes_ - 8) * 1e-8)  # over four ranks on two hosts, as measured
    assert seconds(file) == pytest.approx(pass_ * (kernel + reduction + 2 * 2e-6), rel=1e-9)
    assert seconds(file) == seconds(file)


def test_keys_of_the_cluster_replace_the_calibration(file):
    base = seconds(file)
    assert seconds(file, latency=0.0, bandwidth=1e15) < base / 5  # the links
    slow = seconds(file, flops=1e6)
    flops = 4.0 * 20 * 8 + 20.0 * 8 + 2.0 * 20
    assert slow - base == pytest.approx(10 * (flops / 1e6 - 1e-6 - 4.0 * 20 * 8 / 4e9 - 200e-9), rel=1e-9)


def test_work_has_the_speed_of_its_kind_storage_and_size():
    work = SimpleNamespace(kind="product", touched=1000.0, copied=0.0, flops=4500.0)
    assert FAST.seconds(work, 1) == pytest.approx(1e-6 + 4000 / 4e9 + 500 / 1e9)
    middle = (4000 / 4e9 + 4000 / 2e9) / 2  # half-way in the logarithm
    assert FAST.seconds(work, 10**6) == pytest.approx(1e-6 + middle + 500 / 1e9)
    assert FAST.seconds(work, 10**9) == pytest.approx(1e-6 + 4000 / 2e9 + 500 / 1e9)


def test_collectives_grow_from_the_ranks_measured_as_trees_do():
    measured = links(4)
    small, large = LINE[0][1], 1e-5 + 1e-8 * 1e6
    assert measured.collective("sum", 4, 8) == pytest.approx(small)
    assert measured.collective("sum", 64, 8) == pytest.approx(3 * small)  # 6 levels instead of 2
    assert measured.collective("sum", 4, 8 + 1e6) == pytest.approx(large)  # on the last line
    assert measured.collective("sum", 1024, 8 + 1e6) == pytest.approx(5 * small + 1e-8 * 1e6 * (1023 / 1024) / (3 / 4))
    assert measured.collective("gather", 13, 8) == pytest.approx(4 * small)  # the root receives 12 messages, not 3
    assert measured.collective("sum", 1, 8) == 0.0


def test_messages_on_a_host_are_faster_than_between_hosts():
    network = MeasuredNetwork(calibration=CALIBRATION)
    assert network.meet("sum", (2, 3), [0.0, 1.0], (8, 8)) == pytest.approx([1.0 + 1e-5] * 2)
    assert network.meet("sum", (1, 2), [0.0, 1.0], (8, 8)) == pytest.approx([1.0 + 5e-5] * 2)
    assert network.exchange(0, [1], 8, 0.0) == pytest.approx([1e-5])
    assert network.latency_between(0, 1) < network.latency_between(0, 2)


def test_slow_links_are_slow_beside_a_calibration_too():
    plain = MeasuredNetwork(calibration=CALIBRATION)
    slow = MeasuredNetwork(calibration=CALIBRATION, factor=lambda *_: 3.0)
    ends = [network.meet("sum", range(4), [0.0] * 4, (1000, 1000))[0] for network in (plain, slow)]
    more = ends[1] - ends[0]
    assert more == pytest.approx(4 * 2.0 * 1000 / plain.bandwidth)  # two levels up and two down, twice as long again


def test_a_fit_finds_the_speeds_that_samples_have():
    made = [
        Sample(size, entries, flops, 2e-6 + 4 * entries / rate + (flops - 4 * entries) / rest)
        for size, rate, rest in ((2**16, 8e9, 3e9), (2**21, 4e9, 1e9))
        for entries, flops in ((10.0, 100.0), (1000.0, 4100.0), (50_000.0, 300_000.0))
    ]
    found = fitted(made, "gradient")
    assert found.call == pytest.approx(2e-6, rel=1e-6)
    assert [rate for _, rate in found.rates] == pytest.approx([8e9, 4e9], rel=1e-6)
    assert [rate for _, rate in found.rest] == pytest.approx([3e9, 1e9], rel=1e-6)
    assert found.residual < 1e-6


def test_the_line_through_a_curve_has_its_latency_and_its_bandwidth():
    alpha, beta, residual = alpha_beta(((8.0, 1e-5 + 8e-9), (1e4, 1e-5 + 1e-5), (1e6, 1e-5 + 1e-3)))
    assert (alpha, beta) == pytest.approx((1e-5, 1e-9))
    assert residual < 1e-9


def test_own_code_is_what_passes_between_calls_and_operations():
    gaps = []

    def program(node):
        gaps.append(overhead.Gaps(node, None))
        for _ in range(3):
            with node.meter.working(1.0, 1.0):
                pass
            node.world.sum(np.ones(2))
        with node.monitoring():
            node.world.sum(np.ones(2))
        node.world.sum(np.ones(2))

    VirtualCluster(2).run(program)
    assert [each.spent.events for each in gaps] == [5, 5]  # six events in a row; none from or to monitoring


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        (((5.0, 1.0), (1.0, 6.0)), 2.0),  # each waits for the other in turn
        (((5.0, 1.0, 1.0), (1.0, 4.0)), 5.0),  # they make other operations
        (((), ()), 0.0),
    ],
)
def test_a_wait_for_a_rank_that_works_longer_is_no_code_of_the_solver(excess, expected):
    found = VirtualCluster(2).run(lambda node: overhead.least(node.world, excess[node.rank]))
    assert found == [expected, expected]


QUICKLY = """
from hpcopt.calibration import kernels, network, overhead
kernels.SIZES = {True: (2**13, 2**14, 2**15)}; kernels.PATIENCE = 0.0; kernels.REPEATS = 2
network.SIZES = {True: (8, 4096)}; network.BUDGET = 0.0
overhead.ITERATIONS = dict.fromkeys(overhead.ITERATIONS, 3); overhead.REPEATS = {True: 1}
"""
ON_RANKS = (
    QUICKLY
    + """
import sys
from hpcopt.cli.main import main
assert main(["calibrate", "--quick", "-o", sys.argv[1]]) == 0
"""
)


@pytest.mark.mpi
@requires_mpi
def test_ranks_are_measured_and_a_virtual_cluster_uses_the_file(tmp_path):
    path = tmp_path / "here.toml"
    done = python_ranks(2, ON_RANKS, path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "a sum takes" in done.stdout
    found = read_calibration(path)
    assert (found.measured.ranks, found.measured.hosts, found.between) == (2, 1, None)
    assert all(
        getattr(each, kind) for each in (found.dense, found.sparse) for kind in get_args(Kind) if kind != "values"
    )
    assert {"sgd", "local-newton", "deli-coco", "multilevel-sgd"} <= set(found.solvers)
    assert all(np.diff([time for _, time in found.within.sum]) > -1.0)
    assert seconds(path) > 0.0


def test_a_single_process_is_measured_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "SIZES", {True: (2**13, 2**14, 2**15)})
    monkeypatch.setattr(kernels, "PATIENCE", 0.0)
    monkeypatch.setattr(overhead, "ITERATIONS", dict.fromkeys(overhead.ITERATIONS, 2))
    monkeypatch.setattr(overhead, "REPEATS", {True: 1})
    found = measure.calibrate(join(), quick=True)
    assert (found.within, found.between, found.measured.ranks) == (None, None, 1)
    path = tmp_path / "alone.toml"
    path.write_text(toml(found))
    assert seconds(path) > seconds(path, latency=0.0)  # links without a calibration: as without one
    assert json.loads(json.dumps(found.measured.machine))
