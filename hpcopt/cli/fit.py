"""`hpcopt fit DATA`: a model from a file, with sensible defaults."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcopt.cli.options import (
    DIVERGED_OR_MISSED,
    Overrides,
    Quiet,
    SolverFile,
    Virtual,
    overridden,
    real,
    strength,
)
from hpcopt.fabric.launch import is_first

if TYPE_CHECKING:
    from hpcopt.runs.finished import Run


Data = Annotated[Path, typer.Argument(metavar="DATA", help="LIBSVM text (also .gz, .bz2, .xz), .npz, .npy or IDX.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="MODEL.npz", help="The model file to write.")]
Loss = Annotated[str, typer.Option(help="See: hpcopt list losses; default: logistic, and softmax for --model mlp.")]
Model = Annotated[str, typer.Option(metavar="NAME", help="See: hpcopt list models.")]
L2 = Annotated[
    str | None,
    typer.Option(
        metavar="V", parser=strength, help='Weight of ||w||^2/2: a number, or "c/n"; default "1/n", with --l1 0.'
    ),
]
L1 = Annotated[
    str | None,
    typer.Option(metavar="V", parser=strength, help='Weight of ||w||_1, which makes weights zero: a number, or "c/n".'),
]
SolverName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="See: hpcopt list solvers; default: newton-cg; lbfgs with the losses softmax, hinge and huber; "
        "prox-lbfgs with --l1, adagrad-cmd with --l1 and hinge.",
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        metavar="T",
        parser=real,
        help="Stop when the scaled gradient, which does not depend on the features' units, is at most this; its "
        "square is about the relative gap of the objective to the minimum. Default 1e-8, and 1e-2 "
        "for non-convex models and losses. Losses that are not smooth (hinge) have no such test: they stop after 1000 "
        "rounds.",
    ),
]
Intercept = Annotated[bool, typer.Option("--intercept", help="Fit an intercept (not penalised).")]
Scale = Annotated[
    str,
    typer.Option(metavar="NAME", help="Scale the features: standard, max-abs, global-max-abs; the model undoes it."),
]
HashBits = Annotated[
    int | None,
    typer.Option(
        "--hash-bits", metavar="B", help="Hash the features of LIBSVM text, which may be names, into 2**B columns."
    ),
]
Test = Annotated[Path | None, typer.Option(metavar="FILE", help="Test rows.")]
TestFraction = Annotated[
    float, typer.Option(metavar="F", parser=real, help="Fraction of DATA to hold out for testing instead.")
]


def fit(
    data: Data,
    output: Output,
    loss: Loss = "",
    model: Model = "linear",
    l2: L2 = None,
    l1: L1 = None,
    solver: SolverName = None,
    tol: Tolerance = None,
    intercept: Intercept = False,
    scale: Scale = "none",
    hash_bits: HashBits = None,
    test: Test = None,
    test_fraction: TestFraction = 0,
    overrides: Overrides = None,
    virtual: Virtual = None,
    quiet: Quiet = False,
    solver_file: SolverFile = None,
) -> int:
    """Fit a model to a data file.

    Under mpiexec each rank reads and holds only its part.
    """
    from hpcopt.cli.told import tell_fit
    from hpcopt.runs.fit import fit as start
    from hpcopt.spec.suitable import usual_solver, usual_stop

    stop = usual_stop(model, loss) if tol is None else {"scaled_gradient": tol}
    solver = solver or usual_solver(model, loss, smooth=not l1)
    problem: dict[str, Any] = {"model": model, "loss": loss}
    problem |= {name: weight for name, weight in (("l1", l1), ("l2", l2)) if weight is not None}
    if intercept:
        problem["intercept"] = True
    rows: dict[str, Any] = {"scale": scale, "test_fraction": test_fraction}
    if hash_bits is not None:
        rows["hash_bits"] = hash_bits
    if test is not None:
        rows["test"] = str(test)
    tables = {"data": rows, "problem": problem, "stop": stop}
    given = overridden(overrides, virtual)
    finished = start(data, solver, output, tables, given, quiet=quiet, solver_file=solver_file)
    if not quiet:
        tell_fit(finished, output)
    if not (quiet or finished.status.converged or finished.diverged) and is_first():
        print(f"hpcopt: warning: {_shortfall(finished, stop, scale)}", file=sys.stderr)
    return DIVERGED_OR_MISSED if finished.diverged else 0


def _shortfall(finished: Run, stop: dict[str, Any], scale: str) -> str:
    """Return a one-line warning that the model is not optimal, or may not be, with advice."""
    from hpcopt.results.stopping import Status

    status, tol = finished.status, stop.get("scaled_gradient")
    if tol is None:
        return f"no test tells how far from the minimum this is: {status.value}; more: --set stop.rounds=N"
    reached = finished.result["scaled_gradient"]
    scaling = "--scale standard (max-abs for sparse rows), or " if scale == "none" else ""
    what_to_do = {
        Status.STALLED: f"try {scaling}another --solver",
        Status.FINISHED: "another --solver comes closer",
        Status.LEFT: "remove the departures of nodes",
    }
    more = f"try {scaling}more: --set stop.{status.name.lower()}=N"
    told = f"not converged to --tol {tol:g} (the scaled gradient is {reached:.2g}): {status.value}"
    return f"{told}; {what_to_do.get(status, more)}"
