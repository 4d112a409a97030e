"""`hpcopt run SPEC.toml`: one run."""

from __future__ import annotations

import typer

from hpcopt.cli.options import (
    DEBUGGING,
    DIVERGED_OR_MISSED,
    Debug,
    Force,
    Inject,
    Out,
    Overrides,
    Overwrite,
    Quiet,
    RequireTarget,
    ResumeRun,
    SolverFile,
    SpecOrFolder,
    Virtual,
    overridden,
)


def run(
    spec: SpecOrFolder,
    overrides: Overrides = None,
    virtual: Virtual = None,
    out: Out = None,
    overwrite: Overwrite = False,
    resume: ResumeRun = False,
    quiet: Quiet = False,
    force: Force = False,
    require_target: RequireTarget = False,
    solver_file: SolverFile = None,
    inject: Inject = None,
    debug: Debug = False,
) -> int:
    """Run one solver on one problem.

    Writes run.json, trace.jsonl, model.npz and convergence.png to a folder. SIGUSR1 and SIGTERM write a checkpoint
    there and end the run with exit code 75; --resume goes on from it.
    """
    from hpcopt.cli.told import tell_run
    from hpcopt.runs.start import run as start

    if overwrite and resume:
        raise typer.BadParameter("give --resume or --overwrite, not both")
    finished = start(
        spec,
        overrides=[*(DEBUGGING if debug else ()), *overridden(overrides, virtual, solver_file)],
        folder=out,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
        force=force,
        inject=inject or (),
    )
    if not quiet:
        tell_run(finished)
    missed = require_target and not finished.status.reached
    return DIVERGED_OR_MISSED if finished.diverged or missed else 0
