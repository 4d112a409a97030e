"""Checks of outputs before the work that produces them, by the process that writes them.

The file (`check_file`) or folder (`check_folder`) must be writable, and it must not be one of the inputs
(`check_apart`). Errors use the name given by the user.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpcopt.errors import InputError, Remedy
from hpcopt.files import UNFINISHED


def check_file(path: Path) -> None:
    """Raise an error for a path to which no file can be written; the check leaves no file behind.

    Raises
    ------
    InputError
        For a folder, a device, a broken link, a path in a folder that does not exist or is not writable (for lack of
        permission or space), and for an invalid file name.
    """
    with _telling(path):
        _check_name(path)
        if path.is_dir():
            raise InputError(f"{path}: is a folder; give the name of a file")
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise InputError(f"{path}: not a regular file; give another name")
        if target.is_symlink():  # a cycle of links
            raise InputError(f"{path}: is a broken link; give another name")
        folder = target.parent if path.is_symlink() else path.parent
        if not folder.is_dir():
            raise InputError(f"{path}: there is no folder {folder}")
        _check_takes_files(folder, path)
        if target.exists() and not os.access(target, os.W_OK):
            raise InputError(f"{path}: no permission to write it")


def check_folder(folder: Path) -> None:
    """Raise an error for a folder that can't be created, or is not writable; the check leaves nothing behind.

    Raises
    ------
    InputError
        As for `check_file`.
    """
    try:
        with _telling(folder):
            whole = folder.absolute()
            existing = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
            if not existing.is_dir():
                what = "a file" if existing.exists() else "a broken link"
                raise InputError(f"{folder}: {'is' if existing == whole else f'{existing} is'} {what}")
            for name in whole.relative_to(existing).parts:
                _check_name(existing / name)
            _check_name(whole / UNFINISHED)
            _check_takes_files(existing, folder)
    except InputError as error:
        raise InputError(error.message, Remedy.FOLDER) from None


def check_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise an error for outputs that are also inputs, under any name or link.

    Raises
    ------
    InputError
        With both names.
    """
    read = {_identity(path): path for path in inputs}
    read.pop(None, None)
    for output in outputs:
        path = read.get(_identity(output))
        if path is not None:
            same = "is read as an input" if path == output else f"is the same file as {path}, an input"
            raise InputError(f"{output}: {same}; give the output another name")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, independent of its name; None if it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _telling(given: Path) -> Iterator[None]:
    """Convert errors of the file system to a line about the user's path."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{given}: {error.strerror}") from None
    except InputError:
        raise
    except ValueError:  # a null character
        raise InputError(f"{str(given)!r}: not a valid file name") from None


def _check_name(path: Path) -> None:
    """Let the file system check a name, whether or not the file exists."""
    with suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()


def _check_takes_files(folder: Path, given: Path) -> None:
    """Raise an error for `given` if the folder can't take a file of one byte, which modes alone don't show."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"\n")
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{given}: the folder {folder} cannot be written to ({error.strerror})") from None
