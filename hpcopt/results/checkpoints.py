"""The checkpoints in a run's folder, written so that an incomplete one can't be mistaken for a whole one.

    checkpoint/00000120/process-0.npz    the state of the nodes of one process, see `hpcopt.results.plain_file`
    checkpoint/00000120/manifest.json    written last: without it, there is no checkpoint

The number is the iteration. A manifest tells whose state it is, and the length and the SHA-256 of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from hpcopt.annotations import Count, Whole, shown
from hpcopt.errors import InputError
from hpcopt.files import UNFINISHED, written_whole
from hpcopt.results import checked
from hpcopt.results.plain_file import Seal, read_plain, sealed

FOLDER, MANIFEST = "checkpoint", "manifest.json"
FORMAT = 1
Kind = Literal["rounds", "replayed", "restarted"]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place in a trace: the records before it, and what shows that they are the same.

    Parameters
    ----------
    records, bytes
        Number of records, and of the bytes of their lines.
    sha256
        SHA-256 of these bytes.
    """

    records: Whole
    bytes: Whole
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a checkpoint is of.

    Parameters
    ----------
    kind
        How the run goes on: "rounds" from the state after an iteration; "replayed": an asynchronous run on virtual
        nodes, which is repeated up to there; "restarted": one on ranks, whose nodes start again from their states.
    iteration
        Iterations so far.
    nodes, solver, fingerprint, data
        The run: number of nodes, the solver's name, the fingerprint of the specification without stop rules, the rows.
    versions
        The versions of hpcopt, Python and numpy.
    trace
        Where the trace was; None if the run had lost it.
    files
        The length and the SHA-256 of the file of each process.
    format
        The version of all this.
    """

    kind: Kind
    iteration: Whole
    nodes: Count
    solver: str
    fingerprint: str
    data: dict[str, Any]
    versions: dict[str, str]
    trace: Mark | None
    files: tuple[Seal, ...]
    format: int = field(default=FORMAT)


def place_of(folder: Path, iteration: int) -> Path:
    """Return the folder of the checkpoint at an iteration of the run in `folder`."""
    return folder / FOLDER / f"{iteration:08d}"


def file_of(place: Path, process: int) -> Path:
    """Return the file of a process in the checkpoint `place`."""
    return place / f"process-{process}.npz"


def whole(folder: Path) -> list[int]:
    """Return the iterations of the complete checkpoints of the run in `folder`, ascending."""
    return sorted(int(place.name) for place in _places(folder) if (place / MANIFEST).exists())


def commit(place: Path, manifest: Manifest) -> None:
    """Make the checkpoint in `place` a complete one, after all its files are on disk.

    Raises
    ------
    OSError
        If the manifest can't be written.
    """
    content = asdict(manifest)
    with written_whole(place / MANIFEST) as file:
        file.write(json.dumps({**content, "sha256": _sum(content)}, indent=1) + "\n")
    for folder in (place, place.parent):
        _sync(folder)


def manifest_of(place: Path) -> Manifest:
    """Return the manifest of a checkpoint.

    Raises
    ------
    InputError
        If it is damaged, or of another format.
    """
    path = place / MANIFEST
    content = checked.json_object(path)
    told = content.pop("sha256", None)
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: format {shown(content.get('format'))}; this version of hpcopt reads format {FORMAT}")
    try:
        manifest = msgspec.convert(content, Manifest)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: damaged: {error}") from None
    if told != _sum(content) or manifest.iteration != int(place.name):
        raise InputError(f"{path}: damaged: it has been changed since it was written")
    return manifest


def state_in(place: Path, process: int, seals: Sequence[Seal]) -> Any:
    """Return the plain data in the file of a process.

    Parameters
    ----------
    seals
        What the manifest says of the file of each process.

    Raises
    ------
    InputError
        If it is missing, truncated or changed.
    """
    path = file_of(place, process)
    if process >= len(seals):
        raise InputError(f"{place / MANIFEST}: damaged: it does not have the file of process {process}")
    seal = seals[process]
    try:
        found = sealed(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if found.bytes < seal.bytes:
        raise InputError(f"{path}: cut short: it has {found.bytes:,} bytes instead of {seal.bytes:,}")
    if found != seal:
        raise InputError(f"{path}: damaged: it has been changed since it was written")
    return read_plain(path)


def remove(folder: Path, *, but: Collection[int] = ()) -> None:
    """Remove the checkpoints of the run in `folder`, complete or not, as far as possible.

    Parameters
    ----------
    but
        The iterations of those that stay.
    """
    for place in _places(folder):
        if int(place.name) not in but:
            with suppress(OSError):
                _remove(place)
    with suppress(OSError):
        (folder / FOLDER).rmdir()  # if it is empty


def _places(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        yield from [place for place in (folder / FOLDER).iterdir() if place.name.isdecimal() and place.is_dir()]


def _remove(place: Path) -> None:
    """Remove a checkpoint, its manifest first."""
    for path in (place / MANIFEST, *place.glob("process-*.npz"), *place.glob(UNFINISHED)):
        path.unlink(missing_ok=True)
    place.rmdir()


def _sum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sync(folder: Path) -> None:
    """Let the names in a folder reach the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
