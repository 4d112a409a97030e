"""One file with a whole study, for readers who judge it: they can make any point again from its row."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

from hpcopt.files import written_whole
from hpcopt.results import folder as folders
from hpcopt.scaling.folder import FILES, LOG, SPEC, STATE
from hpcopt.scaling.study import Study

_OF_POINT = (SPEC, STATE, LOG, folders.RUN, folders.TRACE, folders.OPERATIONS)


def archive(study: Study, names: Iterable[str]) -> Path:
    """Write the study, its points and its report to a file in its folder; return its path.

    Models and data are not in it: `hpcopt rerun` makes the models again, and checksums tell whether data are the same.
    Other files that the runs read are, such as solvers of one's own.

    Parameters
    ----------
    names
        The folders of the points.
    """
    whole = study.folder / f"{study.name}.zip"
    data = {file for spec in study.specifications.values() for file in spec.data.files}
    read = [path for path in study.files if path not in data and path.is_file()]
    with written_whole(whole, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in dict.fromkeys(read):
            packed.write(path, f"{study.name}/{path.name if path == study.file else _inside(path)}")
        inside = [Path(name) / each for name in names for each in _OF_POINT]
        for path in [*map(Path, FILES), *inside]:
            if (study.folder / path).is_file():
                packed.write(study.folder / path, f"{study.name}/{path}")
    return whole


def _inside(path: Path) -> Path:
    """Return where a file is in the archive: where runs look for it, unless that is outside the current folder."""
    return Path(path.name) if path.is_absolute() or ".." in path.parts else path
