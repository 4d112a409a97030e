"""Where and from what a run is made, for readers who judge its numbers: machine, threads, launcher, commits, command.

Everything here is a description only: what can't be found out is left out, and no run depends on it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from hpcopt.fabric.interface import Group
from hpcopt.fabric.launch import started, variables, without
from hpcopt.spec.specification import Specification

VARIABLES = (
    *("OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "NUMBA_NUM_THREADS", "I_MPI_FABRICS", "I_MPI_PIN_DOMAIN", "FI_PROVIDER", "UCX_TLS"),
    *("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_JOB_PARTITION", "SLURM_JOB_NUM_NODES", "SLURM_JOB_NODELIST"),
    *("SLURM_NTASKS", "SLURM_TASKS_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_CPU_BIND", "SLURM_DISTRIBUTION"),
)
"""The environment variables that are recorded: they affect speed, and none of them holds a secret."""

_PATIENCE = 2.0  # seconds given to git
_TOPOLOGY = Path("/sys/devices/system/cpu")


def told_by_all(processes: Group) -> list[dict[str, Any]]:
    """Return what each process tells about its host, the cores that it may use, and its threads; collective."""
    own = np.frombuffer(json.dumps(_process()).encode(), dtype=np.uint8)
    return [json.loads(bytes(one)) for one in processes.allgather(own)]


def environment_of(spec: Specification, told: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the environment of a run, for the process that writes it.

    Parameters
    ----------
    told
        What each process tells about itself.
    """
    here, source = Path.cwd(), Path(__file__).resolve().parents[2]
    commits = {"hpcopt": commit_of(source) if (source / ".git").exists() else None, "folder": commit_of(here)}
    return {
        "command": sys.orig_argv,
        "folder": str(here),
        **({} if spec.file is None else {"specification": {"name": spec.file.name, "sha256": spec.file.sha256}}),
        "commits": {name: commit for name, commit in commits.items() if commit is not None},
        "launcher": started()[2] or None,
        "variables": variables(VARIABLES),
        "hosts": by_host(told),
    }


def by_host(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a table per host, given what each process tells: its ranks, and a list where they differ."""
    ranks: dict[str, list[int]] = {}
    for rank, one in enumerate(told):
        ranks.setdefault(one["host"], []).append(rank)
    return [
        {
            "host": host,
            "ranks": in_ranges(own),
            **{key: _common([told[rank][key] for rank in own]) for key in told[own[0]] if key != "host"},
        }
        for host, own in ranks.items()
    ]


def in_ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers as text: 0-3,8."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, each)) for each in ranges)


@cache
def commit_of(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the repository around `folder`, and whether its files differ from it; None without one."""
    if not any((place / ".git").exists() for place in (folder, *folder.parents)):
        return None
    git = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder))
    describe = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        with without("GIT_DIR"):
            told = subprocess.run(
                [*git, *describe], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=True
            )
    except (OSError, subprocess.SubprocessError):
        return None
    commit, _, changed = told.stdout.decode(errors="replace").strip().partition("-")
    return {"commit": commit, "changed": bool(changed)}


def _process() -> dict[str, Any]:
    """Return what this process tells about itself."""
    system, allowed = os.uname(), sorted(os.sched_getaffinity(0))
    return {
        "host": platform.node(),
        "system": f"{system.sysname} {system.release} {system.machine}",
        "cpu": _cpu(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "logical_cores": os.cpu_count(),
        "bound_to": in_ranges(allowed),
        "cores": len({_siblings(core) for core in allowed}),
        "threads": _threads(),
    }


@cache
def _cpu() -> str:
    """Return the name of the processor; that of its architecture if the system tells no more."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
            return next(named, platform.machine())
    except OSError:
        return platform.machine()


@cache
def _siblings(core: int) -> str:
    """Return the logical cores of the physical core of a logical one."""
    try:
        return (_TOPOLOGY / f"cpu{core}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
    except OSError:
        return str(core)


def _threads() -> dict[str, int]:
    """Return the BLAS libraries, numpy's and scipy's, and how many threads each may use now."""
    told: dict[str, int] = {}
    for pool in (each for each in threadpool_info() if each["user_api"] == "blas"):
        parts = (pool["internal_api"], pool["version"], pool.get("architecture"))
        name = " ".join(part for part in parts if part)
        told[name] = max(pool["num_threads"], told.get(name, 0))
    return dict(sorted(told.items()))


def _common(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else values
