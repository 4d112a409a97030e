"""`hpcopt.run`: a specification in, a finished run out, from Python and from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from signal import SIGUSR1
from typing import Any

from hpcopt.data import Rows
from hpcopt.errors import InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster
from hpcopt.fabric.launch import mpi_library
from hpcopt.interrupts import heeding, keeping
from hpcopt.results import folder as folders
from hpcopt.results.goal import Goal
from hpcopt.runs.admission import admit
from hpcopt.runs.begun import begun
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import execute
from hpcopt.runs.faults import injected
from hpcopt.runs.finished import Run
from hpcopt.runs.goal import with_goal
from hpcopt.runs.hubs import rates_hint, rates_in_words
from hpcopt.runs.missed import tell_missed
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.progress import ReadingProgress
from hpcopt.runs.resuming import finished, last_checkpoint
from hpcopt.runs.subject import Subject
from hpcopt.solvers.base import Solver
from hpcopt.spec.overrides import override
from hpcopt.spec.specification import Specification, read_specification, specification_from


def run(  # noqa: PLR0913  (each is a keyword of its own)
    specification: str | Path | Mapping[str, Any],
    *,
    rows: Rows | None = None,
    comm: Any = None,
    overrides: Iterable[str] = (),
    folder: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = True,
    force: bool = False,
    inject: Iterable[str] = (),
) -> Run:
    """Run one solver; collective over the ranks of `comm`.

    Parameters
    ----------
    specification
        A TOML file, or a dict with the same contents; with `resume` also the folder of a run.
    rows
        The rows, from `hpcopt.data.from_arrays`, if data.source is "arrays".
    comm
        An mpi4py communicator; default: all ranks of the job (one node without MPI).
    overrides
        `key.path=value` each.
    folder
        The output folder; default: that of the specification. For a dict without one, nothing is written.
    overwrite
        Whether another run in that folder may be replaced.
    resume
        Whether the same run in that folder goes on from its last checkpoint. A finished run is returned as it is; one
        without a checkpoint, or none, starts from the beginning. The stop rules, [checkpoint] and what is not recorded
        in the trace may be others than before.
    quiet
        Whether to print nothing.
    force
        Whether to run even if a condition of the solver's theory does not hold.
    inject
        Faults to inject, such as "kill:rank=2,round=5".

    Returns
    -------
    Run
        The same on every rank.

    Raises
    ------
    InputError
        In one line, on every rank, for any error in the specification, the data or the folder.
    """
    if resume and overwrite:
        raise InputError("resume and overwrite: give one of them; a run that is replaced can't be resumed")
    read: Callable[[], Specification] = partial(reading, specification, overrides, folder, many=False)
    if resume and not isinstance(specification, Mapping) and Path(specification).is_dir():
        read = partial(begun, Path(specification), overrides, folder)
    given = {"comm": comm, "overwrite": overwrite, "resume": resume, "quiet": quiet, "force": force, "inject": inject}
    return run_as_read(read, specification, rows, **given)


def run_as_read(  # noqa: PLR0913  (as above)
    read: Callable[[], Specification],
    origin: str | Path | Mapping[str, Any],
    rows: Rows | None = None,
    *,
    comm: Any,
    overwrite: bool,
    resume: bool = False,
    quiet: bool,
    force: bool,
    inject: Iterable[str] = (),
) -> Run:
    """Run the solver of the specification that `read` returns on each process; collective over the ranks of `comm`.

    Parameters
    ----------
    origin
        Where the specification is from; if it is a file, it is one of the inputs.
    rows, comm, overwrite, resume, quiet, force, inject
        As in `run`.
    """
    with opened(read, comm) as (spec, cluster, sound):
        conditions = replace(sound, faults=injected(inject, cluster))
        out = checked_folder(origin, spec, cluster, overwrite=overwrite, resume=resume)
        silent = quiet or cluster.local_nodes[0] != 0
        ended = finished(spec, cluster, out) if resume and out is not None else None
        if ended is not None:
            if not silent:
                print(f"{out}: the run is finished; nothing is changed", flush=True)
            return ended
        with early_requests(out), kept_if_interrupted(out if resume else None):
            with ReadingProgress(silent=silent):
                prepared = admit(spec, cluster, conditions, rows, force=force)
            ((label, solver),) = solvers = spec.labelled_solvers()
            windows = windows_for(solvers, cluster)
            if not silent:
                announce(label, spec, prepared, windows)
            prepared = with_goal(spec, prepared, quiet=quiet)
            resumed = None
            if resume and out is not None:
                resumed = last_checkpoint(cluster, Subject.of(spec, prepared, solver), out, quiet=quiet)
            clear = folders.clear if resumed is None else resumed.clear
            with kept_if_interrupted(None if resume else out):
                ended = execute(spec, prepared, label, solver, out, clear=clear, resumed=resumed, quiet=quiet)
            if cluster.local_nodes[0] == 0:
                tell_missed(conditions.faults, ended.result["rounds"])
            return ended


def reading(
    specification: str | Path | Mapping[str, Any], overrides: Iterable[str], folder: str | Path | None, *, many: bool
) -> Specification:
    """Return a function that reads and checks a specification, from a file or a dict, written to `folder`."""
    more = [*overrides, *([] if folder is None else [override("output.folder", str(folder))])]
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
    resume: bool = False,
) -> Path | None:
    """Return the output folder, checked by the process that writes but not modified yet; collective.

    Parameters
    ----------
    specification
        The specification as given; its file is one of the inputs.
    inner
        The names of the folders of a comparison's runs.
    """
    out = None if spec.output.folder is None else Path(spec.output.folder)
    own = [] if isinstance(specification, Mapping) else [Path(specification)]
    with agreed(cluster.processes, one_tells=True):
        if out is not None and cluster.local_nodes[0] == 0:
            folders.check(out, inner, overwrite=overwrite, resume=resume, inputs=[*own, *spec.files])
    return out


def kept_if_interrupted(out: Path | None) -> AbstractContextManager[None]:
    """Return a context in which an interrupt reports what the output folder contains so far."""
    return nullcontext() if out is None else keeping(partial(folders.kept, out))


def early_requests(out: Path | None) -> AbstractContextManager[None]:
    """Return a context in which a run with a folder meets SIGUSR1 as soon as a checkpoint can be taken."""
    return nullcontext() if out is None else heeding(SIGUSR1)


def windows_for(solvers: Iterable[tuple[str, Solver[Any]]], cluster: Cluster) -> str | None:
    """Return a description of the windows, if a solver needs them and there is one; collective.

    Raises
    ------
    AgreedError
        If one-sided operations are required and do not work.
    """
    return cluster.probe_windows() if any(solver.needs.pace == "own" for _, solver in solvers) else None


def announce(label: str, spec: Specification, prepared: Prepared, windows: str | None = None) -> None:
    """Print a summary of the run: data and nodes, the objective and scikit-learn's, heterogeneity, topology."""
    library = mpi_library() if prepared.cluster.kind == "mpi" else None
    print(f"hpcopt {label}: {prepared.words()}" + (f" ({library})" if library else ""))
    for remark in prepared.loaded.remarks:
        print(f"note: {remark}", flush=True)
    print(f"objective: {prepared.problem.words()}", flush=True)
    whose = Goal(column=spec.stop.target_on).whose(solver.needs.models == "own" for solver in spec.built)
    if whose != "objective":
        print(f"reported: {whose}", flush=True)
    for hint in filter(None, (prepared.hint, rates_hint(spec, prepared.conditions))):
        print(f"hint: {hint}", flush=True)
    for what, words in _conditions(prepared).items():
        print(f"{what}: {words}", flush=True)
    if spec.rates is not None:
        print(f"operating rates: {rates_in_words(prepared.conditions)}", flush=True)
    if windows is not None:
        print(windows, flush=True)
    if prepared.cluster.crowding is not None:
        print(f"oversubscribed: {prepared.cluster.crowding}; ranks compete for cores", flush=True)


def _conditions(prepared: Prepared) -> dict[str, str]:
    """Describe the conditions of the runs: heterogeneity, faults, topology and hub network, if there are any."""
    conditions = prepared.conditions
    told = {
        "heterogeneity": conditions.heterogeneity.words(prepared.cluster.size),
        "faults": "; ".join(fault.text for fault in conditions.faults),
        "topology": "" if conditions.mixing is None else conditions.mixing.words(),
        "hub network": "" if conditions.hubs is None else conditions.hubs.words(),
    }
    return {what: words for what, words in told.items() if words}
