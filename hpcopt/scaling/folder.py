"""The files of a study's folder, and what a worker leaves in that of a point.

points/.../          one folder a point: spec.toml, log.txt, point.json, and what `hpcopt run` writes
jobs.json            the jobs of SLURM that were submitted, and the points of each
points.csv           one row a point, written by collect
report.md, ...       the report, its pictures, and STUDY.zip with everything that a reviewer needs
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from hpcopt.errors import InputError, Remedy
from hpcopt.files import text_of
from hpcopt.results.folder import write_json

SPEC, LOG, STATE = "spec.toml", "log.txt", "point.json"
JOBS, LOCK = "jobs.json", "work.lock"
TABLE, REPORT = "points.csv", "report.md"
PICTURES, SPLIT = ("report.png", "report.svg"), ("split.png", "split.svg")
WARM_UP = "warm-up"
FILES = (JOBS, TABLE, REPORT, *PICTURES, *SPLIT)
"""What is written into the folder of a study itself."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What the worker of a point has noted, in point.json.

    Parameters
    ----------
    started
        When, in UTC.
    host, process
        Where the worker is, and its number there.
    code
        The exit code of the run; None until it has ended.
    seconds
        How long the run took, from its start to its end.
    why
        Why the worker has ended the run; empty if it ended by itself.
    """

    started: str
    host: str
    process: int
    code: int | None = None
    seconds: float = 0.0
    why: str = ""


def read_state(folder: Path) -> State | None:
    """Return what the last worker has noted in the folder of a point; None if nothing, or nothing whole."""
    try:
        return msgspec.json.decode((folder / STATE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None  # then the point is run again


def write_state(folder: Path, state: State) -> None:
    """Note it."""
    write_json(folder / STATE, asdict(state))


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job of SLURM.

    Parameters
    ----------
    id
        Its number.
    tasks
        The names of the points of each of its array's tasks; one list if it is no array.
    array
        Whether it is an array.
    """

    id: str
    tasks: list[list[str]]
    array: bool = False

    def of(self, name: str) -> str | None:
        """Return the number, as the queue tells it, of the task that has a point; None if none has."""
        place = next((place for place, names in enumerate(self.tasks) if name in names), None)
        return None if place is None else f"{self.id}_{place}" if self.array else self.id


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs that were submitted, in order.

    Raises
    ------
    InputError
        If the file is damaged, or the folder is none.
    """
    path = folder / JOBS
    try:
        content: Any = json.loads(text_of(path))
        return msgspec.convert(content["jobs"], list[Job])
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise InputError(f"{folder}: is a file, or in one", Remedy.FOLDER) from None
    except (ValueError, TypeError, KeyError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: damaged: {error}; remove it, and submit again what is missing") from None


def write_jobs(folder: Path, jobs: list[Job]) -> None:
    """Write the jobs."""
    write_json(folder / JOBS, {"jobs": [asdict(job) for job in jobs]})
