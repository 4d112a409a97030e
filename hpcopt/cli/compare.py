"""`hpcopt compare SPEC.toml`: several solvers on the same problem and cluster."""

from __future__ import annotations

from hpcopt.cli.looks import Table, with_look
from hpcopt.cli.options import (
    DIVERGED_OR_MISSED,
    Force,
    Out,
    Overrides,
    Overwrite,
    Quiet,
    RequireTarget,
    Resume,
    SolverFile,
    Spec,
    Virtual,
    overridden,
)
from hpcopt.fabric.launch import is_first
from hpcopt.results.look import Look


@with_look
def compare(
    spec: Spec,
    overrides: Overrides = None,
    virtual: Virtual = None,
    out: Out = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    quiet: Quiet = False,
    force: Force = False,
    require_target: RequireTarget = False,
    solver_file: SolverFile = None,
    table: Table = None,
    *,
    look: Look,
) -> int:
    """Run several solvers on the same problem.

    A key of [[solvers]] may be a list of values: all combinations are run, and the best one is compared with the other
    solvers. Writes compare.csv, compare.png, grid.csv and every run to a folder.
    """
    from hpcopt.cli.told import tell_comparison
    from hpcopt.studies.compare import compare as start
    from hpcopt.studies.replot import redraw

    comparison = start(
        spec,
        overrides=overridden(overrides, virtual, solver_file),
        folder=out,
        overwrite=overwrite,
        resume=resume,
        quiet=quiet,
        force=force,
    )
    if comparison.folder is not None and (table or look != Look()) and is_first():
        redraw(comparison.folder, look, table)
    if not quiet:
        tell_comparison(comparison)
    missed = require_target and not all(run.status.reached for run in comparison.best)
    return DIVERGED_OR_MISSED if missed or all(run.diverged for run in comparison.runs) else 0
