"""The summary printed at the end of a command, on one rank only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcopt.fabric.launch import is_first
from hpcopt.results import folder as folders
from hpcopt.results.goal import Goal
from hpcopt.results.grids import grid_table
from hpcopt.results.operation_columns import shares_of
from hpcopt.results.printed import compare_table, printed
from hpcopt.results.summary import summary_table
from hpcopt.results.terminal import is_terminal, warn

if TYPE_CHECKING:
    from rich.table import Table

    from hpcopt.runs.finished import Run
    from hpcopt.studies.comparison import Comparison
    from hpcopt.studies.operations import Operations

WIDTH = 100  # columns in a batch log
WIDEST = 1000  # of a table there


def tell_run(run: Run) -> None:
    """Print the summary of one run and its output files."""
    places = {}
    if run.folder is not None:
        places = {
            "model": run.folder / folders.MODEL,
            "picture": run.folder / folders.PICTURE,
            "topology": run.folder / folders.TOPOLOGY,
            "operations": run.folder / folders.OPERATIONS,
            "timeline": run.folder / folders.TIMELINE,
            "folder": run.folder,
        }
    _print(_summary(run, places))
    _tell_undercut(run.goal, [run])


def tell_fit(run: Run, model: Path) -> None:
    """Print the summary of a fit."""
    _print(_summary(run, {"model": model}))


def tell_comparison(comparison: Comparison) -> None:
    """Print the tables of a comparison, and the paths of its files."""
    grids = [contender for contender in comparison.contenders if contender.is_grid]
    for contender in grids:
        _print(grid_table(contender))
    _print(compare_table(comparison.rows(), comparison.goal), whole=True)
    if is_first():
        for remark in comparison.remarks:
            print(f"note: {remark}")
    if is_first() and comparison.folder is not None:
        print(f"table: {comparison.folder / folders.TABLE}")
        if grids:
            print(f"grid: {comparison.folder / folders.GRID}")
        for name in folders.TEXT_TABLES.values():
            if (comparison.folder / name).exists():
                print(f"table: {comparison.folder / name}")
        print(f"picture: {comparison.folder / folders.COMPARISON}")
    _tell_undercut(comparison.goal, comparison.runs)


def tell_operations(operations: Operations) -> None:
    """Print the tables of the operations of runs."""
    for columns, caption in operations.columns():
        _print(printed(columns, caption), whole=True)


def _tell_undercut(goal: Goal, runs: Sequence[Run]) -> None:
    """Say so if a run went below the optimum."""
    lowest = goal.undercut(record for run in runs for record in run.records)
    if lowest is not None and is_first():
        warn(f"problem.optimum is wrong: it is {goal.optimum:.10g}, and a run reached {lowest:.10g}")


def _summary(run: Run, places: dict[str, Path]) -> Table:
    there = {name: place for name, place in places.items() if place.exists()}
    return summary_table(
        run.result,
        run.records[-1].clock,
        there,
        phases=run.phases.seconds,
        records=len(run.records),
        activities=None if run.operations is None else shares_of(run.operations),
    )


def _print(table: Table, *, whole: bool = False) -> None:
    """Print a table; a batch log's lines become as long as needed if it is `whole`, instead of breaking its cells."""
    if not is_first():
        return
    from rich.console import Console

    console = Console() if is_terminal() else Console(width=WIDTH, force_terminal=False)
    if whole and not is_terminal():
        needed = console.measure(table, options=console.options.update(width=WIDEST)).maximum
        console.width = max(WIDTH, needed)
    console.print(table)
