"""How far the points of a study are, found out from their folders and, for jobs of SLURM, from the queue."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hpcopt.batch import queue
from hpcopt.errors import InputError
from hpcopt.files import open_file
from hpcopt.results import folder as folders
from hpcopt.results.record import Record
from hpcopt.scaling.folder import LOG, Job, State, read_state
from hpcopt.scaling.points import Point
from hpcopt.spec.fingerprint import identity
from hpcopt.spec.specification import as_toml_dict

_ERROR = "hpcopt: error: "
_OURS = re.compile(rf".*{_ERROR}(?P<what>.*)")
_RAISED = re.compile(r"(\[rank \d+\] )?(?P<what>[A-Za-z_.]*(Error|Exception)\b.*)")  # the last line of a traceback
_CHECKPOINTED = 75  # exit code: interrupted, not failed
_MOST_READ = 1 << 16  # of the end of a log, in bytes


class Stage(Enum):
    """How far a point is; the value is the word for it."""

    DONE = "done"
    RUNNING = "running"
    WAITING = "waiting"  # in the queue
    FAILED = "failed"
    MISSING = "missing"


@dataclass(frozen=True)
class Standing:
    """How far a point is, and why: the job that it waits for, or its error."""

    stage: Stage
    why: str = ""


@dataclass(frozen=True)
class Finished:
    """The run of a point that has ended.

    Parameters
    ----------
    described
        The contents of its run.json.
    records
        Its records.
    """

    described: dict[str, Any]
    records: list[Record]

    @property
    def result(self) -> dict[str, Any]:
        """How it ended."""
        found: dict[str, Any] = self.described["result"]
        return found

    @property
    def elapsed(self) -> float:
        """Seconds from its start to its end, reading and writing included."""
        return float(sum(self.described.get("phases", {}).values()))


def finished(point: Point, folder: Path) -> Finished | None:
    """Return the finished run of a point in the folder of its study; None if there is none of this specification.

    A damaged run is none: it is made again.
    """
    try:
        described, records = folders.read(folder / point.name)
    except (InputError, OSError):
        return None
    ended = described.get("result") is not None and folders.has_whole_trace(described, records)
    alike = _identity(described["specification"]) == _identity(as_toml_dict(point.spec))
    nodes = point.place.ranks if not point.place.is_virtual else described.get("nodes")  # hubs are nodes, too
    same = alike and described.get("cluster") == point.place.cluster and described.get("nodes") == nodes
    return Finished(described, records) if ended and same else None


def standings(
    points: Sequence[Point], folder: Path, jobs: Sequence[Job] = (), states: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Standing]:
    """Return how far each point is, by its name.

    Parameters
    ----------
    folder
        That of the study.
    jobs
        The jobs of SLURM that were submitted, in order.
    states
        The number of a job, or of a task of an array -> SLURM's word for its state.
    """
    return {point.name: _standing(point, folder, jobs, states) for point in points}


def _standing(point: Point, folder: Path, jobs: Sequence[Job], states: Mapping[str, str]) -> Standing:
    if finished(point, folder) is not None:
        return Standing(Stage.DONE)
    place = folder / point.name
    state = read_state(place)
    if state is not None and state.code is None and _is_at_work(state):
        return Standing(Stage.RUNNING, f"since {state.started}, process {state.process} on {state.host}")
    number = next((number for job in reversed(jobs) if (number := job.of(point.name)) is not None), "")
    word = states.get(number, "unknown").lower()
    has_begun = (place / LOG).exists()
    if states.get(number) in queue.RUNNING and not (has_begun and _ERROR in _end_of(place / LOG)):
        return Standing(Stage.RUNNING if has_begun else Stage.WAITING, f"job {number}, {word}")
    if has_begun and (state is not None or number):
        if state is not None and state.code in {None, _CHECKPOINTED}:
            return Standing(Stage.MISSING, "interrupted")
        return Standing(Stage.FAILED, _reason(place / LOG, state, f"job {number}: {word}"))
    return Standing(Stage.MISSING, f"job {number} has ended before it ({word})" if number else "")


def _is_at_work(state: State) -> bool:
    """Return whether the worker still exists; of another host nothing is known, and it is taken to."""
    return state.host != platform.node() or Path(f"/proc/{state.process}").exists()


def _reason(log: Path, state: State | None, job: str) -> str:
    """Return why a point has failed: what its worker says, the last error in its log, or its last line."""
    if state is not None and state.why:
        return state.why
    lines = [line.strip() for line in _end_of(log).splitlines() if line.strip()]
    for kind in (_OURS, _RAISED):
        told = next((found["what"] for line in reversed(lines) if (found := kind.match(line))), None)
        if told is not None:
            return told
    if lines:
        return lines[-1]
    return f"ended without a result ({job})" if state is None else f"ended with code {state.code}"


def _end_of(log: Path) -> str:
    """Return the end of a log; what is no text is replaced."""
    try:
        with open_file(log) as file:
            file.seek(max(0, log.stat().st_size - _MOST_READ))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _identity(tables: Mapping[str, Any]) -> str:
    return json.dumps(identity(tables), sort_keys=True)
