"""The output folder of a run, written so that an incomplete run can't be mistaken for a result.

    run.json            specification, versions, hosts, seed; "result" appears in it when the run has ended
    trace.jsonl         one record per line (`hpcopt.results.record`), appended during the run
    checkpoint/         states from which the run can be resumed (`hpcopt.results.checkpoints`)
    model.npz           the model            convergence.png    the picture
    edges.csv           of a decentralised solver: sender, receiver, bytes of every edge; topology.png draws it
    operations.csv      what each node did how often, for how long, and with how many bytes
    timeline.csv        if requested: what each node did when; timeline.png draws it, timeline.trace.json is for viewers

A comparison writes compare.csv, compare.png and compare.json, which lists its runs in order; with grids also grid.csv,
and, if requested, compare.tex and compare.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.timeline import KINDS
from hpcopt.files import UNFINISHED, written_whole
from hpcopt.outputs import check_apart, check_folder
from hpcopt.results import checked, checkpoints
from hpcopt.results.record import Record
from hpcopt.results.text_tables import FORMATS

RUN, TRACE, MODEL, PICTURE = "run.json", "trace.jsonl", "model.npz", "convergence.png"
EDGES, TOPOLOGY = "edges.csv", "topology.png"
OPERATIONS, OPERATIONS_PICTURE = "operations.csv", "operations.png"
TIMELINE, TIMELINE_PICTURE, TIMELINE_EVENTS = "timeline.csv", "timeline.png", "timeline.trace.json"
TABLE, COMPARISON, INDEX, GRID = "compare.csv", "compare.png", "compare.json", "grid.csv"
TEXT_TABLES = {name: f"compare.{name}" for name in FORMATS}
NOT_DRAWN = (RUN, TRACE, MODEL, EDGES, OPERATIONS, TIMELINE, TABLE, INDEX, GRID)
_FORMER = "network.png"  # written by earlier versions
OURS = (
    *(*NOT_DRAWN, PICTURE, TOPOLOGY, _FORMER, OPERATIONS_PICTURE, TIMELINE_PICTURE, TIMELINE_EVENTS, COMPARISON),
    *TEXT_TABLES.values(),
)


def check(
    folder: Path,
    inner: Sequence[str] = (),
    *,
    overwrite: bool,
    resume: bool = False,
    inputs: Iterable[Path] = (),
) -> None:
    """Raise an error for a folder that cannot take a new run or comparison; nothing is changed.

    Parameters
    ----------
    inner
        The names of the folders of a comparison's runs.
    overwrite
        Whether its contents may be replaced.
    resume
        Whether the run or the comparison in it is continued.
    inputs
        The input files; none of them may be written or removed by the run.

    Raises
    ------
    InputError
        If it holds another run and `overwrite` is false, if it is not a folder, or if it is not writable.
    """
    for place in (folder, *(folder / name for name in inner)):
        check_folder(place)
        for name in OURS:
            if (place / name).is_dir():
                raise InputError(f"{place / name}: is a folder, but a run writes a file of that name", Remedy.FOLDER)
    try:
        names = listed(folder)
    except InputError as error:
        if not (overwrite or (resume and inner)):
            raise InputError(error.message, Remedy.CONTINUE if inner else Remedy.OVERWRITE) from None
        names = list(inner)
    places = [folder, *(folder / name for name in dict.fromkeys([*inner, *names]))]
    check_apart((place / name for place in places for name in OURS), inputs)
    several = bool(names)
    for place in places:
        held = [name for name in OURS if os.path.lexists(place / name)]
        compared = several and not (place == folder and RUN in held)
        if held and not overwrite and not (resume and (compared if inner else RUN in held)):
            remedy = Remedy.CONTINUE if inner and compared else Remedy.OVERWRITE
            raise InputError(f"{place}: holds another run ({held[0]})", remedy)


def clear(folder: Path) -> None:
    """Create `folder`, or remove the run or comparison in it; other files are kept."""
    for name in readable(folder):
        _remove_run(folder, name)
    _remove_files(folder)
    folder.mkdir(parents=True, exist_ok=True)


def clear_for_more(folder: Path, iteration: int) -> None:
    """Prepare a run's folder for the rest of the run, from its checkpoint at `iteration`."""
    described = checked.description(folder / RUN)
    write_json(folder / RUN, {**described, "result": None})  # first: from now on, it is not finished
    _remove_files(folder, but=(RUN, TRACE))
    checkpoints.remove(folder, but=[saved for saved in checkpoints.whole(folder) if saved <= iteration])


def listed(folder: Path) -> list[str]:
    """Return the folders of a comparison's runs, relative to its own, in order; none if there is no comparison."""
    found = index(folder)
    return [] if found is None else [run.folder for run in found.runs]


def readable(folder: Path) -> list[str]:
    """Return the same, but none if the list is damaged; it is about to be written anew."""
    try:
        return listed(folder)
    except InputError:
        return []


def index(folder: Path) -> checked.Index | None:
    """Return the list of a comparison's runs; None if there is no comparison."""
    try:
        return checked.index(folder / INDEX)
    except (FileNotFoundError, NotADirectoryError):
        return None


