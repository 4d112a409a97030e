"""Starts real MPI ranks for tests, with any MPI library, and always cleans up after them.

A hanging test must fail soon and without affecting others: Open MPI's ranks outlive their mpiexec, MPICH's leave
segments of shared memory, and both would disturb later tests. Every process of a launch has a tag in its environment,
so that all of them are found and killed, whatever their parent is by then.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

RANKS = tuple(int(n) for n in os.environ.get("HPCOPT_TEST_RANKS", "1,2,3,4").split(","))
"""The numbers of ranks to test with; `make mpi-3` makes it (3,)."""

TAG = "HPCOPT_TEST_LAUNCH"
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # Open MPI 4 and 5 reject root, and more ranks than cores, unless configured; other MPIs ignore these variables.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_osc": "^ucx",  # its one-sided component prints an error line per window if there is no fast network
}
SHARED_MEMORY = Path("/dev/shm")
SEGMENTS = ("mpich_sh*", "sm_segment.*", "osc_sm.*", "vader_segment.*", "Intel_MPI_*", "ucx_shm_posix_*")


class RanksTimedOutError(AssertionError):
    """The ranks were still running at the time limit; the message contains their output."""


def mpiexec(
    ranks: int,
    *args: str | Path,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `mpiexec OPTIONS -n RANKS ARGS...`; return its exit status and its output as text.

    Parameters
    ----------
    ranks
        Number of ranks, which may exceed the number of cores.
    args
        The program and its arguments.
    timeout
        Seconds until all its processes are killed.
    env
        Variables to add to this process's environment.
    cwd
        The folder to run in.
    options
        Options of the launcher.

    Raises
    ------
    RanksTimedOutError
        If it did not end in time.
    """
    program = find_mpiexec()
    if program is None:
        raise FileNotFoundError("no mpiexec beside this python or on PATH")
    command = [str(program), *options, "-n", str(ranks), *map(str, args)]
    with tempfile.TemporaryDirectory(prefix="ranks", ignore_cleanup_errors=True) as scratch:
        return _run(command, Path(scratch), timeout, {**os.environ, **SETTINGS, **(env or {})}, cwd)


def hpcopt_ranks(
    ranks: int,
    *args: str | Path,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `hpcopt ARGS...` on `ranks` ranks; see `mpiexec`."""
    program = sys.executable, "-m", "hpcopt"
    return mpiexec(ranks, *program, *args, timeout=timeout, env=env, cwd=cwd, options=options)


def python_ranks(
    ranks: int,
    program: str | Path,
    *args: str | Path,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Python on `ranks` ranks: a file if `program` is a Path, otherwise its text; see `mpiexec`.

    An uncaught exception on one rank aborts all (`python -m mpi4py`), so that a failed `assert` is a failed run.
    """
    source = [program] if isinstance(program, Path) else ["-c", program]
    return mpiexec(ranks, sys.executable, "-m", "mpi4py", *source, *args, timeout=timeout, env=env, cwd=cwd)


def find_mpiexec() -> Path | None:
    """Return the mpiexec of this environment: the one next to its python (an MPI from a wheel), or PATH's."""
    found = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
    return Path(found) if found else None


def _why_not() -> str:
    """Return why ranks can't be started here, or an empty string."""
    if find_mpiexec() is None:
        return "no mpiexec beside this python or on PATH"
    load = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=False)
    return f"mpi4py can't load an MPI: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""


_REASON = _why_not()
if _REASON and os.environ.get("HPCOPT_REQUIRE_MPI"):
    raise RuntimeError(_REASON)  # if an MPI has been installed, a skipped test would hide that it doesn't work

requires_mpi = pytest.mark.skipif(bool(_REASON), reason=_REASON)
"""Skips a test if ranks can't be started; used with the marker `mpi`."""


def _run(
    command: list[str], scratch: Path, timeout: float, env: dict[str, str], cwd: Path | None
) -> subprocess.CompletedProcess[str]:
    tag = uuid.uuid4().hex
    env |= {TAG: tag, "TMPDIR": str(scratch)}  # MPICH and Open MPI leave session files there when they are killed
    stdout, stderr = scratch / "stdout", scratch / "stderr"
    status = None
    # Files, as an orphan that holds the end of a pipe open would block its reader.
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd, start_new_session=True
        )
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill_tagged(tag)
            process.wait()
            if status != 0:
                sweep_shared_memory()
    texts = [path.read_text(errors="replace") for path in (stdout, stderr)]
    if status is None:
        raise RanksTimedOutError(
            f"still running after {timeout:g} s: {shlex.join(command)}\n--- stdout\n{texts[0]}\n--- stderr\n{texts[1]}"
        )
    return subprocess.CompletedProcess(command, status, *texts)


def kill_tagged(tag: str) -> None:
    """Kill every process whose environment contains the tag, until there is none."""
    needle = f"{TAG}={tag}".encode()
    deadline = time.monotonic() + 10
    while pids := [pid for pid, environment in _read_all("environ") if needle in environment]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {pids} survive SIGKILL")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended by itself
        time.sleep(0.02)


def sweep_shared_memory() -> None:
    """Remove this user's unmapped MPI segments: killed ranks leave them behind, and later ranks fail on them."""
    left = _unmapped()
    if left:
        time.sleep(0.1)  # a starting job has created its segment and will map it soon
        for path in left & _unmapped():
            path.unlink(missing_ok=True)


def _unmapped() -> set[Path]:
    ours = {p for pattern in SEGMENTS for p in SHARED_MEMORY.glob(pattern) if _owner(p) == os.getuid()}
    maps = b"".join(text for _, text in _read_all("maps")) if ours else b""
    return {path for path in ours if bytes(path) not in maps}


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def _read_all(name: str) -> list[tuple[int, bytes]]:
    """Return (pid, contents of /proc/PID/NAME) of all processes for which it is readable."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append((int(folder.name), (folder / name).read_bytes()))
        except OSError:
            continue  # it ended, or isn't ours
    return found
