"""Reads the files of a run's folder, and checks their contents before they are used.

They may come from another version, be edited by hand, or be damaged in any byte. Every error is one line with the file
and the line or key.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect as kinds
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from hpcopt.annotations import Count, Whole, explained, shown
from hpcopt.errors import InputError
from hpcopt.files import text_of
from hpcopt.results.choice import Criterion
from hpcopt.results.goal import WHOSE, Nearness
from hpcopt.results.record import Record
from hpcopt.results.stopping import Status

_Nodes = Annotated[int, Meta(ge=1, lt=2**31)]


@dataclass(frozen=True, kw_only=True)
class _Stop:
    target: float | Nearness | None = None
    target_on: Literal[tuple(WHOSE)] = "objective"  # type: ignore[valid-type]


@dataclass(frozen=True, kw_only=True)
class _Problem:
    start: str = "zeros"
    optimum: float | str | None = None
    l2: float | str | None = None


@dataclass(frozen=True, kw_only=True)
class _Data:
    path: str | None = None
    labels: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Cluster:
    workers: int | None = None
    topology: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class _Specification:
    stop: _Stop = field(default_factory=_Stop)
    problem: _Problem = field(default_factory=_Problem)
    data: _Data = field(default_factory=_Data)
    cluster: _Cluster = field(default_factory=_Cluster)


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    rows: Count | None = None
    features: Count | None = None
    checksum: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Optimum:
    value: float


@dataclass(frozen=True, kw_only=True)
class _Departure:
    nodes: tuple[Whole, ...]
    round: Whole
    rows: Whole


@dataclass(frozen=True, kw_only=True)
class _Result:
    """The keys of a result that tables read; a number is null if it is not finite."""

    status: Literal[tuple(each.name.lower() for each in Status)]  # type: ignore[valid-type]
    message: str = ""
    rounds: Whole | None = None
    seconds: float | None = None
    bytes: Whole | None = None
    bytes_up: Whole | None = None
    bytes_down: Whole | None = None
    bytes_by_link: dict[str, Whole] | None = None
    slots: Whole | None = None
    work: float | None = None
    objective: float | None = None
    mean_objective: float | None = None
    worst_objective: float | None = None
    consensus: float | None = None
    grad_norm: float | None = None
    nonzeros: Whole | None = None
    test_accuracy: float | None = None
    test_error: float | None = None
    departures: tuple[_Departure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Environment:
    command: list[str] = field(default_factory=list)
    folder: str = ""
    hosts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The keys of run.json that are read; it has more, and other versions may have others."""

    label: str
    problem: str
    specification: _Specification
    data: _Sizes = field(default_factory=_Sizes)
    solver: str = ""
    nodes: _Nodes = 1
    seed: Whole = 0
    cluster: str = ""
    clock: str = ""
    topology: str = ""
    hub_ranks: tuple[Whole, ...] = ()
    optimum: _Optimum | None = None
    target: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    phases_over_ranks: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    environment: _Environment = field(default_factory=_Environment)
    result: _Result | None = None


@dataclass(frozen=True, kw_only=True)
class ListedRun:
    """A run of a comparison, as listed in its compare.json.

    Parameters
    ----------
    folder
        Its folder, relative to that of the comparison.
    solver
        The label of its solver's table.
    label
        Its cell's label.
    values
        Its values of the keys of the grid.
    seed
        Its seed.
    """

    folder: str
    solver: str
    label: str
    seed: Whole = 0
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Index:
    """The contents of a compare.json: the runs of a comparison in order, and by what the best of a grid is chosen."""

    runs: tuple[ListedRun, ...]
    best: Criterion = "objective"


@dataclass(frozen=True, kw_only=True)
class _Index:
    runs: tuple[str | ListedRun, ...]  # earlier versions listed the folders only
    best: Criterion = "objective"


