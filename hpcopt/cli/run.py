"""`hpcopt run SPEC.toml`: one run."""

from __future__ import annotations

from hpcopt.cli.options import (
    DIVERGED_OR_MISSED,
    Force,
    Inject,
    Out,
    Overrides,
    Overwrite,
    Quiet,
    RequireTarget,
    SolverFile,
    Spec,
    Virtual,
    overridden,
)


def run(
    spec: Spec,
    overrides: Overrides = None,
    virtual: Virtual = None,
    out: Out = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    force: Force = False,
    require_target: RequireTarget = False,
    solver_file: SolverFile = None,
    inject: Inject = None,
) -> int:
    """Run one solver on one problem.

    Writes run.json, trace.jsonl, model.npz and convergence.png to a folder.
    """
    from hpcopt.cli.told import tell_run
    from hpcopt.runs.start import run as start

    finished = start(
        spec,
        overrides=overridden(overrides, virtual, solver_file),
        folder=out,
        overwrite=overwrite,
        quiet=quiet,
        force=force,
        inject=inject or (),
    )
    if not quiet:
        tell_run(finished)
    missed = require_target and not finished.status.reached
    return DIVERGED_OR_MISSED if finished.diverged or missed else 0
