"""From the solvers' tables of a specification to solvers, one for each combination of the values listed in them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hpcopt.annotations import KeyPath, shown
from hpcopt.registry import Registry
from hpcopt.solvers import SOLVERS, Solver
from hpcopt.solvers.needs import Setting
from hpcopt.solvers.objections import objections
from hpcopt.spec.grid import Grid, Variant, check_number
from hpcopt.spec.labels import NO_PARAMETERS, SolverTable, labels
from hpcopt.spec.parts import build_part
from hpcopt.spec.solver_files import own_solvers
from hpcopt.spec.validation import Origin

_LABEL = re.compile(r"[^/\\]{1,80}")


def build_solver(table: Mapping[str, Any], where: KeyPath = ("solver",), origin: Origin | None = None) -> Solver[Any]:
    """Return the solver that `table` names, from its `file` if it has one; a `label` is ignored.

    Raises
    ------
    InputError
        See `build_part`.
    """
    known = _registry(table, where, origin or Origin())
    parameters = {key: value for key, value in table.items() if key not in NO_PARAMETERS}
    solver: Solver[Any] = build_part(known, parameters, where, origin)
    return solver


def solver_variants(
    tables: Sequence[tuple[KeyPath, SolverTable]], seeds: int, setting: Setting, origin: Origin, *, many: bool
) -> tuple[Variant, ...]:
    """Return the solvers of tables, given with their paths, in order.

    Parameters
    ----------
    seeds
        The number of repetitions of each run.
    setting
        The setting of the runs, as far as it is known.
    many
        Whether lists of values are allowed.

    Raises
    ------
    InputError
        For an invalid table, label or list; for a solver that cannot run in the setting.
    """
    _check_labels(tables, origin)
    grids = [Grid(path, table, _registry(table, path, origin), origin) for path, table in tables]
    check_number([(grid.path, grid.check(many=many)) for grid in grids], seeds, origin)
    plain = [{key: value for key, value in grid.table.items() if key not in grid.keys} for grid in grids]
    for (path, _), table in zip(tables, plain, strict=True):
        if not isinstance(table.get("name"), str):
            build_solver(table, path, origin)  # which raises the error
    build = partial(_suitable, setting)
    return _apart([grid.built(build, label) for grid, label in zip(grids, labels(plain), strict=True)])


def _apart(contenders: Sequence[list[Variant]]) -> tuple[Variant, ...]:
    """Return the solvers of all tables, with another label for a table whose grid has the label of another solver."""
    known: list[Variant] = []
    for place, variants in enumerate(contenders):
        others = {other.contender for rivals in (*contenders[:place], *contenders[place + 1 :]) for other in rivals}
        taken = {name for variant in known for name in (variant.label, variant.contender)} | others
        numbers = ("" if number == 1 else f" ({number})" for number in itertools.count(1))
        named = ([replace(one, contender=one.contender + number) for one in variants] for number in numbers)
        known += next(
            own for own in named if taken.isdisjoint(name for one in own for name in (one.label, one.contender))
        )
    return tuple(known)


def _registry(table: Mapping[str, Any], where: KeyPath, origin: Origin) -> Registry[Any]:
    return SOLVERS if "file" not in table else own_solvers(table, where, origin)


def _check_labels(tables: Sequence[tuple[KeyPath, SolverTable]], origin: Origin) -> None:
    """Raise an error for a label that is not valid, or given twice."""
    seen: set[str] = set()
    for path, table in tables:
        label = table.get("label")
        if label is None:
            continue
        if not isinstance(label, str) or not _LABEL.fullmatch(label) or not label.isprintable():
            wanted = "up to 80 printable characters without slashes"
            raise origin.error((*path, "label"), f"expected {wanted}, got {shown(label)}")
        if label in seen:
            raise origin.error((*path, "label"), f"{shown(label)} is also the label of another solver")
        seen.add(label)


def _suitable(setting: Setting, table: SolverTable, path: KeyPath, origin: Origin) -> Solver[Any]:
    """Return the solver of a table that can run; overridable objections are raised later, when more is known."""
    solver = build_solver(table, path, origin)
    for objection in objections(solver, setting):
        if not objection.can_be_forced:
            outer, *key = objection.key.split(".")
            raise origin.error((*path, *key) if outer == "solver" else (outer, *key), objection.text)
    return solver
