"""Tables of external solvers: `file` in a table, or `solver_file` for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpcopt.annotations import KeyPath, shown
from hpcopt.errors import InputError
from hpcopt.registry import Registry
from hpcopt.solvers import Solver
from hpcopt.solvers.outside import load_file
from hpcopt.spec.validation import Origin


def with_files(
    tables: list[tuple[KeyPath, dict[str, Any]]], solver_file: str | None, found: Callable[[str], str], origin: Origin
) -> list[dict[str, Any]]:
    """Return the solvers' tables with the paths of their files.

    Parameters
    ----------
    tables
        The tables with their paths.
    solver_file
        The `file` of those tables without one that name a solver registered by it.
    found
        Returns the location of a file named in the specification.

    Raises
    ------
    InputError
        For a `file` that is not a path, and for a `solver_file` that can't be loaded or whose solvers no table names.
    """
    located = []
    for path, table in tables:
        if "file" in table and not isinstance(table["file"], str):
            raise origin.error((*path, "file"), f"expected the path of a Python file, got {shown(table['file'])}")
        located.append({**table, "file": found(table["file"])} if "file" in table else table)
    if solver_file is None:
        return located
    solver_file = found(solver_file)
    own = solvers_of(solver_file, ("solver_file",), origin)
    theirs = [isinstance(t.get("name"), str) and "file" not in t and t["name"] in own for t in located]
    if not any(theirs):
        raise origin.error(("solver_file",), f"no table names a solver of {solver_file}, which has {', '.join(own)}")
    return [
        {**table, "file": solver_file} if is_theirs else table for table, is_theirs in zip(located, theirs, strict=True)
    ]


def solvers_of(file: str, where: KeyPath, origin: Origin) -> Registry[type[Solver[Any]]]:
    """Return the solvers that a file registers; `where` is the key that names it."""
    try:
        return load_file(file).solvers
    except InputError as error:
        raise origin.error(where, str(error)) from None


def own_solvers(table: Mapping[str, Any], where: KeyPath, origin: Origin) -> Registry[type[Solver[Any]]]:
    """Return the solvers of the file that the table at `where` names; they include the solver of that table."""
    own, name = solvers_of(table["file"], (*where, "file"), origin), table.get("name")
    if isinstance(name, str) and name not in own:
        raise origin.error((*where, "name"), f"'{name}' is not in {table['file']}, which has {', '.join(own)}")
    return own
