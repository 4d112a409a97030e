"""The file of a trained model: arrays in an .npz, never a pickle, and old or new but never half."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.files import written_whole

FORMAT = 1
"""Version of the file's layout; raised when an older hpcopt could misread it."""

NEEDED = ("coef", "intercept", "classes", "loss", "meta", "format")


def write(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write `arrays` to `path`; a reader finds the old file or the new one, never a half."""
    with written_whole(Path(path), "wb") as file:
        np.savez(file, format=np.array(FORMAT), **arrays)


def read(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the arrays in the file `path`, all that a model needs among them.

    Raises
    ------
    InputError
        No such file, no model, a damaged one, or one of a newer hpcopt.
    """
    arrays = _arrays(path)
    missing = set(NEEDED) - arrays.keys()
    if missing:
        raise InputError(f"{path}: no model: it lacks {', '.join(sorted(missing))}")
    if not np.array_equal(arrays["format"], FORMAT):
        raise InputError(f"{path}: a model in format {arrays['format']}; this hpcopt reads format {FORMAT}")
    return arrays


def _arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of an .npz file."""
    try:
        with Path(path).open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise InputError(f"{path}: no model: expected the .npz file that 'hpcopt fit' or 'hpcopt run' writes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                return dict(content.items())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a model.npz in it, perhaps") from None
    except InputError:
        raise
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: no model: damaged, or not of arrays alone ({error})") from None
