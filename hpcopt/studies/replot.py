"""Pictures of runs that are already there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.canvas import drawing
from hpcopt.results.plots import draw_compare, draw_convergence
from hpcopt.results.record import Record
from hpcopt.results.tables import JUDGED, judged
from hpcopt.results.timeline import draw_timeline, write_events
from hpcopt.runs.network import draw_edges


def replot(paths: list[Path], output: Path | None = None) -> list[Path]:
    """Draw one run, several runs, or a comparison's runs in one picture; of one gossip run its network as well.

    Returns
    -------
    list of Path
        The pictures.

    Raises
    ------
    InputError
        If a folder holds no run, or an unfinished one without a record.
    """
    read = [(path, *folders.read(path)) for place in paths for path in _runs(place)]
    for path, _, records in read:
        if not records:
            raise InputError(f"{path}: the run has recorded nothing yet")
    if len(read) == 1 and read[0][0] == paths[0]:
        return _one(*read[0], output)
    stops = [described["specification"]["stop"] for _, described, _ in read]
    target = next((stop["target"] for stop in stops if "target" in stop), None)
    column = stops[0].get("target_on", "objective")
    problems = list(dict.fromkeys(described["problem"] for _, described, _ in read))
    picture = output or paths[0] / folders.COMPARISON
    curves = [(_label(path, described, len(paths)), judged(records, column)) for path, described, records in read]
    with drawing(picture):
        draw_compare(curves, picture, title="; ".join(problems) + JUDGED[column], target=target)
    return [picture]


def replot_timelines(paths: list[Path], output: Path | None = None) -> list[Path]:
    """Draw the timeline of each run, or of each of a comparison's, and write it as events beside the picture.

    Parameters
    ----------
    output
        The picture of a single run; default timeline.png in each run's folder.

    Returns
    -------
    list of Path
        The pictures and the events.

    Raises
    ------
    InputError
        If a folder holds no run, or one that kept no timeline; if several runs are to go into one file.
    """
    folders_of_runs = [path for place in paths for path in _runs(place)]
    if output is not None and len(folders_of_runs) > 1:
        raise InputError(
            f"{output}: one picture cannot hold the timelines of {len(folders_of_runs)} runs; "
            f"give no file, and each run's folder gets its own"
        )
    return [written for folder in folders_of_runs for written in _timeline(folder, output)]


def _timeline(folder: Path, output: Path | None) -> tuple[Path, Path]:
    described, _ = folders.read(folder)
    spans, nodes = folders.read_timeline(folder), described["nodes"]
    if spans is None:
        raise InputError(f"{folder}: no timeline here; a run keeps one with output.timeline = true")
    if spans[:, 0].max(initial=0.0) >= nodes:
        raise InputError(f"{folder / folders.TIMELINE}: damaged (it has more nodes than the run's {nodes})")
    title = f"{described['label']}: {described['problem']}"
    picture = output or folder / folders.TIMELINE_PICTURE
    events = folder / folders.TIMELINE_EVENTS if output is None else output.with_suffix(".trace.json")
    write_events(spans, nodes, events, title)
    with drawing(picture):
        draw_timeline(spans, nodes, picture, title, described["clock"])
    return picture, events


def _one(folder: Path, described: dict[str, Any], records: list[Record], output: Path | None) -> list[Path]:
    stop = described["specification"]["stop"]
    column = stop.get("target_on", "objective")
    picture = output or folder / folders.PICTURE
    title = f"{described['label']}: {described['problem']}{JUDGED[column]}"
    with drawing(picture):
        draw_convergence(judged(records, column), picture, title, target=stop.get("target"))
    if not (folder / folders.EDGES).exists():
        return [picture]
    network = picture.with_name(_beside(picture, output))
    with drawing(network):
        draw_edges(described, folder, network)
    return [picture, network]


def _beside(picture: Path, output: Path | None) -> str:
    """Return the name of the network's picture beside the curves'."""
    return folders.NETWORK if output is None else f"{picture.stem}-network{picture.suffix}"


def _label(path: Path, described: dict[str, Any], places: int) -> str:
    """Return a curve's name: the run's label, and its folder where several were given."""
    return described["label"] if places == 1 else f"{described['label']} ({path})"


def _runs(path: Path) -> list[Path]:
    """Return the run's folder itself, or those of the runs of a comparison in the order they were run."""
    if (path / folders.RUN).exists():
        return [path]
    inner = [path / name for name in folders.listed(path)]
    if not inner:
        raise InputError(f"{path}: no run here (there is neither {folders.RUN} nor {folders.INDEX} in it)")
    return inner
