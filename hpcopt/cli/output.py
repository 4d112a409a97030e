"""Files named with -o: refused before any work if they cannot be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hpcopt.errors import InputError


def check(path: Path) -> None:
    """Refuse a path that no file can be written to.

    Raises
    ------
    InputError
        For a folder, a device, or a place in a folder that does not exist or takes no files.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give -o the name of a file")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file; give -o another name")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    try:
        with tempfile.TemporaryFile(dir=path.parent):  # asks the file system itself: modes alone do not tell
            pass
    except OSError as error:
        raise InputError(f"{path}: the folder {path.parent} takes no files ({error.strerror})") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path}: no permission to write it")
