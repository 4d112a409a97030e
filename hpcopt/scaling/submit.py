"""Starts what is missing of a study on this machine."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence

from hpcopt.errors import InputError, Remedy
from hpcopt.outputs import check_apart, check_folder
from hpcopt.results import folder as folders
from hpcopt.scaling.commands import launcher
from hpcopt.scaling.folder import FILES
from hpcopt.scaling.points import Point
from hpcopt.scaling.status import Stage, Standing
from hpcopt.scaling.study import Study
from hpcopt.scaling.table import TABLE
from hpcopt.scaling.work import work

STARTED = (Stage.MISSING, Stage.FAILED)
"""The stages of points that a submission starts."""


def local_cores() -> int:
    """Return the number of cores on which this process, and what it starts, may run."""
    return len(os.sched_getaffinity(0))


def check(study: Study) -> None:
    """Raise an error for a study's folder that can't be written, or belongs to something else.

    Raises
    ------
    InputError
        In these cases.
    """
    check_folder(study.folder)
    if re.search(r"[\ud800-\udfff]", str(study.folder)):  # the specification of a point has it, and is UTF-8
        raise InputError(f"{study.folder}: expected a name in UTF-8", Remedy.FOLDER)
    for name in (folders.RUN, folders.INDEX):
        if (study.folder / name).exists():
            raise InputError(f"{study.folder}: holds a run or a comparison ({name}); give the study another folder")
    check_apart([study.folder / name for name in FILES], study.files)


def to_start(points: Sequence[Point], stands: Mapping[str, Standing]) -> list[Point]:
    """Return the points that are neither done nor running nor waiting in the queue, in the order of the study."""
    return [point for point in points if stands[point.name].stage in STARTED]


def submit(study: Study, points: Sequence[Point], *, quiet: bool) -> int:
    """Make points on this machine, one after another; return how many have failed.

    Raises
    ------
    InputError
        If the folder can't be written, or another process makes points of this study; if there is no such launcher.
    """
    check(study)
    program, *_ = launcher(study.table.launch)
    if shutil.which(program) is None and not all(point.place.is_virtual for point in points):
        raise InputError(f"{study.file}: [{TABLE}]: launch: there is no {program} here; expected a command")
    return work(study, points, local_cores(), quiet=quiet)
