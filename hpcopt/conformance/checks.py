"""The checks: plain functions named after the properties; each receives a solver's class and a setting.

They use only the solver's declarations; no solver is treated by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.check import (
    Check,
    Kind,
    asked_of_all,
    expect,
    expect_close,
    expect_near,
    expect_same_rows,
    has,
    made,
)
from hpcopt.conformance.problems import PROBLEMS, Spread, equal, logistic
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.fabric.interface import Node
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.results.stopping import Status
from hpcopt.topology import TOPOLOGIES
from hpcopt.topology.hubs import Hubs

CHECKS: list[Check] = []
"""All checks, in the order of their execution."""

LOGISTIC: Mapping[str, Callable[..., Spread]] = MappingProxyType({"logistic": logistic})
LONGEST_SUMMARY = 120  # characters


def check(
    settings: Mapping[str, Any] = LOGISTIC, unless: Callable[[Kind], str | None] = asked_of_all
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as a check, with its settings and the solvers it does not apply to."""

    def enter(body: Callable[..., None]) -> Callable[..., None]:
        CHECKS.append(Check(body, settings, unless))
        return body

    return enter


def _has_floor(kind: Kind) -> str | None:
    if kind.floor is not None:
        return f"it has a floor ({kind.floor})"
    return _minimises_nothing(kind)


def _has_no_floor(kind: Kind) -> str | None:
    return "it has no floor: it must reach the optimum" if kind.floor is None else _minimises_nothing(kind)


def _has_states_of_single_nodes(kind: Kind) -> str | None:
    return kind().per_node()


def _minimises_nothing(kind: Kind) -> str | None:
    return None if kind.minimises else "it does not minimise"


def _is_decentralised(kind: Kind) -> str | None:
    return "it is decentralised: its bytes are compared edge by edge" if kind.needs.models == "own" else None


def _has_a_centre(kind: Kind) -> str | None:
    if kind.needs.topology == "hubs":
        return "it has hubs: its bytes are compared level by level"
    return _is_asynchronous(kind) if kind.needs.models == "own" else "it is not decentralised"


def _has_no_hubs(kind: Kind) -> str | None:
    return None if kind.needs.topology == "hubs" else "it has no hub network"


def _is_asynchronous(kind: Kind) -> str | None:
    return "it is asynchronous: its iterates depend on the order of arrival" if kind.needs.pace == "own" else None


def _needs_all_nodes(kind: Kind) -> str | None:
    return None if kind().survives else "it does not go on without nodes that leave"


def _depends_on_the_shards(kind: Kind) -> str | None:
    return None if kind.any_nodes else "its iterates depend on which node holds which rows"


def _is_not_randomised(kind: Kind) -> str | None:
    return None if kind.randomised else "it is not randomised"


