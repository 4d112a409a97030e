"""The names of solvers in tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SolverTable = dict[str, Any]
"""`name`, optionally `label` and `file`, and parameters: fields of the registered dataclass."""
NO_PARAMETERS = {"label", "file"}


def labels(tables: Sequence[SolverTable]) -> list[str]:
    """Return a unique label for each solver's table.

    Its own `label`; otherwise its name, followed by the parameters that distinguish it from others of that name.
    """
    parameters = [dict(flat({key: table[key] for key in table.keys() - {"name", *NO_PARAMETERS}})) for table in tables]
    names: list[str] = []
    for table, own in zip(tables, parameters, strict=True):
        rivals = [other for rival, other in zip(tables, parameters, strict=True) if rival["name"] == table["name"]]
        telling = [
            f"{key}={value}" for key, value in sorted(own.items()) if any(rival.get(key) != value for rival in rivals)
        ]
        names.append(table.get("label") or " ".join([table["name"], *telling]))
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def coordinates(tables: Sequence[SolverTable], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each table its values of those keys in which the tables differ.

    Parameters
    ----------
    tables
        The combinations of a grid.
    keys
        The parameters with lists of values. The keys of tables in them are told as "compressor.fraction"; the name of a
        part is told as that of its parameter.
    """
    named = {key for key in keys if any(isinstance(table[key], Mapping) and "name" in table[key] for table in tables)}
    flattened = [
        dict(
            flat(
                {
                    key: {"name": value} if key in named and isinstance(value := table[key], str) else table[key]
                    for key in keys
                }
            )
        )
        for table in tables
    ]
    known = dict.fromkeys(key for one in flattened for key in one)
    first = flattened[0]
    telling = [key for key in known if any((key in one, one.get(key)) != (True, first.get(key)) for one in flattened)]
    return [{key.removesuffix(".name"): one[key] for key in telling if key in one} for one in flattened]


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ("line_search.slope", 0.1) for nested tables."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
