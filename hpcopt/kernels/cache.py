"""Where compiled kernels are kept between runs, and what to do when that place is damaged.

Compiling all kernels takes many seconds, loading them a fraction of one, so the cache decides how fast a run
starts. numba's own default fails us three times: it does not notice an edit of a callee in another file, it
shares one folder between unlike machines, and a truncated entry (a killed job, a full disk) ends every later
run with an `UnpicklingError`. Hence a folder of our own, named by what the compiled code depends on, and
`compile_safely`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numba.core.caching

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_numba_config: Any = numba.config

_KERNELS: list[Any] = []  # dispatchers that own cache files


@cache
def folder() -> Path:
    """Return the folder in which this process keeps its compiled kernels.

    It lies in `NUMBA_CACHE_DIR` where the user set that, else in the user's cache folder, else (not writable)
    in the folder for temporary files. Its name holds the versions, the CPU and a digest of the kernels' source.
    """
    place = Path(_numba_config.CACHE_DIR) if _numba_config.CACHE_DIR else _own_place()
    return place / _key()


def clear() -> None:
    """Remove the compiled kernels from the disk; those already loaded stay usable."""
    shutil.rmtree(folder(), ignore_errors=True)


def compile_safely(warm: Callable[[], T]) -> T:
    """Return `warm()`, rebuilding the cache if it turns out to be damaged.

    Parameters
    ----------
    warm
        Calls the kernels that must be ready. It may be called up to three times: as the cache is; after clearing
        it; and without any cache, where even a fresh one can't be written or read (a full disk).
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
    """Return the decorator that compiles a function on its first call and keeps it in the cache.

    Parameters
    ----------
    fastmath
        LLVM's flags for this function's own arithmetic. `reassoc` lets sums be vectorised.
    """

    def decorate(function: F) -> F:
        with _cache_folder():
            compiler = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=set(fastmath))
            dispatcher = compiler(function)
        _KERNELS.append(dispatcher)
        return cast("F", dispatcher)

    return decorate


def part(*, fastmath: Iterable[str] = ()) -> Callable[[F], F]:
    """Return the decorator for a piece of kernels: inlined with its own `fastmath` flags, never cached alone.

    Without the forced inlining LLVM keeps larger pieces as calls, and a loop with a call is not vectorised.
    """

    def decorate(function: F) -> F:
        compiler = numba.njit(nogil=True, error_model="numpy", fastmath=set(fastmath), forceinline=True)
        return cast("F", compiler(function))

    return decorate


@contextmanager
def _cache_folder() -> Iterator[None]:
    """Point numba at our folder while a kernel is decorated, and leave the setting to others as it was."""
    here = str(folder())
    before = _numba_config.CACHE_DIR
    _numba_config.CACHE_DIR = here
    try:
        yield
    finally:
        _numba_config.CACHE_DIR = before


def _own_place() -> Path:
    """Return a folder that only this user can write to; numba's cache holds pickles, which are code."""
    try:
        return _writable(Path.home() / ".cache" / "hpcopt")
    except (OSError, RuntimeError):  # no home folder, or a read-only one as on many compute nodes
        pass
    try:
        return _writable(Path(tempfile.gettempdir()) / f"hpcopt-{os.getuid()}")
    except OSError:
        return Path(tempfile.mkdtemp(prefix="hpcopt-"))


def _writable(place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=place):
        status = place.lstat()
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{place} can be changed by others")
    return place


def _key() -> str:
    try:
        ours = version("hpcopt")
    except PackageNotFoundError:  # run from a checkout
        ours = "checkout"
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
    return f"{ours}-{sources.hexdigest()[:12]}-numba{numba.__version__}-{llvmlite.binding.get_host_cpu_name()}"


def _raised_in_cache(error: BaseException) -> bool:
    """Tell whether `error`, or one that it was raised from, passed through numba's cache.

    The type says little: unpickling truncated bytes can raise nearly anything.
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