@check(PROBLEMS, _has_floor)
def it_reaches_the_optimum(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect 12 correct digits of the objective and 7 of the model."""
    spread = problem()
    w, best = spread.optimum()
    solved = solve(kind(), spread, rounds=2000, gradient_norm=1e-9)
    record = solved.outcome.record
    expect(
        solved.outcome.status is Status.GRADIENT,
        f"after {record.round} rounds the gradient's norm is {record.grad_norm:.3g} and the objective "
        f"{record.objective - best:.3g} above the optimum; expected a norm of 1e-9 within 2000 rounds, "
        f"since no floor is declared (the run ended so: {solved.outcome.status.value})",
    )
    expect_near("the objective", record.objective, best, rel=1e-12)
    expect_close("the model", solved.w, w, rtol=1e-7, atol=1e-7)


@check(PROBLEMS, _has_no_floor)
def it_comes_near_the_optimum_down_to_its_floor(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect at most 5 % of the initial gap after 300 rounds, and no value below the optimum."""
    spread = problem(n=400)
    _, best = spread.optimum()
    solved = solve(kind(), spread, rounds=300)
    first, last = solved.rows[0]["objective"], solved.rows[-1]["objective"]
    expect(
        last - best < 0.05 * (first - best),
        f"after 300 rounds the objective is {last:.6g}, which leaves {100 * (last - best) / (first - best):.3g} % of "
        f"the way from {first:.6g} to the optimum {best:.6g}; expected less than 5 %",
    )
    expect(last >= best * (1 - 1e-12), f"the objective {last:.15g} is below the optimum {best:.15g}")


@check(PROBLEMS)
def every_record_of_the_trace_is_the_objective_at_its_model(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect the last record to equal a computation on one node from all rows at the returned model."""
    spread = problem()
    solved = solve(kind(), spread, rounds=12)
    here, record = spread.serial().at(solved.w), solved.outcome.record
    expect_near("the objective in the trace", record.objective, here.value, rel=1e-12)
    expect_near("the gradient's norm in the trace", record.grad_norm, float(np.linalg.norm(here.gradient)), rel=1e-6)


@check({"logistic, 5 nodes": partial(logistic, nodes=5)})
def all_nodes_end_with_the_same_model(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect bitwise equal models; for a decentralised solver, whose nodes' models differ, equal mean models."""
    solved = solve(kind(), problem(), rounds=9)
    for node, outcome in enumerate(solved.outcomes):
        expect_close(f"the model of node {node}, compared with that of node 0", outcome.w, solved.w)


@check({f"{name}, 1 node": partial(problem, nodes=1) for name, problem in PROBLEMS.items()})
def on_one_node_it_is_the_same_as_without_a_cluster(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect bitwise equal results, and that nothing is sent."""
    alone = solve(kind(), problem(), cluster=SoloCluster(), rounds=9)
    virtual = solve(kind(), problem(), rounds=9)
    expect_close("the model on a virtual cluster of one node, compared with that without a cluster", virtual.w, alone.w)
    for cluster, run in (("without a cluster", alone), ("on a virtual cluster of one node", virtual)):
        sent = run.rows[-1]["bytes"]
        expect(sent == 0, f"{sent} bytes were sent {cluster}; expected none")


def _logistic_on(*counts: int) -> dict[str, Callable[..., Spread]]:
    return {f"logistic, {n} node{'s' * (n > 1)}": partial(logistic, nodes=n) for n in counts}


@check(_logistic_on(1, 2, 3, 7), _is_decentralised)
def the_ledger_shows_the_doubles_that_it_declares(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect 2 (K - 1) * 8 bytes for each declared double, the declared messages, and 2 (K - 1) messages per round.

    In rounds of encoded messages, which may go one way only, there may be half as many.
    """
    spread, solver = problem(), kind()
    solved = solve(solver, spread, rounds=13)
    row, links = solved.rows[-1], 2 * (spread.nodes - 1)
    doubles = solver.doubles(solved.outcome.state, spread.d)
    up, down = np.sum([(0, 0), *(solver.messages(outcome.state) for outcome in solved.outcomes[1:])], axis=0).tolist()
    encoded = up + down
    expect(
        row["bytes"] == links * 8 * doubles + encoded,
        f"doubles() says {doubles} after {row['round']} rounds, which makes {links * 8 * doubles} bytes over "
        f"{spread.nodes} nodes{f', and messages() {encoded} more' if encoded else ''}; the ledger has {row['bytes']}"
        + (f", which is {(row['bytes'] - encoded) / (links * 8):g} doubles" if links else "")
        + (" and the messages" if links and encoded else ""),
    )
    expect(
        row["bytes_up"] - up == row["bytes_down"] - down,
        f"messages() says {up} bytes up and {down} down; the ledger has {row['bytes_up']} and {row['bytes_down']}, "
        "which leaves different numbers for the doubles, although they go both ways",
    )
    least = links // 2 if encoded else links
    expect(
        least * row["round"] <= row["messages"] <= links * row["round"],
        f"the ledger has {row['messages']} messages in {row['round']} rounds; "
        f"expected {links} a round, as reductions over all nodes have",
    )


@check(
    {
        f"logistic, {n} node{'s' * (n > 1)} in a ring": (partial(logistic, nodes=n), arcs)
        for n, arcs in ((1, 0), (2, 2), (3, 6), (7, 14))
    },
    _has_a_centre,
)
def the_ledger_shows_the_bytes_that_it_declares_to_each_neighbour(
    kind: Kind, setting: tuple[Callable[..., Spread], int]
) -> None:
    """Expect 2 (K - 1) * 8 bytes for each reduced double, plus the bytes exchanged over each arc."""
    problem, arcs = setting
    spread = problem()
    solver: Any = kind()
    solved = solve(solver, spread, rounds=13)
    row, state = solved.rows[-1], solved.outcome.state
    reduced, exchanged = 8 * solver.doubles(state, spread.d), solver.exchanged(state, spread.d)
    expected = 2 * (spread.nodes - 1) * reduced + arcs * exchanged
    expect(
        row["bytes"] == expected,
        f"exchanged() says {exchanged} bytes to each neighbour and doubles() {reduced} bytes reduced, which makes "
        f"{expected} bytes over {spread.nodes} nodes and {arcs} arcs; the ledger has {row['bytes']}",
    )
    busiest = exchanged if arcs else 0
    expect(
        row["edge_bytes"] == busiest,
        f"exchanged() says {busiest} bytes to each neighbour; the busiest edge of the ledger has {row['edge_bytes']}",
    )


@check({f"logistic, 7 nodes under {n} hubs": Hubs(hubs=n, graph="path") for n in (1, 2, 3, 7)}, _has_no_hubs)
def the_ledger_shows_the_bytes_that_it_declares_at_each_level(kind: Kind, hubs: Hubs) -> None:
    """Expect them for each class of links, summed over all nodes."""
    spread = logistic(nodes=7)
    solver: Any = kind()
    solved = solve(solver, spread, rounds=13, hubs=hubs)
    state = solved.outcome.state
    reduced = 2 * (spread.nodes - 1) * 8 * solver.doubles(state, spread.d)
    declared = {**solver.by_level(state, spread.d, hubs.network(7)), "world": reduced}
    booked = solved.records[-1].bytes_by_link
    expect(booked == declared, f"by_level() says {declared} bytes; the ledger has {booked}")


@check()
def it_does_not_modify_its_inputs(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect unchanged data and starting point."""
    spread = problem()
    X, y, start = spread.X.copy(), spread.y.copy(), np.full(spread.d, 0.3)
    solve(kind(), spread, start=start, rounds=6)
    expect_close("the data X after the run", spread.X, X)
    expect_close("the targets y after the run", spread.y, y)
    expect_close("the start w0 after the run (init returns a state at a copy of it)", start, np.full(spread.d, 0.3))


@check(PROBLEMS, _is_asynchronous)
def dense_and_sparse_data_give_the_same_iterates(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect equality up to roundoff."""
    spread = problem()
    dense = solve(kind(), spread, rounds=9)
    sparse = solve(kind(), spread.sparse(), rounds=9)
    expect_close(
        "the model from sparse data, compared with that from dense data", sparse.w, dense.w, rtol=1e-9, atol=1e-11
    )


@check(
    {f"logistic, shards of {', '.join(map(str, s))} rows": s for s in ((1, 119), (60, 1, 59), (117, 1, 1, 1))},
    _minimises_nothing,
)
def it_runs_on_uneven_and_tiny_shards(kind: Kind, sizes: tuple[int, ...]) -> None:
    """Expect finite numbers and an objective below the initial one."""
    solved = solve(kind(), logistic().over(*sizes), rounds=12)
    first, last = solved.rows[0]["objective"], solved.rows[-1]["objective"]
    expect(np.isfinite(solved.w).all(), "the model contains numbers that are not finite")
    expect(last < first, f"after 12 rounds the objective is {last:.6g}; expected less than the first one, {first:.6g}")


@check()
def the_same_seed_gives_the_same_trace(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect bitwise equal rows and models."""
    one, two = (solve(kind(), problem(), rounds=9, seed=3) for _ in range(2))
    expect_same_rows("a second run with the same seed", two.rows, one.rows)
    expect_close("the model of a second run with the same seed", two.w, one.w)


@check(unless=_is_not_randomised)
def another_seed_gives_another_run(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect another model, with small batches if it has them, otherwise with a randomised compressor."""
    drawing = {"batch": 3} if has(kind, "batch") else {"compressor": COMPRESSORS["qsgd"](), "gamma": 0.5}
    one, two = (solve(made(kind, **drawing), problem(), rounds=9, seed=seed) for seed in (1, 2))
    expect(
        not np.array_equal(one.w, two.w),
        "seeds 1 and 2 give the same model; expected different ones, since it is declared randomised",
    )


@check()
def measuring_changes_neither_iterates_nor_bytes_nor_time(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect the same last row and model, whether every iteration is recorded or only the first and the last."""
    recorded = solve(kind(), problem(), rounds=9, record_every=1)
    silent = solve(kind(), problem(), rounds=9, record_every=0)
    expect(len(silent.rows) == 2, f"{len(silent.rows)} records were written; expected the first and the last")
    expect_same_rows("the last record of a run that records rarely", silent.rows[-1:], recorded.rows[-1:])
    expect_close("the model of a run that records rarely", silent.w, recorded.w)


@check()
def it_resumes_from_the_snapshot_of_any_yield(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect the bitwise equal rest of the trace and model: the state contains everything kept between yields."""
    solver, kept = made(kind, batch=5), Kept()
    whole = solve(solver, problem(), iterations=6, checkpoints=kept)
    for count, snapshots in kept.after.items():
        if len(snapshots) < len(whole.nodes):  # asynchronous: not every node has made this many steps
            continue
        cut = solve(solver, problem(), iterations=6, checkpoints=going_on(snapshots))
        told = snapshots[0].get("records", count + 1)
        expect_same_rows(f"the trace after a checkpoint at yield {count}", cut.rows, whole.rows[told:])
        expect_close(f"the model of a run that goes on from yield {count}", cut.w, whole.w)


@check(unless=_has_states_of_single_nodes)
def the_state_of_any_node_will_do_to_go_on(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect the bitwise equal rest of the trace and model if all nodes go on from the state of the first one."""
    solver, kept = made(kind, batch=5), Kept()
    whole = solve(solver, problem(), iterations=6, checkpoints=kept)
    for count, snapshots in kept.after.items():
        first = snapshots[0]["state"]
        cut = solve(
            solver,
            problem(),
            iterations=6,
            checkpoints=going_on({rank: {**snapshot, "state": first} for rank, snapshot in snapshots.items()}),
        )
        what = f"from node 0's state at yield {count}, on all nodes (or per_node must name what belongs to one)"
        expect_same_rows(f"the trace {what}", cut.rows, whole.rows[count + 1 :])
        expect_close(f"the model {what}", cut.w, whole.w)


@check(unless=_needs_all_nodes)
def it_goes_on_from_the_nodes_own_models(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect the models to stay, and the run to go on to its end, if all nodes start again after the fifth yield."""
    kept: list[tuple[float, float]] = []

    def rounds(solver: Any, node: Node, f: Any, s: Any) -> Iterator[Any]:
        for s in islice(kind.rounds(solver, node, f, s), 5):  # noqa: B020, PLR1704  (the last one is needed)
            yield s
        w = s.w.copy()
        s = solver.restarted(node, f, s)
        kept.append((float(np.abs(s.w - w).max()), float(np.abs(w).max())))
        yield from kind.rounds(solver, node, f, s)

    name = f"{kind.__name__}StartedAgain"
    again = made(type(name, (kind,), {"rounds": rounds}))
    spread = problem()
    solved = solve(again, spread, rounds=60)
    moved, size = max(kept)
    expect(moved <= 1e-12 * size, f"`restarted` has changed a node's model by {moved:.3g}; expected the same one")
    if kind.minimises:
        first, last, best = solved.rows[0]["objective"], solved.rows[-1]["objective"], spread.optimum()[1]
        expect(
            last - best < 0.5 * (first - best),
            f"after 60 rounds, and a new start, the objective is {last:.6g}; expected less than half of the way from "
            f"{first:.6g} to the optimum {best:.6g} to be left",
        )


@check(unless=_is_asynchronous)
def another_order_of_the_nodes_gives_the_same_iterates(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect equality up to roundoff, with whole shards as batches and without random starts on the nodes."""
    spread, order = problem(), [2, 0, 3, 1]
    size = len(spread.y) // 4
    rows = np.concatenate([np.arange(k * size, (k + 1) * size) for k in order])
    moved = Spread(spread.loss, spread.X[rows], spread.y[rows], spread.l2, equal(len(rows), 4))
    everyone = TOPOLOGIES["complete"]()  # symmetric in all nodes
    here, there = (
        solve(made(kind, batch=0, scatter=0.0), data, rounds=9, topology=everyone, hubs=Hubs(hubs=1))
        for data in (spread, moved)
    )
    expect_close("the model with the nodes in another order", there.w, here.w, rtol=1e-9, atol=1e-11)


@check(unless=_depends_on_the_shards)
def on_any_number_of_nodes_it_gives_the_same_iterates(kind: Kind, problem: Callable[..., Spread]) -> None:
    """Expect those of one node, up to roundoff, on three."""
    alone, spread = (solve(made(kind), problem(nodes=nodes), iterations=6) for nodes in (1, 3))
    expect_close("the model on 3 nodes, beside that on one", spread.w, alone.w, rtol=1e-7, atol=1e-9)


@check({"its declaration": None})
def it_names_its_paper_and_has_a_summary_in_one_line(kind: Kind, _: None) -> None:
    """Expect the class attribute `paper`, and a docstring with a short first line."""
    expect(getattr(kind, "paper", ""), 'there is no paper; expected the class attribute paper = "where it is stated"')
    summary = (kind.__doc__ or "").strip().splitlines()
    written = summary and not summary[0].startswith(f"{kind.__name__}(")  # the default docstring of dataclasses
    expect(written, "there is no docstring; expected one whose first line says what it does")
    expect(
        len(summary[0]) < LONGEST_SUMMARY,
        f"the docstring's first line has {len(summary[0])} characters; expected fewer than {LONGEST_SUMMARY}",
    )