def kept(folder: Path) -> str:
    """Describe what a run or a comparison has written so far."""
    names = readable(folder)
    if names:
        whole = sum(_is_whole(folder / name) for name in names)
        return f"{whole} of {len(names)} runs in {folder} are complete, and resuming keeps them"
    if _is_whole(folder):
        return f"{folder}: model and result are kept"
    saved = checkpoints.whole(folder)
    if saved:
        return f"{folder}: resuming goes on from the checkpoint at iteration {saved[-1]}"
    return (
        f"{folder}: the trace is kept; there is no result"
        if (folder / TRACE).exists()
        else "nothing has been saved yet"
    )


def _is_whole(folder: Path) -> bool:
    """Return whether a run has ended there."""
    try:
        return json.loads((folder / RUN).read_text(encoding="utf-8"))["result"] is not None
    except (FileNotFoundError, NotADirectoryError):
        return False


def _remove_run(folder: Path, name: str) -> None:
    """Remove the run `name` of the comparison in `folder`, and its folders if they are empty then."""
    _remove_files(folder / name)
    for inner in (folder / name, *(folder / name).parents):
        if inner == folder or (inner.is_dir() and any(inner.iterdir())):
            return
        if inner.is_dir():
            inner.rmdir()


def _remove_files(folder: Path, but: Sequence[str] = ()) -> None:
    """Remove the files of a run or a comparison, and the incomplete files of a killed job."""
    for path in (*(folder / name for name in OURS if name not in but), *folder.glob(UNFINISHED)):
        path.unlink(missing_ok=True)
    if not but:
        checkpoints.remove(folder)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` atomically."""
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_index(folder: Path, content: checked.Index) -> None:
    """Write compare.json."""
    write_json(folder / INDEX, msgspec.to_builtins(content))


def write_edges(folder: Path, edges: NDArray[np.int64]) -> None:
    """Write rows (sender, receiver, bytes), shape (edges, 3), to edges.csv."""
    with written_whole(folder / EDGES) as file:
        np.savetxt(file, edges, fmt="%d", delimiter=",", header="sender,receiver,bytes", comments="")


def read_edges(folder: Path, nodes: int) -> NDArray[np.int64] | None:
    """Return the edges of a run of `nodes` nodes, shape (edges, 3), from edges.csv; None if there is no such file.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    columns = dict.fromkeys(("sender", "receiver", "bytes"), np.int64)
    try:
        table = checked.table(folder / EDGES, columns)
    except FileNotFoundError:
        return None
    edges = np.column_stack([table[name] for name in columns])
    wrong = np.flatnonzero((edges < 0).any(axis=1) | (edges[:, :2] >= nodes).any(axis=1))
    if wrong.size:
        raise InputError(
            f"{folder / EDGES}: damaged (line {wrong[0] + 2} is not an edge between two of the {nodes} nodes)"
        )
    return edges


def write_timeline(folder: Path, spans: NDArray[np.float64]) -> None:
    """Write rows (node, index in KINDS, begin, end), shape (spans, 4), to timeline.csv."""
    with written_whole(folder / TIMELINE) as file:
        file.write("node,kind,begin,end\n")
        file.writelines(
            f"{int(node)},{KINDS[int(kind)]},{begin:.12g},{end:.12g}\n" for node, kind, begin, end in spans.tolist()
        )


def read_timeline(folder: Path) -> NDArray[np.float64] | None:
    """Return the spans in timeline.csv, shape (spans, 4); None if there is no such file.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    columns = {"node": np.int64, "kind": "U16", "begin": np.float64, "end": np.float64}
    try:
        table = checked.table(folder / TIMELINE, columns)
    except FileNotFoundError:
        return None
    kinds = np.full(len(table), -1)
    for place, kind in enumerate(KINDS):
        kinds[table["kind"] == kind] = place
    wrong = np.flatnonzero((kinds < 0) | (table["node"] < 0) | ~(table["begin"] <= table["end"]))
    with np.errstate(over="ignore", invalid="ignore"):
        wrong = np.union1d(wrong, np.flatnonzero(~np.isfinite(table["end"] - table["begin"])))
    if wrong.size:
        raise InputError(f"{folder / TIMELINE}: damaged (line {wrong[0] + 2} is not a span)")
    return np.column_stack((table["node"].astype(np.float64), kinds, table["begin"], table["end"]))


def write_trace(folder: Path, records: Iterable[Record]) -> None:
    """Write all records to trace.jsonl."""
    with written_whole(folder / TRACE) as file:
        file.writelines(record.line() for record in records)


def has_begun(folder: Path) -> bool:
    """Return whether a run was started there; in an unfinished comparison, some folders have none."""
    return (folder / RUN).exists() and (folder / TRACE).exists()


def has_whole_trace(described: Mapping[str, Any], records: Sequence[Record]) -> bool:
    """Return whether the records of a finished run reach its end; a damaged trace lacks the last ones."""
    ended = described["result"].get("rounds")
    return ended is None or (bool(records) and records[-1].round == ended)


def read(folder: Path) -> tuple[dict[str, Any], list[Record]]:
    """Return a run's run.json and its records.

    Raises
    ------
    InputError
        If there is no run, or it is damaged.
    """
    try:
        return checked.description(folder / RUN), checked.records(folder / TRACE)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no run here ({Path(error.filename).name} is missing)") from None
    except NotADirectoryError as error:
        raise InputError(f"{folder}: not a run's folder ({error.strerror})") from None
