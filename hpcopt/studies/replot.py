"""Pictures of finished runs."""

from __future__ import annotations

from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.outputs import check_apart, check_file
from hpcopt.results import folder as folders
from hpcopt.results.canvas import drawing
from hpcopt.results.look import Look
from hpcopt.results.terminal import warn
from hpcopt.results.text_tables import write_table
from hpcopt.results.timeline import draw_timeline, write_events
from hpcopt.runs.topology import draw_edges
from hpcopt.studies.operations import WITHOUT, Operations
from hpcopt.studies.overlay import Overlay
from hpcopt.studies.places import runs_in


def check_pictures(
    paths: list[Path],
    output: Path | None = None,
    *,
    timeline: bool = False,
    operations: bool = False,
    table: str | None = None,
) -> None:
    """Raise an error for files that cannot be written or would overwrite their inputs; no run is read yet.

    Raises
    ------
    InputError
        With the file; also if a folder contains no run.
    """
    if output is not None:
        check_file(output)
    runs = [run for place in paths for run in runs_in(place)]
    if operations:
        pictures = [output or paths[0] / folders.OPERATIONS_PICTURE]
    elif output is not None:
        pictures = [
            output,
            output.with_suffix(".trace.json") if timeline else output.with_name(_beside(output, output)),
        ]
    elif timeline:
        pictures = [run / name for run in runs for name in (folders.TIMELINE_PICTURE, folders.TIMELINE_EVENTS)]
    else:
        pictures = [paths[0] / name for name in (folders.PICTURE, folders.TOPOLOGY, folders.COMPARISON)]
    pictures += [] if table is None else [_table(paths, output, table)]
    for picture in pictures:
        check_file(picture)
    check_apart(pictures, [place / name for place in [*paths, *runs] for name in folders.NOT_DRAWN])


def replot(
    paths: list[Path],
    output: Path | None = None,
    *,
    force: bool = False,
    look: Look | None = None,
    table: str | None = None,
) -> list[Path]:
    """Draw one run, several runs, or a comparison's runs in one picture; for one gossip run also its topology.

    For an interrupted comparison, the runs that have begun are drawn; missing and unfinished runs are named on the
    error stream and in the picture.

    Parameters
    ----------
    output
        The picture; default: in the (first) folder.
    force
        Whether runs of different problems may be drawn in one picture; the legend then shows the differences.
    look
        The choices for the picture.
    table
        A format of `text_tables`: the runs' table is written as well, beside the picture.

    Returns
    -------
    list of Path
        The pictures, and the table.

    Raises
    ------
    InputError
        If a folder contains no run, or only one without records; if runs are of different problems.
    """
    shown, look = Overlay.of(paths, force=force), look or Look()
    picture = output or paths[0] / (folders.PICTURE if shown.is_single else folders.COMPARISON)
    written = [picture]
    with drawing(picture):
        shown.draw(picture, look)
    if shown.is_single and (paths[0] / folders.EDGES).exists():
        diagram = picture.with_name(_beside(picture, output))
        with drawing(diagram):
            draw_edges(shown.runs[0].described, paths[0], diagram)
        written.append(diagram)
    if table is not None:
        written.append(_table(paths, output, table))
        write_table(shown.rows(look.labels), shown.goal, written[-1])
    return written


def redraw(folder: Path, look: Look, table: str | None) -> None:
    """Draw a comparison that has just ended with another look, and write its table; a failure is a line on stderr."""
    try:
        replot([folder], look=look, table=table)
    except InputError as error:
        warn(error.message)


def _table(paths: list[Path], output: Path | None, name: str) -> Path:
    """Return the file of the table in this format."""
    return paths[0] / folders.TEXT_TABLES[name] if output is None else output.with_suffix(f".{name}")


def replot_timelines(paths: list[Path], output: Path | None = None) -> list[Path]:
    """Draw the timeline of each run, or of each run of a comparison, and write its events next to the picture.

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
        If a folder contains no run, or one without a timeline; if one file is given for several runs.
    """
    folders_of_runs = [path for place in paths for path in runs_in(place)]
    if output is not None and len(folders_of_runs) > 1:
        raise InputError(
            f"{output}: one picture cannot show the timelines of {len(folders_of_runs)} runs; "
            f"give no file, and each run's folder gets its own"
        )
    return [written for folder in folders_of_runs for written in _timeline(folder, output)]


def replot_operations(paths: list[Path], output: Path | None = None, *, force: bool = False) -> list[Path]:
    """Draw where the time of the nodes of each run went, in one picture.

    Parameters
    ----------
    output
        The picture; default operations.png in the (first) folder.
    force
        Whether runs of different problems may be in one picture.

    Raises
    ------
    InputError
        If a folder contains no run, if no run has a table of operations, or if runs are of different problems.
    """
    overlay = Overlay.of(paths, force=force)
    picture = output or paths[0] / folders.OPERATIONS_PICTURE
    operations = Operations.of(overlay).needed()
    for name in operations.without:
        warn(f"{name}: no table of operations; {WITHOUT}")
    with drawing(picture):
        operations.draw(picture, overlay.problems)
    return [picture]


def _timeline(folder: Path, output: Path | None) -> tuple[Path, Path]:
    described, _ = folders.read(folder)
    spans, nodes = folders.read_timeline(folder), described.get("nodes", 1)
    if spans is None:
        raise InputError(f"{folder}: no timeline here; a run keeps one with output.timeline = true")
    if spans[:, 0].max(initial=0.0) >= nodes:
        raise InputError(f"{folder / folders.TIMELINE}: damaged (it has more nodes than the run's {nodes})")
    title = f"{described['label']}: {described['problem']}"
    picture = output or folder / folders.TIMELINE_PICTURE
    events = folder / folders.TIMELINE_EVENTS if output is None else output.with_suffix(".trace.json")
    write_events(spans, nodes, events, title)
    with drawing(picture):
        hubs = described.get("hub_ranks", ())
        draw_timeline(spans, nodes, picture, title, described.get("clock", "unknown"), hubs)
    return picture, events


def _beside(picture: Path, output: Path | None) -> str:
    """Return the name of the topology's picture, given that of the curves."""
    return folders.TOPOLOGY if output is None else f"{picture.stem}-topology{picture.suffix}"
