"""`hpcopt.run`: a specification in, a finished run out, from Python and from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.data import Rows
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster
from hpcopt.fabric.launch import mpi_library
from hpcopt.interrupts import keeping
from hpcopt.results import folder as folders
from hpcopt.runs.admission import admit
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import Run, execute
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.progress import ReadingProgress
from hpcopt.solvers.base import Solver
from hpcopt.spec.specification import Specification, read_specification, specification_from


def run(
    specification: str | Path | Mapping[str, Any],
    *,
    rows: Rows | None = None,
    comm: Any = None,
    overrides: Iterable[str] = (),
    folder: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    force: bool = False,
) -> Run:
    """Run one solver; collective over the ranks of `comm`.

    Parameters
    ----------
    specification
        A TOML file, or a dict of what it would hold.
    rows
        The rows, as `hpcopt.data.from_arrays` takes them, where data.source is "arrays".
    comm
        An mpi4py communicator; default all ranks of the job (one node where there is no MPI).
    overrides
        `key.path=value` each.
    folder
        Where to write; default what the specification says, for a dict nothing is written unless it says so.
    overwrite
        Whether another run in that folder may be replaced.
    quiet
        Whether to print nothing.
    force
        Whether to run also where a condition of the solver's theory does not hold.

    Returns
    -------
    Run
        The same on every rank.

    Raises
    ------
    InputError
        In one line, on every rank: whatever is wrong with the specification, the data or the folder.
    """
    read = partial(reading, specification, overrides, folder, many=False)
    with opened(read, comm) as (spec, cluster, conditions):
        out = checked_folder(specification, spec, cluster, overwrite=overwrite)
        with ReadingProgress(silent=quiet or cluster.local_nodes[0] != 0):
            prepared = admit(spec, cluster, conditions, rows, force=force)
        ((label, solver),) = solvers = spec.labelled_solvers()
        windows = windows_for(solvers, cluster)
        if not quiet and cluster.local_nodes[0] == 0:
            announce(label, spec, prepared, windows)
        with kept_if_interrupted(out):
            return execute(spec, prepared, label, solver, out, quiet=quiet)


def reading(
    specification: str | Path | Mapping[str, Any], overrides: Iterable[str], folder: str | Path | None, *, many: bool
) -> Specification:
    """Read and check a specification, from a file or a dict, with the output folder given on the way."""
    more = [*overrides, *([] if folder is None else [f"output.folder={json.dumps(str(folder), ensure_ascii=False)}"])]
    if isinstance(specification, Mapping):
        return specification_from(specification, many=many, overrides=more)
    return read_specification(specification, more, many=many)


def checked_folder(
    specification: str | Path | Mapping[str, Any],
    spec: Specification,
    cluster: Cluster,
    inner: Sequence[str] = (),
    *,
    overwrite: bool,
) -> Path | None:
    """Return the output folder, looked at by the process that writes but not yet touched; collective.

    Parameters
    ----------
    specification
        As it was given: its file is one that is read.
    inner
        The names of the folders of a comparison's runs.
    """
    out = None if spec.output.folder is None else Path(spec.output.folder)
    own = [] if isinstance(specification, Mapping) else [Path(specification)]
    with agreed(cluster.processes, one_tells=True):
        if out is not None and cluster.local_nodes[0] == 0:
            folders.check(out, inner, overwrite=overwrite, inputs=[*own, *spec.files])
    return out


def kept_if_interrupted(out: Path | None) -> AbstractContextManager[None]:
    """Return the context in which an interrupt says what the output folder holds by then."""
    return nullcontext() if out is None else keeping(partial(folders.kept, out))


def windows_for(solvers: Iterable[tuple[str, Solver[Any]]], cluster: Cluster) -> str | None:
    """Return how windows work here, in words, if a solver needs them and there is anything to tell; collective.

    Raises
    ------
    AgreedError
        If one-sided operations were insisted on and do not work.
    """
    return cluster.probe_windows() if any(solver.needs.pace == "own" for _, solver in solvers) else None


def announce(label: str, spec: Specification, prepared: Prepared, windows: str | None = None) -> None:
    """Print what is about to run: data and nodes, the objective with scikit-learn's, heterogeneity, topology."""
    library = mpi_library() if prepared.cluster.kind == "mpi" else None
    print(f"hpcopt {label}: {prepared.words()}" + (f" ({library})" if library else ""))
    for remark in prepared.loaded.remarks:
        print(f"note: {remark}", flush=True)
    print(f"objective: {prepared.problem.words()}", flush=True)
    whose = spec.goal.whose(solver.needs.models == "own" for solver in spec.built)
    if whose != "objective":
        print(f"reported: {whose}", flush=True)
    if prepared.hint is not None:
        print(f"hint: {prepared.hint}", flush=True)
    heterogeneity = prepared.conditions.heterogeneity.words(prepared.cluster.size)
    if heterogeneity:
        print(f"heterogeneity: {heterogeneity}", flush=True)
    if prepared.conditions.mixing is not None:
        print(f"topology: {prepared.conditions.mixing.words()}", flush=True)
    if windows is not None:
        print(windows, flush=True)
    if prepared.cluster.crowding is not None:
        print(f"oversubscribed: {prepared.cluster.crowding}; ranks compete for cores", flush=True)
