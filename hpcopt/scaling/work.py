"""A worker: makes the points of a study on this machine, one after another, and notes how each has ended."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import platform
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.interrupts import undoing
from hpcopt.results.stopping import Status
from hpcopt.scaling.commands import arguments, started, warm_up_arguments
from hpcopt.scaling.folder import LOCK, LOG, SPEC, WARM_UP, State, write_state
from hpcopt.scaling.points import Point
from hpcopt.scaling.status import Finished, finished, standings
from hpcopt.scaling.study import Study
from hpcopt.spec.specification import as_toml_dict
from hpcopt.spec.toml_text import as_toml

_GRACE = 5.0  # seconds given to a run that is told to end


def work(study: Study, points: Sequence[Point], cores: int | None, *, quiet: bool) -> int:
    """Make points; return how many have failed. A point that fails does not stop the others.

    Parameters
    ----------
    cores
        The cores of this machine.
    quiet
        Whether to print nothing.
    """
    failed = 0
    warmed: set[tuple[str, str]] = set()
    with _alone(study.folder):
        for number, point in enumerate(points, start=1):
            crowded = cores is not None and point.place.cores > cores
            write_specification(study, point)
            if (point.label, point.place.cluster) not in warmed:
                warmed.add((point.label, point.place.cluster))
                _warm_up(study, point)
            _make(study, point, crowded=crowded)
            ended = finished(point, study.folder)
            failed += ended is None
            if not quiet:
                print(f"[{number}/{len(points)}] {point.words()}: {_told(study, point, ended)}", flush=True)
    return failed


def write_specification(study: Study, point: Point) -> None:
    """Write the specification of a point into its folder, and remove what an earlier attempt has left there."""
    place = study.folder / point.name
    place.mkdir(parents=True, exist_ok=True)
    (place / LOG).unlink(missing_ok=True)
    with written_whole(place / SPEC) as file:
        file.write(as_toml(as_toml_dict(point.spec), f"{study.name}: {point.words()}"))


def _warm_up(study: Study, point: Point) -> None:
    """Run the solver of a point once on one node, and discard the run; an error is found again by the points."""
    one = replace(point, place=replace(point.place, ranks=1))
    place = study.folder / WARM_UP
    command = started(one, warm_up_arguments(point, study.folder), study.table.launch)
    _ended(command, Path(os.devnull), study.table.time_limit)
    shutil.rmtree(place, ignore_errors=True)


def _make(study: Study, point: Point, *, crowded: bool) -> None:
    place = study.folder / point.name
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    state = State(started=now, host=platform.node(), process=os.getpid())
    write_state(place, state)
    command = started(point, arguments(point, study.folder), study.table.launch, crowded=crowded)
    before = time.monotonic()
    code = _ended(command, place / LOG, study.table.time_limit)
    taken = time.monotonic() - before
    why = f"took longer than the time limit of {study.table.time_limit:g} s" if code is None else ""
    write_state(place, replace(state, code=-signal.SIGKILL if code is None else code, seconds=taken, why=why))


def _ended(command: Sequence[str], log: Path, time_limit: float) -> int | None:
    """Run a command with its output in a file; return its exit code, or None if it was ended after the time limit.

    Raises
    ------
    InputError
        If there is no such command.
    """
    with log.open("wb") as file:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise InputError(f"{command[0]}: {error.strerror}") from None
        interrupted = threading.Event()

        def interrupt() -> None:
            interrupted.set()
            _end(process)

        with undoing(interrupt):
            try:
                code = process.wait(time_limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(process)
            if interrupted.is_set():  # the run has not failed, and this process is about to be ended as well
                threading.Event().wait()
            return code


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a launcher with its ranks: first as a person would, then for good."""
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the study's folder: two workers at once would disturb each other's times, and write to the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder}: another process makes points of this study; wait for its end") from None
        yield


def _told(study: Study, point: Point, ended: Finished | None) -> str:
    if ended is None:
        why = standings([point], study.folder)[point.name].why
        return f"FAILED: {why or 'interrupted'}"
    result = ended.result
    status = Status[result["status"].upper()].value
    return f"{status}, {result['seconds']:.4g} s{' of virtual time' if point.place.is_virtual else ''}"