def description(path: Path) -> dict[str, Any]:
    """Return the contents of a run.json; without a result, it is that of a run that has not ended.

    Raises
    ------
    InputError
        If it is damaged, or not a run.json.
    OSError
        If it can't be read.
    """
    content = _json(path, text(path))
    if isinstance(content, dict) and "network" in content:  # the name of `topology` in earlier versions
        content["topology"] = content.pop("network")
    described: dict[str, Any] = {"result": None, **_checked(path, content, _Described)}
    nodes, hubs = described.get("nodes"), described.get("hub_ranks", [])
    workers = described["specification"].get("cluster", {}).get("workers")
    if described.get("cluster") == "virtual" and workers not in {None, nodes, (nodes or 0) - len(hubs)}:
        raise InputError(f"{path}: damaged: nodes: {nodes}, but cluster.workers is {workers}")
    if len(set(hubs)) < len(hubs) or max(hubs, default=-1) >= (nodes or 1):
        raise InputError(f"{path}: damaged: hub_ranks: expected different ones of the {nodes} nodes")
    return described


def index(path: Path) -> Index:
    """Return the contents of a compare.json.

    Raises
    ------
    InputError
        If it is damaged, or contains anything but names of folders inside its own.
    OSError
        If it can't be read.
    """
    content = msgspec.convert(_checked(path, _json(path, text(path)), _Index), _Index)
    runs = [ListedRun(folder=run, solver=run, label=run) if isinstance(run, str) else run for run in content.runs]
    for run in runs:
        if not set(run.folder.split("/")).isdisjoint({"", ".", ".."}) or "\0" in run.folder:
            wanted = "expected the names of folders inside its own"
            raise InputError(f"{path}: damaged: runs: {wanted}, got {shown(run.folder)}")
    return Index(runs=tuple(runs), best=content.best)


def records(path: Path) -> list[Record]:
    """Return the records of a trace.jsonl; an incomplete last line, left by an interrupted run, is ignored.

    Raises
    ------
    InputError
        If a line is not a record.
    OSError
        If it can't be read.
    """
    return records_in(path, text(path))


def records_in(path: Path, content: str) -> list[Record]:
    """Return the records in the text of a trace.jsonl, or of a part of it; `path` is for messages."""
    whole, _, _ = content.rpartition("\n")
    read = []
    for number, line in enumerate(whole.split("\n") if whole else [], start=1):
        where = f"{path}, line {number}"
        try:
            read.append(Record.of(_json(where, line)))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
    return read


def table(path: Path, columns: dict[str, Any]) -> NDArray[Any]:
    """Return the rows of a .csv as a structured array with the given columns (name -> type).

    Raises
    ------
    InputError
        If its first line differs, or a line is not such a row.
    OSError
        If it can't be read.
    """
    header, _, rows = text(path).partition("\n")
    if header != ",".join(columns):
        raise InputError(f"{path}: damaged: its first line is {shown(header)}; expected {','.join(columns)}")
    dtype = list(columns.items())
    try:
        return _rows(rows, dtype)
    except (ValueError, OverflowError, TypeError):
        for number, line in enumerate(rows.splitlines(), start=2):
            try:
                _rows(line, dtype)
            except (ValueError, OverflowError, TypeError):
                raise InputError(f"{path}: damaged: line {number} is {shown(line)}") from None
        raise InputError(f"{path}: damaged") from None


def json_object(path: Path) -> dict[str, Any]:
    """Return the contents of a file with one JSON object.

    Raises
    ------
    InputError
        If it holds anything else.
    OSError
        If it can't be read.
    """
    content = _json(path, text(path))
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged: expected a JSON object")
    return content


def text(path: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    InputError
        If it is not a text file.
    OSError
        If it can't be read.
    """
    try:
        return text_of(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged: not UTF-8 text (byte {error.start:,})") from None


def _rows(lines: str, dtype: list[tuple[str, Any]]) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns if there are no rows
        return np.loadtxt(StringIO(lines), dtype=dtype, delimiter=",", ndmin=1, comments=None)


def _json(where: object, content: str) -> Any:
    """Parse JSON text."""
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if "\n" in content else f"column {error.colno}"
        raise InputError(f"{where}: damaged: {place}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: damaged: {error}") from None


def _checked(path: Path, value: Any, kind: type) -> Any:
    """Return `value` if it is a table of type `kind`, possibly with more keys."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        keys, message = explained(error, kinds.type_info(kind), value)
        raise InputError(f"{path}: damaged: {'.'.join(map(str, keys))}{': ' if keys else ''}{message}") from None
    return value
