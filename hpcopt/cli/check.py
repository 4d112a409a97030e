"""`hpcopt check SOLVER.py`: the conformance suite on a user-defined solver."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcopt.cli.options import real
from hpcopt.files import written_whole
from hpcopt.outputs import check_apart, check_file

if TYPE_CHECKING:
    from hpcopt.conformance.verdict import Verdict

_SHORTEST = 0.1  # seconds that a check may be given


def seconds(given: object) -> float:
    """Return the value of --limit."""
    limit = real(given)
    if limit < _SHORTEST:
        raise typer.BadParameter(f"expected a number >= {_SHORTEST}, got {given}")
    return limit


def check(
    file: Annotated[Path, typer.Argument(metavar="SOLVER.py", help="A file that registers one or more solvers.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write solver, property, verdict, why as JSON.")
    ] = None,
    limit: Annotated[float, typer.Option(metavar="S", parser=seconds, help="Time limit of a check in seconds.")] = 20.0,
) -> int:
    """Check a user-defined solver.

    Runs the conformance suite of the built-in solvers on small problems with known optima. The exit code is 0 if no
    check fails, else 1.
    """
    from hpcopt.conformance.checks import CHECKS
    from hpcopt.conformance.examine import examine

    if json_file is not None:
        check_file(json_file)
        check_apart([json_file], [file])
    width = max(len(check.sentence) for check in CHECKS)
    verdicts: list[Verdict] = []
    for verdict in examine(file, limit):
        if not verdicts or verdicts[-1].solver != verdict.solver:
            print(f"{file}: solver '{verdict.solver}'")
        print(f"  {verdict.property:<{width}}  {_words(verdict)}", flush=True)
        verdicts.append(verdict)
    if json_file is not None:
        with written_whole(json_file) as written:
            written.write(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    failed = sum(verdict.verdict == "fails" for verdict in verdicts)
    held = sum(verdict.verdict == "holds" for verdict in verdicts)
    print(f"{held} hold, {failed} fail{'s' * (failed == 1)}, {len(verdicts) - held - failed} not asked")
    return 1 if failed else 0


def _words(verdict: Verdict) -> str:
    if verdict.verdict == "holds":
        return "holds"
    return f"{'FAILS' if verdict.verdict == 'fails' else verdict.verdict}: {verdict.why}"
