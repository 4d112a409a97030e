"""`hpcopt report DIR...`: one file about finished runs or a comparison, for readers who judge them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.outputs import check_apart, check_file
from hpcopt.results import folder as folders
from hpcopt.results.canvas import drawing
from hpcopt.results.document import as_markdown, in_html
from hpcopt.results.look import Look
from hpcopt.studies.overlay import Overlay, runs_in
from hpcopt.studies.sections import sections

FORMATS = (".html", ".md")
"""The suffixes of a report."""


def report(paths: Sequence[Path], output: Path, *, force: bool = False) -> list[Path]:
    """Write a report about finished runs of one problem, or a comparison.

    Of an interrupted comparison, the finished runs are reported, and the others are named.

    Parameters
    ----------
    output
        The file, ending in .html, with pictures inside, or in .md, with a picture beside it.
    force
        Whether runs of different problems may be in one report; it then shows the differences.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        For a file of another kind, or one that cannot be written; if a folder contains no finished run; if runs are of
        different problems, without `force`.
    """
    picture = output.with_suffix(".png")
    is_page = output.suffix.lower() == ".html"
    _check(paths, output, picture)
    overlay = _finished(Overlay.of(paths, force=force))
    title = "; ".join(dict.fromkeys(run.described["problem"] for run in overlay.runs))
    with tempfile.TemporaryDirectory() as scratch:
        if is_page:
            picture = Path(scratch) / picture.name
        with drawing(output if is_page else picture):
            overlay.draw(picture, Look())
        blocks = sections(overlay, picture)
        text = in_html(title, blocks) if is_page else as_markdown(title, blocks)
    with written_whole(output) as file:
        file.write(text)
    return [output] if is_page else [output, picture]


def _check(paths: Sequence[Path], output: Path, picture: Path) -> None:
    """Raise an error for an output that cannot be written, or is one of the inputs."""
    if output.suffix.lower() not in FORMATS:
        given = f"'{output.suffix}'" if output.suffix else "no suffix"
        raise InputError(f"{output}: a report's suffix is one of {', '.join(FORMATS)}; got {given}")
    written = [output] if output.suffix.lower() == ".html" else [output, picture]
    for file in written:
        check_file(file)
    places = [*paths, *(run for place in paths for run in runs_in(place))]
    check_apart(written, [place / name for place in places for name in folders.NOT_DRAWN])


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
