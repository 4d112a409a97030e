"""Conversion between tables and registered parts: solvers, compressors, topologies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from hpcopt.annotations import KeyPath, shown
from hpcopt.compression import COMPRESSORS, Compressor
from hpcopt.errors import InputError
from hpcopt.registry import Registry
from hpcopt.spec.validation import Origin, checked


def build_part(registry: Registry[Any], table: Any, where: KeyPath = (), origin: Origin | None = None) -> Any:
    """Return the part of `registry` that `table` names, with its parameters.

    Parameters
    ----------
    table
        `name` and parameters; missing ones keep the part's defaults, also inside nested tables. A parameter that is
        itself a part (a solver's compressor) is such a table, or its name alone.
    where
        The table's path, for messages.
    origin
        Where the table came from, for messages.

    Raises
    ------
    InputError
        For an unknown name or parameter, or a parameter of the wrong type or out of range.
    """
    origin = origin or Origin()
    if isinstance(table, str):
        table = {"name": table}
    if not isinstance(table, Mapping):
        raise origin.error(where, f'expected a table with name = "..." or the name alone, got {shown(table)}')
    name = table.get("name")
    if not isinstance(name, str):
        wanted = f"expected the name of a {registry.kind} ({', '.join(registry)})"
        raise origin.error((*where, "name"), f"missing; {wanted}" if name is None else f"{wanted}, got {shown(name)}")
    try:
        kind = registry[name]
    except InputError as error:
        raise origin.error((*where, "name"), str(error)) from None
    parameters = {key: value for key, value in table.items() if key != "name"}
    for parameter in fields(kind):
        if parameter.name not in parameters:
            continue
        given, default = parameters[parameter.name], parameter.default
        if isinstance(default, Compressor):
            parameters[parameter.name] = build_part(COMPRESSORS, given, (*where, parameter.name), origin)
        elif isinstance(given, dict) and is_dataclass(default) and not isinstance(default, type):
            parameters[parameter.name] = {**asdict(default), **given}
    return checked(parameters, kind, where, origin)


def as_table(part: Any) -> dict[str, Any]:
    """Return the table of a part's parameters with all defaults; nested parts include their names."""
    table: dict[str, Any] = {}
    for parameter in fields(part):
        value = getattr(part, parameter.name)
        if isinstance(value, Compressor):
            table[parameter.name] = {"name": value.name, **as_table(value)}
        else:
            table[parameter.name] = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return table
