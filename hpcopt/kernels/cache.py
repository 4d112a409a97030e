"""The cache of compiled kernels between runs, and recovery from a damaged cache.

Compiling all kernels takes many seconds, loading them a fraction of one, so the cache determines how fast a run starts.
numba's default cache has four defects: it does not notice an edit of a callee in another file, it shares one folder
between different machines, it compiles anew for every copy of the package (each environment or checkout), and a
truncated entry (from a killed job or a full disk) ends every later run with an `UnpicklingError`. So we use our own
folder, whose name contains everything that the compiled code depends on, and `compile_safely`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numba.core.caching

KERNELS = Path(__file__).parent

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_numba_config: Any = numba.config

_KERNELS: list[Any] = []  # dispatchers that own cache files


@dataclass(frozen=True)
class Place:
    """The location of the cache.

    Attributes
    ----------
    folder
        None: no cache, so that each process compiles for itself.
    refused
        Locations that were tried before, with what is wrong with each.
    """

    folder: Path | None
    refused: tuple[str, ...]


@cache
def place() -> Place:
    """Return the location of this process's cache: the first writable folder of the following.

    `NUMBA_CACHE_DIR` if set by the user, the user's cache folder, the folder for temporary files, a new folder there.
    The folder's name contains the versions, the CPU and a digest of the kernels' source.
    """
    refused: list[str] = []
    for candidate, own in _candidates():
        try:
            where = candidate()
            if own:
                _only_ours(where)
            (where / _key()).mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=where / _key()):
                return Place(where / _key(), tuple(refused))
        except (OSError, RuntimeError, ValueError) as error:  # ValueError: a null byte
            refused.append(_reason(error))
    return Place(None, tuple(refused))


def clear() -> None:
    """Remove the compiled kernels from disk; those already loaded remain usable."""
    folder = place().folder
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def compile_safely(warm: Callable[[], T]) -> T:
    """Return `warm()`, rebuilding the cache if it turns out to be damaged.

    Parameters
    ----------
    warm
        Calls the kernels that must be ready. It may be called up to three times: with the cache as it is; after
        clearing it; and without a cache, if even a fresh one can't be written or read (a full disk).
    """
    try:
        return warm()
    except Exception as error:
        if not _raised_in_cache(error):
            raise
    clear()
    try:
        return warm()
    except Exception as error:
        if not _raised_in_cache(error):
            raise
    for kernel in _KERNELS:
        kernel._cache = numba.core.caching.NullCache()
    return warm()


def kernel(*, fastmath: Iterable[str] = ()) -> Callable[[F], F]:
    """Return the decorator that compiles a function on its first call and caches it.

    Parameters
    ----------
    fastmath
        LLVM's flags for this function's own arithmetic. `reassoc` lets sums be vectorised.
    """

    def decorate(function: F) -> F:
        with _cache_folder() as there_is_one:
            compiler = numba.njit(cache=there_is_one, nogil=True, error_model="numpy", fastmath=set(fastmath))
            dispatcher = compiler(function)
        _KERNELS.append(dispatcher)
        return cast("F", dispatcher)

    return decorate


def part(*, fastmath: Iterable[str] = ()) -> Callable[[F], F]:
    """Return the decorator for a part of kernels: inlined with its own `fastmath` flags, never cached by itself.

    Without forced inlining LLVM keeps larger parts as calls, and a loop with a call is not vectorised.
    """

    def decorate(function: F) -> F:
        compiler = numba.njit(nogil=True, error_model="numpy", fastmath=set(fastmath), forceinline=True)
        return cast("F", compiler(function))

    return decorate


class _Locator:
    """Tells numba where a kernel's compiled code lies: directly in our folder, wherever the package is installed."""

    def __init__(self, folder: Path, line: int) -> None:
        self._folder = folder
        self._line = line

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Locator | None:
        """Return the locator of `function`, or None if the folder's name has no digest of its `file`."""
        folder = place().folder
        return cls(folder, function.__code__.co_firstlineno) if folder and Path(file).parent == KERNELS else None

    def get_cache_path(self) -> str:
        return str(self._folder)

    def ensure_cache_path(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get_source_stamp(self) -> str:
        return ""  # the folder's name has a digest of all sources

    def get_disambiguator(self) -> str:
        return str(self._line)


@contextmanager
def _cache_folder() -> Iterator[bool]:
    """Make numba use our folder while a kernel is decorated, and restore the setting afterwards.

    Yields whether there is such a folder.
    """
    here = place().folder
    numbas = numba.core.caching.CompileResultCacheImpl
    before = _numba_config.CACHE_DIR, numbas._locator_classes
    _numba_config.CACHE_DIR = str(here or "")
    numbas._locator_classes = [_Locator, *numbas._locator_classes]
    try:
        yield here is not None
    finally:
        _numba_config.CACHE_DIR, numbas._locator_classes = before


def _candidates() -> Iterator[tuple[Callable[[], Path], bool]]:
    """Yield functions that return a folder, and whether only we may own it, as numba's pickled cache is code."""
    if _numba_config.CACHE_DIR:
        yield lambda: Path(_numba_config.CACHE_DIR), False
    yield lambda: Path.home() / ".cache" / "hpcopt", True
    yield lambda: Path(tempfile.gettempdir()) / f"hpcopt-{os.getuid()}", True
    yield lambda: Path(tempfile.mkdtemp(prefix="hpcopt-")), True


def _only_ours(where: Path) -> None:
    if not where.is_absolute():  # HOME may have any value
        raise NotADirectoryError(f"{where} is not an absolute path")
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = where.lstat()
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{where} can be changed by others")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _key() -> str:
    try:
        ours = version("hpcopt")
    except PackageNotFoundError:  # run from a checkout
        ours = "checkout"
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(KERNELS.glob("*.py"))))
    return f"{ours}-{sources.hexdigest()[:12]}-numba{numba.__version__}-{llvmlite.binding.get_host_cpu_name()}"


def _raised_in_cache(error: BaseException) -> bool:
    """Return whether `error`, or an error that caused it, passed through numba's cache.

    The type is not sufficient: unpickling truncated bytes can raise nearly anything.
    """
    seen: BaseException | None = error
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == numba.core.caching.__file__:
                return True
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__
    return False
