"""The nodes of a run that leave or die, and how the others go on without them.

The nodes that remain make a smaller cluster, with the topology or hub network and the shares of the rows that are left,
and start again from their own models. What the others had sent and read goes on, as far as it was in a record.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hpcopt.errors import AgreedError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.departures import NodesLost, Remaining
from hpcopt.fabric.faults import Fault
from hpcopt.fabric.interface import Cluster, Node
from hpcopt.problems.problem import Shard
from hpcopt.results.outcome import Left, Outcome
from hpcopt.runs.interrupted import Interrupted, Rejoining
from hpcopt.runs.measuring import NOTHING
from hpcopt.runs.once import made_once
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.standings import Standings, missing, renumbered, standings, target
from hpcopt.solvers.base import Solver
from hpcopt.topology.hubs.without import hubs_without
from hpcopt.topology.without import mixing_without, nodes_in_words


class Team:
    """The nodes of a run, of which some may leave.

    Parameters
    ----------
    prepared
        The problem on all nodes, with the conditions of the run.
    solver
        The solver for all nodes.

    Attributes
    ----------
    prepared, solver
        Those of the nodes that remain; their ranks are those of its cluster.
    nodes
        The rank that each of them had at the start.
    departures
        Who left when, and what was lost: as in run.json.
    """

    def __init__(self, prepared: Prepared, solver: Solver[Any]) -> None:
        cluster, conditions = prepared.cluster, prepared.conditions
        may_leave = cluster.clock == "wall" or bool(conditions.heterogeneity.departures or conditions.faults)
        survives = may_leave and solver.survives and cluster.survivable  # following a run takes a copy of each model
        self.prepared = replace(prepared, conditions=replace(conditions, survives=survives))
        self.solver = solver
        self.nodes = tuple(range(cluster.size))
        self.departures: list[dict[str, Any]] = []
        self._start = self.prepared
        self._first_solver = solver
        self._rejoining: dict[int, Rejoining] = {}
        self._edges: list[tuple[int, int, int]] = []  # of nodes that have left

    def rejoining(self, node: Node) -> Rejoining | None:
        """Return what the node goes on with; None if nobody has left."""
        return self._rejoining.get(node.rank)

    def edges(self, outcomes: Sequence[Outcome]) -> list[tuple[int, int, int]]:
        """Return sender, receiver and bytes of the edges out of this process's nodes, by their ranks at the start."""
        own = zip(self.prepared.cluster.local_nodes, outcomes, strict=True)
        return self._edges + [edge for rank, outcome in own for edge in self._edges_of(rank, outcome.edges)]

    def _edges_of(self, rank: int, by_edge: Mapping[int, int]) -> list[tuple[int, int, int]]:
        return sorted((self.nodes[rank], target(to, self.nodes), size) for to, size in by_edge.items())

    def goes_on(self, outcomes: Sequence[Outcome | Interrupted]) -> bool:
        """Return whether nodes have left and the others, which this then describes, go on; collective over these.

        Parameters
        ----------
        outcomes
            Of the nodes of this process, in the order of their ranks.

        Raises
        ------
        AgreedError
            If the nodes that remain cannot go on.
        """
        before = self.prepared.cluster
        own = zip(before.local_nodes, outcomes, strict=True)
        stood = {rank: at for rank, at in own if isinstance(at, Interrupted)}
        if not stood:
            return False
        left = {rank: at.left for rank, at in stood.items() if at.left is not None}
        if len(left) == before.size:
            raise AgreedError(f"all nodes have left, the last in round {max(at.round for at in left.values())}")
        cluster, kept = before.without(left)
        while True:
            try:
                with cluster.interruptible():
                    prepared, rejoining, departure = self._regrouped(cluster, kept, stood)
                    cluster.confirm()
                break
            except NodesLost:  # more have died meanwhile
                cluster, places = cluster.without(())
                kept = tuple(kept[place] for place in places)
        for rank in left:
            account = stood[rank].node["ledger"]["solver"]
            by_edge = dict(zip(account["targets"].tolist(), account["bytes_to_targets"].tolist(), strict=True))
            self._edges += self._edges_of(rank, by_edge)
        self.nodes = tuple(self.nodes[rank] for rank in kept)
        self.prepared, self._rejoining = prepared, rejoining
        self.solver = self._first_solver.among(_workers_among(self._start.conditions, self.nodes))
        self.departures.append(departure)
        return True

    def _regrouped(
        self, cluster: Cluster, kept: Sequence[int], stood: Mapping[int, Interrupted]
    ) -> tuple[Prepared, dict[int, Rejoining], dict[str, Any]]:
        """Return the problem of the nodes that remain, what each goes on with, and the departure; collective.

        Parameters
        ----------
        cluster, kept
            The nodes that remain, and their ranks before.
        stood
            Where the nodes of this process stood, by their ranks before.
        """
        everyone = standings(cluster.processes, stood.values())
        nodes = tuple(self.nodes[rank] for rank in kept)
        shards = {place: self.prepared.shards[rank] for place, rank in enumerate(kept) if rank in stood}
        prepared = self._shrunk(cluster, nodes, everyone.round, shards)
        when = [at.left for at in stood.values() if at.left is not None]
        when = when or [Left(everyone.round, everyone.iteration, everyone.seconds)]
        departure = {
            "nodes": sorted(set(self.nodes).difference(nodes)),
            "round": max(at.round for at in when),
            "iteration": max(at.iteration for at in when),
            "seconds": max(at.seconds for at in when),
            "rows": self.prepared.problem.total - prepared.problem.total,
            "remaining": len(nodes),
        }
        return prepared, self._rejoin(stood, kept, everyone), departure

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Note which nodes of an asynchronous run have left; collective."""
        conditions, processes = self.prepared.conditions, self.prepared.cluster.processes
        if self.solver.needs.pace == "rounds" or not (conditions.heterogeneity.departures or conditions.faults):
            return
        own = zip(self.prepared.cluster.local_nodes, outcomes, strict=True)
        left = {rank: outcome.left for rank, outcome in own if outcome.left is not None}
        rows = {rank: self.prepared.shards[rank].matrix.n for rank in left}
        leavers = [[at.seconds, rank, at.round, at.iteration, rows[rank]] for rank, at in left.items()]
        told = np.concatenate(processes.allgather(np.array(leavers, dtype=np.float64).reshape(-1))).reshape(-1, 5)
        for before, (seconds, *numbers) in enumerate(sorted(told.tolist())):
            rank, round_, iteration, lost = map(int, numbers)
            when = {"round": round_, "iteration": iteration, "seconds": seconds}
            self.departures.append({"nodes": [rank], **when, "rows": lost, "remaining": len(self.nodes) - before - 1})

    def _rejoin(
        self, stood: Mapping[int, Interrupted], kept: Sequence[int], everyone: Standings
    ) -> dict[int, Rejoining]:
        """Return what the nodes of this process go on with, by their new ranks."""
        places = {rank: place for place, rank in enumerate(kept)}
        latest = max((at.node["clock"] for at in stood.values() if at.left is not None), default=0.0)
        lost = missing(everyone, self.prepared.problem)
        waited = self.prepared.cluster.clock == "wall"
        return {
            places[rank]: Rejoining(
                at.state,
                everyone.iteration,
                {
                    **renumbered(at.node, places, self.nodes),
                    "clock": max(at.node["clock"] + waited * (time.monotonic() - at.at), latest),
                },
                everyone.records,
                at.counts,
                NOTHING if places[rank] else lost,
            )
            for rank, at in stood.items()
            if rank in places
        }

    def _shrunk(self, cluster: Cluster, nodes: tuple[int, ...], round_: int, shards: dict[int, Shard]) -> Prepared:
        """Return the problem of the nodes that remain; collective."""
        start, problem = self._start, self._start.problem
        here = np.array([[shard.matrix.n, shard.matrix.nnz] for shard in shards.values()], dtype=np.float64).sum(axis=0)
        rows, entries = (int(number) for number in cluster.processes.sum(here))
        if not rows:
            raise AgreedError("the nodes that remain hold no rows")
        lost = problem.total - rows, problem.entries - entries
        remaining = Remaining(nodes, start.cluster.size)
        return replace(
            start,
            cluster=cluster,
            conditions=made_once(cluster.processes, lambda: remaining_conditions(start.conditions, remaining, round_)),
            problem=replace(problem, total=rows, entries=entries, lost_rows=lost[0], lost_entries=lost[1]),
            shards=shards,
        )


def remaining_conditions(conditions: Conditions, remaining: Remaining, round_: int) -> Conditions:
    """Return the conditions of the nodes that remain, given those of all.

    Parameters
    ----------
    round_
        The round in which they go on.

    Raises
    ------
    InputError
        If the hub network cannot do without the others.
    """
    mixing, hubs, rates, nodes = conditions.mixing, conditions.hubs, conditions.rates, remaining.nodes
    return replace(
        conditions,
        mixing=None if mixing is None else mixing_without(mixing, remaining.lost),
        hubs=None if hubs is None else hubs_without(hubs, remaining.lost),
        rates=None if rates is None else tuple(rates[node] for node in nodes),
        faults=tuple(_renumbered(fault, nodes) for fault in conditions.faults if _is_ahead(fault, nodes, round_)),
        remaining=remaining,
    )


def _is_ahead(fault: Fault, nodes: Sequence[int], round_: int) -> bool:
    """Return whether a fault concerns nodes that remain, and can still happen; a message is corrupted only once."""
    return set(fault.ranks) <= set(nodes) and not (fault.kind == "corrupt" and fault.round <= round_)


def _renumbered(fault: Fault, nodes: Sequence[int]) -> Fault:
    """Return a fault of nodes that remain, under their new ranks."""
    if fault.kind in {"drop-link", "corrupt"}:
        return replace(fault, source=nodes.index(fault.source), target=nodes.index(fault.target))
    return replace(fault, rank=nodes.index(fault.rank))


def _workers_among(conditions: Conditions, nodes: Sequence[int]) -> list[int]:
    """Return the places of the workers that remain, among those at the start."""
    workers = nodes if conditions.hubs is None else conditions.hubs.workers
    return [place for place, worker in enumerate(workers) if worker in nodes]


def in_words(departure: Mapping[str, Any], start: Prepared) -> str:
    """Return a departure in one line, for a run that started with `start`."""
    left, number = departure["remaining"], len(departure["nodes"])
    lost = f"{departure['rows']:,} of {start.problem.total:,} rows"
    known = [name for name, value in (("target", start.goal.target), ("optimum", start.optimum)) if value is not None]
    still = f" ({' and '.join(known)}: of all rows, as before)" if known and departure["rows"] else ""
    return (
        f"{nodes_in_words(departure['nodes'])} left in round {departure['round']} with {lost}; {left} "
        f"node{'s' * (left > 1)} go{'es' * (left == 1)} on without {'it' if number == 1 else 'them'}{still}"
    )
