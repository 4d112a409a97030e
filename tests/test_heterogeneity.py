"""Heterogeneous nodes and links: the same draws on every cluster, and times computed by hand."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.errors import InputError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import SPREADS, Departure, Heterogeneity, Pause
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.network import KEPT, Network, Port
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.solvers import SOLVERS
from hpcopt.spec.specification import as_toml_dict, read_specification, specification_from
from tests.launch import RANKS, python_ranks, requires_mpi

PROGRAMS = Path(__file__).parent / "ranks"
FREE = Network(0.0, math.inf)
SETTINGS = Heterogeneity(seed=3, probability=0.3, slowdown=5.0, distribution="lognormal", slow_nodes=0.25)


def unlike(**settings):
    return Conditions(heterogeneity=Heterogeneity(**settings))


def steps(count, flops=1e9):
    """Return a program of `count` steps, each a second of work on a node of speed 1, that returns its clock at each."""

    def program(node):
        times = []
        for _ in range(count):
            node.next_step()
            with node.meter.working(flops, 0.0):
                pass
            times.append(node.now())
        return times

    return program


def factors(settings, rank=0, size=8, count=20_000):
    pace = settings.pace(rank, size)
    drawn = np.empty(count)
    for step in range(count):
        pace.advance()
        drawn[step] = pace.factor
    return drawn


def test_a_node_has_the_same_pace_on_any_cluster_and_in_every_run():
    def program(node):
        told = [node.pace.factor]
        for _ in range(50):
            node.next_step()
            told.append(node.pace.factor)
        return told

    virtual, conditions = VirtualCluster(8, seed=1), Conditions(heterogeneity=SETTINGS)
    first = virtual.run(program, conditions)
    assert virtual.run(program, conditions) == first
    assert len({tuple(told) for told in first}) == 8
    assert SoloCluster().run(program, conditions)[0][1:] == list(factors(SETTINGS, size=1, count=50))


@requires_mpi
@pytest.mark.mpi
def test_ranks_have_the_paces_of_virtual_nodes_and_wait_as_long():
    ranks = max(RANKS)
    done = python_ranks(ranks, PROGRAMS / "paces.py", env={"PYTHONPATH": str(PROGRAMS.parents[1])})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == ranks


@requires_mpi
@pytest.mark.mpi
@pytest.mark.parametrize("engine", ["one-sided", "two-sided"])
def test_slow_links_between_ranks_take_as_long_as_the_model_says(engine):
    done = python_ranks(4, PROGRAMS / "slow_links.py", engine, env={"PYTHONPATH": str(PROGRAMS.parents[1])})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == 4


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_so_many_steps_are_stragglers(probability):
    drawn = factors(Heterogeneity(probability=probability, slowdown=7.0))
    assert set(drawn) <= {1.0, 7.0}
    assert np.mean(drawn == 7.0) == pytest.approx(probability, abs=0.01)


@pytest.mark.parametrize("distribution", SPREADS)
@given(seed=st.integers(0, 2**32))
def test_a_spread_keeps_the_mean(distribution, seed):
    drawn = factors(Heterogeneity(seed=seed, distribution=distribution, spread=0.4), count=2000)
    assert drawn.min() >= 0.0
    assert drawn.mean() == pytest.approx(1.0, abs=0.2)


def test_spreads_have_their_shapes():
    def of(distribution, spread):
        return factors(Heterogeneity(seed=5, distribution=distribution, spread=spread))

    uniform = of("uniform", 0.1)
    assert 0.9 < uniform.min() < 0.901
    assert 1.099 < uniform.max() < 1.1
    assert np.log(of("lognormal", 0.7)).std() == pytest.approx(0.7, rel=0.02)
    assert of("exponential", 0.5).min() == pytest.approx(0.5, abs=1e-3)
    assert of("exponential", 0.5).std() == pytest.approx(0.5, rel=0.05)
    pareto = of("pareto", 0.25)
    assert pareto.min() == pytest.approx(0.75, abs=1e-3)
    assert np.mean(pareto > 1.5) == pytest.approx(2.0**-4, abs=0.005)  # (x_m / x)^(1 / spread)


def test_slow_nodes_are_drawn_or_named_and_slow_from_the_start():
    half = Heterogeneity(seed=2, slow_nodes=0.5, slowdown=4.0)
    paces = [half.pace(rank, 10).factor for rank in range(10)]
    assert sorted(paces) == [1.0] * 5 + [4.0] * 5
    assert paces != [Heterogeneity(seed=9, slow_nodes=0.5, slowdown=4.0).pace(rank, 10).factor for rank in range(10)]
    assert len(Heterogeneity(slow_nodes=0.01).slow_ranks(4)) == 1
    assert Heterogeneity().slow_ranks(4) == ()
    named = Heterogeneity(slow_nodes=(2,), node_slowdown=3.0, probability=1.0, slowdown=10.0)
    assert [set(factors(named, rank, 3, 4)) for rank in range(3)] == [{10.0}, {10.0}, {30.0}]


def test_heterogeneity_is_told():
    assert Heterogeneity().words(4) == ""
    told = Heterogeneity(
        probability=0.1,
        slow_nodes=(1, 2),
        node_slowdown=5.0,
        distribution="lognormal",
        slow_links=1.0,
        pauses=(Pause(0, 1.0, 1.0), Pause(0, 2.0, 1.0)),
        departures=(Departure(2, 1.0),),
    )
    assert told.words(3) == (
        "slow nodes 1, 2 (x 5); stragglers with probability 0.1 (x 10); step times lognormal (0.5); "
        "slow links 0-1, 0-2, 1-2 (x 10); pauses of node 0; departures of node 2"
    )
    many = Heterogeneity(slow_nodes=0.5, slow_links=0.25).words(100)
    assert many == "slow nodes: 50 (x 10); slow links, each with probability 0.25 (x 10)"
    few = Heterogeneity(slow_links=1e-9).words(3)
    assert few == "slow links: none drawn (x 10)"


def test_a_slow_node_takes_longer_for_the_same_work():
    cluster = VirtualCluster(3, FREE, speeds=[1.0, 2.0, 1.0])
    told = cluster.run(steps(2), unlike(slow_nodes=(1, 2), node_slowdown=4.0))
    assert told == [[1.0, 2.0], [2.0, 4.0], [4.0, 8.0]]


def test_measuring_is_not_slowed():
    def program(node):
        with node.monitoring():
            steps(3)(node)
        return node.now()

    assert VirtualCluster(1).run(program, unlike(slow_nodes=1.0)) == [0.0]


def test_a_pause_holds_up_the_next_step_once():
    cluster = VirtualCluster(2, FREE)
    pauses = (Pause(1, 1.5, 10.0), Pause(1, 0.0, 0.25))
    for _ in range(2):  # and again in the next run
        assert cluster.run(steps(4), unlike(pauses=pauses)) == [[1.0, 2.0, 3.0, 4.0], [1.25, 2.25, 13.25, 14.25]]


def test_a_node_that_departs_has_left_from_then_on():
    pace = Heterogeneity(departures=(Departure(0, 2.0), Departure(0, 1.0))).pace(0, 2)
    assert [pace.left(now) for now in (0.0, 0.99, 1.0, 5.0)] == [False, False, True, True]
    assert not Heterogeneity(departures=(Departure(1, 0.0),)).pace(0, 2).left(1e9)


def test_d_psgd_among_stragglers_takes_the_time_that_a_hand_computes():
    spread, latency, bandwidth, rounds = logistic(nodes=4), 1e-6, 1e8, 12
    settings = Heterogeneity(seed=11, probability=0.3, slowdown=10.0, distribution="uniform", spread=0.1)
    cluster = VirtualCluster(4, Network(latency, bandwidth))
    solver = SOLVERS["d-psgd"](step_size=0.1, batch=0)
    nodes = solve(solver, spread, cluster=cluster, heterogeneity=settings, iterations=rounds).nodes

    n, d = 30, spread.d
    work = (4.0 * n * d + 20.0 * n + 4.0 * d) / 1e9
    message = latency + 8.0 * d / bandwidth
    slow = np.array([factors(settings, rank, 4, rounds) for rank in range(4)])
    assert 0 < np.sum(slow > 5.0) < slow.size
    clock = np.zeros(4)
    for step in range(rounds):
        worked = clock + work * slow[:, step]
        clock = [max(worked[k], worked[k - 1] + message, worked[(k + 1) % 4] + message) for k in range(4)]
    assert [node.now() for node in nodes] == pytest.approx(clock, rel=1e-12)


def test_stragglers_change_the_times_of_a_run_and_nothing_else():
    def run(**settings):
        heterogeneity, solver = Heterogeneity(**settings), SOLVERS["d-psgd"](step_size=0.1, batch=4)
        return solve(solver, logistic(nodes=4), seed=1, heterogeneity=heterogeneity, iterations=9)

    even, uneven = run(), run(probability=0.5)
    assert np.array_equal(even.w, uneven.w)
    assert [row["work"] for row in even.rows] == [row["work"] for row in uneven.rows]
    assert even.rows[-1]["seconds"] < uneven.rows[-1]["seconds"]


def test_slow_links_are_pairs_drawn_by_seed():
    settings = Heterogeneity(seed=4, slow_links=0.3, link_slowdown=5.0)
    network = Network(1.0, 1.0).idle(settings)
    times = np.array([[network.send(i, j, 2, 0.0) if i != j else 0.0 for j in range(40)] for i in range(40)])
    assert np.array_equal(times, times.T)
    apart = times[np.triu_indices(40, 1)]
    assert set(apart) == {1.0 + 2.0, 1.0 + 5.0 * 2.0}  # the latency stays
    assert np.mean(apart > 3.0) == pytest.approx(0.3, abs=0.05)
    assert set(np.unique([Network(1.0, 1.0).idle(Heterogeneity()).send(0, j, 2, 0.0) for j in range(1, 9)])) == {3.0}


def test_a_cluster_uses_its_slow_links_anew_in_every_run():
    def program(node):
        node.neighbourhood([1 - node.rank], [1 - node.rank]).exchange(np.zeros(8, dtype=np.uint8))
        return node.now()

    cluster, slow = VirtualCluster(2, Network(1.0, 4.0)), unlike(slow_links=1.0, link_slowdown=3.0)
    assert cluster.run(program, slow) == cluster.run(program, slow) == [1.0 + 3.0 * 2.0] * 2


@pytest.mark.parametrize(("links", "times"), [("pairs", [3.0, 3.0, 3.0]), ("ports", [3.0, 5.0, 7.0])])
def test_messages_share_the_way_out_of_a_node(links, times):
    network = Network(1.0, 1.0, links=links)
    assert [network.send(0, target, 2, 0.0) for target in (1, 2, 3)] == times
    assert network.send(4, 5, 2, 0.0) == network.send(1, 0, 2, 0.0) == 3.0  # other pairs, and the other direction


@pytest.mark.parametrize(("links", "times"), [("pairs", [3.0, 3.0, 3.0]), ("ports", [3.0, 5.0, 7.0])])
def test_messages_share_the_way_into_a_node(links, times):
    network = Network(1.0, 1.0, links=links)
    assert [network.send(source, 0, 2, 0.0) for source in (1, 2, 3)] == times


def test_what_is_sent_late_does_not_hold_up_what_was_sent_early():
    network = Network(0.0, 1.0, links="ports")
    assert network.send(1, 0, 2, 100.0) == 102.0  # node 1 runs ahead
    assert network.send(2, 0, 2, 1.0) == 3.0
    assert network.send(3, 0, 2, 99.0) == 104.0  # does not fit before
    assert network.send(4, 0, 2, 1.0) == 5.0


def test_in_an_exchange_a_ports_messages_follow_one_another():
    def program(node):
        ring = sorted({(node.rank - 1) % 5, (node.rank + 1) % 5})
        node.neighbourhood(ring, ring).exchange(np.zeros(100, dtype=np.uint8))
        return node.now()

    pairs = VirtualCluster(5, Network(1.0, 100.0)).run(program)
    ports = VirtualCluster(5, Network(1.0, 100.0, links="ports")).run(program)
    assert pairs == [2.0] * 5
    assert ports == [3.0, 3.0, 3.0, 4.0, 4.0]  # both neighbours of 3, and of 4, send to it second, at 1 second


@given(
    wanted=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), min_size=1, max_size=80),
)
def test_a_port_passes_one_message_at_a_time_in_the_first_gap(wanted):
    port, spans = Port(), []
    for ready, seconds in wanted:
        begin = port.take(float(ready), float(seconds))
        assert begin == next(
            at for at in range(ready, 700) if all(at + seconds <= other or at >= end for other, end in spans)
        )
        spans.append((begin, begin + seconds))


def test_a_port_forgets_what_is_long_past():
    port = Port()
    for place in range(KEPT + 2):
        assert port.take(2.0 * place, 1.0) == 2.0 * place
    assert port.take(0.0, 1.0) == 3.0  # after the last forgotten span


def test_a_bracket_counts_also_what_fails_and_does_not_nest():
    told = []
    meter = Meter(lambda work, seconds: told.append((work.flops, seconds >= 0.0)))
    with pytest.raises(ZeroDivisionError), meter.working(5.0, 2.0):
        1 / 0  # noqa: B018
    with meter.working(1.0, 0.0), pytest.raises(RuntimeError, match="nested work"):
        meter.working(1.0, 0.0)
    assert (meter.flops, meter.touched, told) == (6.0, 2.0, [(5.0, True), (1.0, True)])


def test_a_meter_lets_others_in_after_each_piece_of_work():
    meter, pokes = Meter(), []
    meter.poke = lambda: pokes.append(1)
    with meter.working(1.0, 0.0):
        assert not pokes
    with meter.paused(), meter.working(1.0, 0.0):
        pass
    assert len(pokes) == 2


def test_on_the_wall_clock_a_slow_node_waits_for_real():
    def program(node):
        begun = time.perf_counter()
        for _ in range(3):
            node.next_step()
            with node.meter.working(1.0, 0.0):
                time.sleep(4e-3)
        return time.perf_counter() - begun

    assert SoloCluster().run(program, unlike(slow_nodes=(0,), node_slowdown=5.0))[0] >= 3 * 5 * 4e-3
    assert SoloCluster().run(program, unlike(pauses=(Pause(0, 0.0, 0.05),)))[0] >= 0.05 + 3 * 4e-3


def test_whoever_idles_lets_others_in_every_millisecond():
    def program(node):
        pokes = []
        node.meter.poke = lambda: pokes.append(time.perf_counter())
        begun = time.perf_counter()
        node.idle(0.02)
        return time.perf_counter() - begun, len(pokes), node.now()

    ((waited, pokes, clock),) = SoloCluster().run(program)
    assert waited >= 0.02
    assert clock >= 0.02
    assert pokes >= 2


def test_what_is_measured_meanwhile_is_no_part_of_a_delay():
    def program(node):
        def survey():
            with node.monitoring():
                time.sleep(2e-3)

        node.meter.poke = survey
        begun = node.now()
        node.idle(0.02)
        return node.now() - begun

    assert SoloCluster().run(program)[0] >= 0.02


SPECIFICATION = """[data]
source = "breast-cancer"
[solver]
name = "d-psgd"
[cluster]
kind = "virtual"
workers = 4
[cluster.stragglers]
{}
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("probability = 1.5", "probability: expected a number >= 0 and <= 1, got 1.5"),
        ("slowdown = 0.5", "slowdown: expected a number >= 1, got 0.5"),
        ("node_slowdown = 0", "node_slowdown: expected a number >= 1, got 0"),
        ("slow_nodes = 1.5", "slow_nodes: expected a number >= 0 and <= 1 or a list (each item: an integer >= 0)"),
        ("slow_nodes = [1, 4]", "slow_nodes: no node 4: nodes are numbered from 0 to 3"),
        ("slow_links = -1", "slow_links: expected a number >= 0 and <= 1, got -1"),
        ("link_slowdown = 0.1", "link_slowdown: expected a number >= 1, got 0.1"),
        ('distribution = "paret"', 'distribution: expected one of "constant", "exponential"'),
        ("spread = 0.1", "spread: requires distribution ="),
        ('distribution = "uniform"\nspread = 2', 'spread: expected at most 1 with "uniform", got 2'),
        ('distribution = "pareto"\nspread = 1.0', 'spread: expected at most 0.95 with "pareto", got 1'),
        ("pauses = [{ node = 9, at = 0, seconds = 1 }]", "pauses: no node 9: nodes are numbered"),
        ("pauses = [{ node = 1, at = -1, seconds = 1 }]", "pauses.0.at: at least 0, got -1"),
        ("pauses = [{ node = 1, at = 0 }]", "pauses.0.seconds: missing; expected a number"),
        ("departures = [{ node = -1, at = 0 }]", "departures.0.node: at least 0, got -1"),
        ("probabilty = 0.1", "probabilty: unknown key; did you mean 'probability'?"),
    ],
)
def test_bad_input_is_told_with_its_line(tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPECIFICATION.format(line))
    with pytest.raises(InputError) as caught:
        read_specification("spec.toml")
    number = 9 + line.count("\n")
    assert re.match(rf"spec\.toml, line {number}: cluster\.stragglers\.{re.escape(message)}", str(caught.value))
    assert "\n" not in str(caught.value)


def test_the_table_is_resolved_and_reaches_the_cluster():
    given = {
        "probability": 0.1,
        "distribution": "uniform",
        "slow_nodes": [1, 2],
        "pauses": [{"node": 1, "at": 0, "seconds": 2}],
    }
    tables = {"seed": 7, "data": {"source": "breast-cancer"}, "cluster": {"workers": 4, "stragglers": given}}
    spec = specification_from({**tables, "solver": {"name": "sgd"}})
    assert spec.cluster.stragglers == Heterogeneity(
        seed=7,
        probability=0.1,
        node_slowdown=10.0,
        distribution="uniform",
        spread=0.1,
        slow_nodes=(1, 2),
        pauses=(Pause(1, 0.0, 2.0),),
    )
    assert specification_from(as_toml_dict(spec)).cluster == spec.cluster
    plain = specification_from({"data": {"source": "breast-cancer"}, "solver": {"name": "sgd"}})
    assert plain.cluster.stragglers is None
