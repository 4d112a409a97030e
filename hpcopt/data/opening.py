"""Files opened as their names say, plain or compressed, and what the decompressors raise told in one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def compressed(path: Path) -> bool:
    """Tell whether the file's name says that it is compressed."""
    return path.suffix in _OPENERS


def opened(path: Path) -> Any:
    """Return the file open for reading its (decompressed) bytes."""
    return _OPENERS.get(path.suffix, open)(path, "rb")


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what the decompressors raise into one line that names the file.

    Raises
    ------
    InputError
        When a compressed file is cut short, damaged or not compressed.
    OSError
        When the file can't be opened or read.
    """
    kind = path.suffix[1:]
    try:
        yield
    except EOFError:
        raise InputError(f"{path}: cut short: the {kind} stream stops before its end; fetch the file again") from None
    except (zlib.error, lzma.LZMAError):
        raise InputError(f"{path}: damaged, or not {kind}-compressed as its name says") from None
    except OSError as error:
        if error.errno is None:  # bz2 and gzip say so when the bytes are not theirs
            raise InputError(f"{path}: damaged, or not {kind}-compressed as its name says") from None
        raise OSError(error.errno, error.strerror, str(path)) from None
