"""The file of a trained model: arrays in an .npz, without pickles, written atomically.

Coefficients are always stored dense, so that anyone can use them without this package. If most of them are zero, the
archive is compressed: four million coefficients of which a thousand are not zero take 44 kB instead of 32 MB.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.stored import archive

FORMAT = 1
"""Version of the file format; increased when an older hpcopt could misread it."""

NEEDED = ("coef", "intercept", "classes", "loss", "meta", "format")
OPTIONAL = ("model", "activation")
HIDDEN = "hidden_"  # prefix of the names of hidden layers' arrays


def write(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write `arrays` to `path` atomically: a reader finds the old file or the complete new one."""
    numbers = [array for array in map(np.asarray, arrays.values()) if array.dtype.kind == "f"]
    sparse = 2 * sum(map(np.count_nonzero, numbers)) < sum(array.size for array in numbers)
    with written_whole(Path(path), "wb") as file:
        (np.savez_compressed if sparse else np.savez)(file, format=np.array(FORMAT), **arrays)


def read(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return a model's arrays in the file `path`, including all required ones; other arrays are ignored.

    Raises
    ------
    InputError
        If there is no such file, it is not a model, it is damaged, or it comes from a newer hpcopt.
    """
    arrays = _arrays(Path(path))
    missing = set(NEEDED) - arrays.keys()
    if missing:
        raise InputError(f"{path}: not a model: it lacks {', '.join(sorted(missing))}")
    if not np.array_equal(arrays["format"], FORMAT):
        raise InputError(f"{path}: a model in format {arrays['format']}; this hpcopt reads format {FORMAT}")
    return arrays


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file that belong to a model, by name."""
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise InputError(f"{path}: not a model: expected the .npz file that 'hpcopt fit' or 'hpcopt run' writes")
        with archive(path) as members:
            ours = [name for name in members.names if name in {*NEEDED, *OPTIONAL} or name.startswith(HIDDEN)]
            return {name: members.member(name).read() for name in ours}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a file, such as model.npz") from None
    except InputError as error:
        told = error.message.removeprefix(f"{path}: ")
        raise InputError(f"{path}: {'' if told.startswith('not a model') else 'not a model: '}{told}") from None
