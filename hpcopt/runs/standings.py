"""What the nodes that remain tell each other of where they stood when others left, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpcopt.fabric.interface import Group
from hpcopt.problems.problem import Problem
from hpcopt.results.record import Record
from hpcopt.runs.checkpoint import Snapshot
from hpcopt.runs.interrupted import Interrupted
from hpcopt.runs.measuring import NOTHING, Counts

_LARGEST = ("rounds", "busiest")  # counts of which records have the largest of any node, and not the sum


@dataclass(frozen=True)
class Standings:
    """Where all nodes that remain stood.

    Parameters
    ----------
    iteration
        The largest number of iterations of any.
    round, seconds
        The largest number of rounds, and the latest clock.
    records
        The run's first record, and the last that any of them knows; None before there are any.
    counts
        The sums of their own counts in the last record.
    """

    iteration: int
    round: int
    seconds: float
    records: tuple[Record, Record] | None
    counts: Counts


def standings(group: Group, own: Collection[Interrupted]) -> Standings:
    """Return where all nodes stood, the same on every process; collective over the processes of those that remain.

    Parameters
    ----------
    own
        Those of this process. Those that have left also know records, perhaps one that the others were about to learn.
    """
    told = [
        {
            "remains": at.left is None,
            "iteration": at.iteration,
            "round": at.node["ledger"]["solver"]["rounds"],
            "seconds": at.node["clock"],
            "records": None if at.records is None else [record.line() for record in at.records],
            "counts": [[iteration, asdict(counts)] for iteration, counts in at.counts.items()],
        }
        for at in own
    ]
    parts = group.allgather(np.frombuffer(json.dumps(told).encode(), dtype=np.uint8))
    everyone = [one for part in parts for one in json.loads(bytes(part))]
    known = [[Record.of(json.loads(line)) for line in one["records"]] for one in everyone if one["records"]]
    everyone = [one for one in everyone if one["remains"]]
    iteration, round_, seconds = (max(one[name] for one in everyone) for name in ("iteration", "round", "seconds"))
    if not known:
        return Standings(iteration, round_, seconds, None, NOTHING)
    last = max((last for _, last in known), key=lambda record: record.iteration)
    counts = _sum([dict(one["counts"]).get(last.iteration) for one in everyone])
    return Standings(iteration, round_, seconds, (known[0][0], last), counts)


def missing(stood: Standings, problem: Problem) -> Counts:
    """Return the counts of the nodes that are gone: what the last record has more than the others' counts."""
    if stood.records is None:
        return NOTHING
    last, others = stood.records[1], stood.counts
    by_link = last.bytes_by_link or {}
    whole = Counts(
        bytes=last.bytes,
        down=last.bytes_down or 0,
        messages=last.messages,
        touched=last.work * (problem.entries + problem.lost_entries),
        rounds=last.round,
        busiest=last.edge_bytes or 0,
        over_edges=last.model_bytes or 0,
        steps=last.gradients or 0,
        by_class=by_link,
    )
    numbers = {
        name: max(0, value - getattr(others, name))
        for name, value in vars(whole).items()
        if name not in {"by_class", *_LARGEST}
    }
    largest = {name: getattr(whole, name) for name in _LARGEST}
    classes = {name: max(0, size - others.by_class.get(name, 0)) for name, size in by_link.items()}
    return Counts(**numbers, **largest, by_class=classes)


def _sum(parts: Sequence[Mapping[str, Any] | None]) -> Counts:
    """Return the sum of the counts; those of a node that was not in the record are missing."""
    known = [part for part in parts if part is not None]
    classes = {name for part in known for name in part["by_class"]}
    return Counts(
        **{name: sum(part[name] for part in known) for name in vars(NOTHING) if name != "by_class"},
        by_class={name: sum(part["by_class"].get(name, 0) for part in known) for name in classes},
    )


def renumbered(node: Snapshot, places: Mapping[int, int], nodes: Sequence[int]) -> Snapshot:
    """Return a node's snapshot with the bytes over each edge under the new ranks.

    Those over edges to nodes that are gone stay under -1 minus their rank at the start: see `target`.

    Parameters
    ----------
    places
        Rank -> new rank, of the nodes that remain.
    nodes
        The rank that each node had at the start, by its rank before the departure.
    """
    account = node["ledger"]["solver"]
    targets = [places.get(rank, -1 - nodes[rank]) if rank >= 0 else rank for rank in account["targets"].tolist()]
    solver = {**account, "targets": np.array(targets, dtype=np.int64)}
    return {**node, "ledger": {**node["ledger"], "solver": solver}}


def target(rank: int, nodes: Sequence[int]) -> int:
    """Return the rank at the start of an edge's target, given as the ledger has it after `renumbered`."""
    return nodes[rank] if rank >= 0 else -1 - rank
