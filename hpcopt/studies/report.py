"""`hpcopt report DIR...`: one file about finished runs or a comparison, for readers who judge them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hpcopt.errors import InputError, Remedy
from hpcopt.files import written_whole
from hpcopt.outputs import check_apart, check_file
from hpcopt.results import folder as folders
from hpcopt.results.canvas import drawing
from hpcopt.results.document import as_markdown, in_html, is_report
from hpcopt.results.look import Look
from hpcopt.studies.operations import Operations
from hpcopt.studies.overlay import Overlay
from hpcopt.studies.places import runs_in
from hpcopt.studies.sections import sections

FORMATS = (".html", ".md")
"""The suffixes of a report."""


def report(paths: Sequence[Path], output: Path, *, force: bool = False, overwrite: bool = False) -> list[Path]:
    """Write a report about finished runs of one problem, or a comparison.

    Of an interrupted comparison, the finished runs are reported, and the others are named. An earlier report in the
    same file is replaced.

    Parameters
    ----------
    output
        The file, ending in .html, with pictures inside, or in .md, with pictures beside it.
    force
        Whether runs of different problems may be in one report; it then shows the differences.
    overwrite
        Whether files that are no report may be replaced.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        For a file of another kind, one that cannot be written or that is no report; if a folder contains no finished
        run; if runs are of different problems, without `force`.
    """
    is_page = output.suffix.lower() == ".html"
    beside = (output.with_suffix(".png"), output.with_name(f"{output.stem}-operations.png"))
    _check(paths, output, () if is_page else beside, overwrite=overwrite)
    overlay = _finished(Overlay.of(paths, force=force))
    operations = Operations.of(overlay)
    title = "; ".join(dict.fromkeys(run.described["problem"] for run in overlay.runs))
    with tempfile.TemporaryDirectory() as scratch:
        picture, bars = (Path(scratch) / file.name for file in beside) if is_page else beside
        with drawing(f"the picture in {output}" if is_page else picture):
            overlay.draw(picture, Look())
        with drawing(f"the picture of operations in {output}" if is_page else bars):
            operations.draw(bars, overlay.problems)
        blocks = sections(overlay, picture, operations, bars)
        text = in_html(title, blocks) if is_page else as_markdown(title, blocks)
    with written_whole(output) as file:
        file.write(text)
    return [output, *(file for file in beside if not is_page and file.exists())]


def _check(paths: Sequence[Path], output: Path, beside: Sequence[Path], *, overwrite: bool) -> None:
    """Raise an error for an output that cannot be written, is one of the inputs, or is somebody's other file."""
    if output.suffix.lower() not in FORMATS:
        given = f"'{output.suffix}'" if output.suffix else "no suffix"
        raise InputError(f"{output}: a report's suffix is one of {', '.join(FORMATS)}; got {given}")
    for file in (output, *beside):
        check_file(file)
    places = [*paths, *(run for place in paths for run in runs_in(place))]
    check_apart([output, *beside], [place / name for place in places for name in folders.NOT_DRAWN])
    if overwrite:
        return
    if output.exists() and not is_report(output):
        raise InputError(f"{output}: is there already and is no report of hpcopt", Remedy.FILE)
    for file in beside:
        if file.exists() and not (output.exists() and is_report(output, showing=file)):
            raise InputError(f"{file}: is there already, and {output} would have a picture of that name", Remedy.FILE)


def _finished(overlay: Overlay) -> Overlay:
    """Return the finished runs; the others of a comparison are missing."""
    left = [run for run in overlay.runs if run.described.get("result") is None]
    given = [run for run in left if run.path in overlay.paths]
    if given:
        raise InputError(f"{given[0].path}: the run has not finished; plot shows what it has recorded")
    runs = [run for run in overlay.runs if run not in left]
    if not runs:
        raise InputError(f"{overlay.paths[0]}: none of its runs has finished")
    unlike = {
        key: [value for run, value in zip(overlay.runs, values, strict=True) if run not in left]
        for key, values in overlay.unlike.items()
    }
    return Overlay(overlay.paths, runs, [*overlay.missing, *(str(run.path) for run in left)], unlike)
