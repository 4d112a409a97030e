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

    Parameters
    ----------
    names
        The folders of the points.
    """
    whole = study.folder / f"{study.name}.zip"
    own = [study.file, *([] if study.table.specification is None else study.files[1:2])]
    with written_whole(whole, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in own:
            packed.write(path, f"{study.name}/{path.name}")
        inside = [Path(name) / each for name in names for each in _OF_POINT]
        for path in [*map(Path, FILES), *inside]:
            if (study.folder / path).is_file():
                packed.write(study.folder / path, f"{study.name}/{path}")
    return whole
