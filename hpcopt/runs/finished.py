"""A finished run in Python: as it ended, or read from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hpcopt.fabric.interface import Group
from hpcopt.models.model import Model
from hpcopt.models.model import load as load_model
from hpcopt.results import folder as folders
from hpcopt.results.goal import Goal
from hpcopt.results.operations import OperationTable, read_operations
from hpcopt.results.record import Record
from hpcopt.results.stopping import Status
from hpcopt.results.trace import Trace
from hpcopt.runs.phases import Phases


@dataclass(frozen=True)
class Run:
    """A finished run, the same on every process.

    Attributes
    ----------
    label
        Its name in tables.
    folder
        Its output folder; None if nothing was to be written.
    result
        As in run.json: status, message, reached, rounds, iterations, seconds, bytes, messages, work, objective,
        grad_norm.
    records
        The records (on MPI: kept by every rank, written by rank 0).
    phases
        Its wall-clock time by phase.
    goal
        The measure by which it is judged.
    described
        As in run.json: what was run, where, and from what. The process that writes the folder knows the `environment`.
    held
        Its model, unless that is read from the folder when it is used.
    """

    label: str
    folder: Path | None
    status: Status
    result: dict[str, Any]
    records: list[Record]
    phases: Phases
    goal: Goal
    described: dict[str, Any]
    held: Model | None = None

    @classmethod
    def of(cls, described: dict[str, Any], records: list[Record], folder: Path) -> Run:
        """Return the finished run in `folder`, given its run.json and its records."""
        result = described["result"]
        status, phases = Status[result["status"].upper()], Phases(described.get("phases"))
        return cls(described["label"], folder, status, result, records, phases, Goal.of(described), described)

    @property
    def diverged(self) -> bool:
        """Whether the run diverged."""
        return self.status.diverged

    @cached_property
    def trace(self) -> Trace:
        """The records as in trace.jsonl, and its columns: `run.trace["objective"]`."""
        return Trace(self.records)

    @cached_property
    def model(self) -> Model:
        """The last iterate; after a divergence the best one."""
        if self.held is not None:
            return self.held
        assert self.folder is not None, "or it is held"
        return load_model(self.folder / folders.MODEL)

    @cached_property
    def operations(self) -> OperationTable | None:
        """What its nodes did how often and for how long, read from its folder; None if there is no table of it."""
        described = {**self.described, "result": self.result}
        return None if self.folder is None else read_operations(self.folder, described)

    def light(self) -> Run:
        """Return the run without its model in memory, if that is in its folder."""
        return self if self.folder is None else replace(self, held=None)


def shared_runs(
    found: Mapping[int, tuple[dict[str, Any], list[Record]]], processes: Group
) -> Mapping[int, tuple[dict[str, Any], list[Record]]]:
    """Return run.json and records of the runs that the first process has found, on every process; collective."""
    if processes.size == 1:
        return found
    own = [(place, described, [record.line() for record in records]) for place, (described, records) in found.items()]
    text = processes.allgather(np.frombuffer(json.dumps(own).encode(), dtype=np.uint8))[0]
    return {
        place: (described, [Record.of(json.loads(line)) for line in lines])
        for place, described, lines in json.loads(bytes(text))
    }
