"""`hpcopt list [KIND]` and `hpcopt show NAME`: what specifications and studies contain, from registries and tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcopt.cli.options import SolverFile
from hpcopt.errors import InputError
from hpcopt.registry import Registry, nearest
from hpcopt.scaling.table import TABLE, ScalingTable

if TYPE_CHECKING:
    from hpcopt.spec.catalogue import Key

WIDTH = 100  # columns of a line with names
MOST_PARTS = 8  # most parts that are named if they share a parameter
PLURALS = {"matrix": "matrices"} | {name: name for name in ("error_feedback", "normalise", "on", "target_on")}
"""Key -> the kind that lists its names, where that is not the key with an s."""
OF_STUDIES = {TABLE: ScalingTable}
"""The tables that only studies have."""

Registries = Mapping[str, tuple[Registry[Any], str]]


def registries(solver_file: Path | None = None) -> Registries:
    """Return plural of the kind -> (registry, table with the parameters of its parts)."""
    from hpcopt.solvers.outside import load_file
    from hpcopt.spec.catalogue import REGISTRIES

    if solver_file is None:
        return REGISTRIES
    solvers, place = REGISTRIES["solvers"]
    return {**REGISTRIES, "solvers": (solvers.with_those_of(load_file(solver_file).solvers), place)}


def list_(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Default: list the kinds.")] = None,
    solver_file: SolverFile = None,
) -> int:
    """List the names of a kind, one line each; without KIND, list the kinds.

    Kinds are solvers, compressors, topologies, ..., the tables of a specification, and the names that its keys accept:
    sources, partitions, weights, ...
    """
    from hpcopt.spec.catalogue import all_keys, summary, tables

    known = registries(solver_file)
    listed = {plural: {name: summary(parts[name]) for name in parts} for plural, (parts, _) in known.items()}
    listed["tables"] = {path: summary(table) for path, table in tables(OF_STUDIES).items()}
    for key in all_keys(known, OF_STUDIES):
        if len(key.names) > 1:
            names = listed.setdefault(_plural(key.name), {})
            told = {name: meaning or f"hpcopt show {key.path}" for name, meaning in key.names.items()}
            names.update({**told, **names})
    if kind is None:
        _print_columns({plural: _shortened(names) for plural, names in listed.items()})
        print("\nhpcopt list KIND: one line each; hpcopt show NAME: details, also of a table or key, as data.partition")
        return 0
    if kind not in listed:
        raise InputError(f"unknown kind '{kind}'{nearest(kind, listed)} (known: {', '.join(listed)})")
    _print_columns(listed[kind])
    for fault in known[kind][0].broken.values() if kind in known else ():
        print(f"hpcopt: {fault}", file=sys.stderr)
    return 0


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A solver, loss, ..., table, key, or value of a key.")],
    solver_file: SolverFile = None,
) -> int:
    """Describe a name: a component's parameters, defaults and paper, a table's keys, or a key's values.

    A key may be given with its table, as data.partition.
    """
    from hpcopt.spec.catalogue import all_keys, tables

    known, tabled = registries(solver_file), tables(OF_STUDIES)
    keys = [key for key in all_keys(known, OF_STUDIES) if key.path not in tabled]
    found = [_part(parts, name) for parts, _ in known.values() if name in parts]
    broken = [parts.broken[name] for parts, _ in known.values() if name in parts.broken]
    if broken and not found:
        raise InputError(broken[0])
    found += [_table(path, table) for path, table in tabled.items() if name in _called(path)]
    found += _told_once([key for key in keys if name in _called(key.path)], _key)
    found += _told_once([key for key in keys if name in key.names], lambda key, of: _value(key, of, name))
    if not found:
        names = [*(part for parts, _ in known.values() for part in parts)]
        names += [word for key in keys for word in key.names]
        names += [word for path in (*tabled, *(key.path for key in keys)) for word in _called(path)]
        raise InputError(f"unknown name '{name}'{nearest(name, names)} (see: hpcopt list)")
    print("\n\n".join(found))
    return 0


def _plural(name: str) -> str:
    return name if name.endswith("s") else PLURALS.get(name, f"{name}s")


def _called(path: str) -> tuple[str, str]:
    """Return the two names of the table or key at `path`: with and without the enclosing tables."""
    return path, path.rpartition(".")[2]


def _print_columns(lines: Mapping[str, str]) -> None:
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:<{width}}  {text}".rstrip())


def _shortened(names: Mapping[str, str]) -> str:
    """Return the number of names, and as many of them as fit."""
    text = f"{len(names):>2}: {', '.join(names)}"
    return text if len(text) <= WIDTH else f"{text[:WIDTH].rpartition(',')[0]}, ..."


def _part(parts: Registry[Any], name: str) -> str:
    """Return the description of a registered part."""
    from hpcopt.spec.catalogue import description, table_keys

    part = parts[name]
    needs = getattr(part, "needs", None)
    said = {
        "Needs": needs and needs.words(),
        "Penalties": needs and needs.composite and "any, also those that are not smooth, such as l1",
        "Paper": getattr(part, "paper", None),
        "Floor": getattr(part, "floor", None),
    }
    keys = table_keys(part)
    blocks = [
        f"{name} ({parts.kind})",
        description(part),
        *(["Parameters\n----------"] if keys else []),
        *_blocks(keys),
    ]
    return "\n\n".join([*blocks, *(f"{word}: {value}" for word, value in said.items() if value)])


def _table(path: str, table: type) -> str:
    """Return the description of a table, and its keys."""
    from hpcopt.spec.catalogue import description, table_keys

    return "\n\n".join([f"{path} (table)", description(table), *_blocks(table_keys(table))])


def _blocks(keys: list[Key]) -> list[str]:
    """Return the descriptions of a table's keys; keys that its class describes together stay together."""
    blocks = []
    for (_, text), group in groupby(keys, key=lambda key: (key.together, key.text)):
        heads = "\n".join(_head(key, key.name) for key in group)
        blocks.append(f"{heads}\n{indent(text, '    ')}".rstrip())
    return blocks


def _head(key: Key, name: str) -> str:
    if key.default is None:
        return f"{name}: {key.allowed}; required"
    return f"{name} = {key.default}: {key.allowed}" if key.default else f"{name}: {key.allowed}"


def _told_once(keys: list[Key], tell: Any) -> list[str]:
    """Return `tell` of each key; text that several parts share is given once, with all their names."""
    said: dict[str, list[Key]] = {}
    for key in keys:
        said.setdefault(tell(key, ""), []).append(key)
    return [tell(alike[0], _of(alike)) for alike in said.values()]


def _of(keys: list[Key]) -> str:
    """Return the parts that have this parameter, if it is one of parts."""
    parts = [key.part for key in keys if key.part]
    if not parts:
        return ""
    return f"; {keys[0].kind}: {', '.join(parts) if len(parts) <= MOST_PARTS else f'{len(parts)} of them'}"


def _key(key: Key, of: str) -> str:
    return f"{key.path} (key{of})\n\n{_head(key, key.name)}\n{indent(key.text, '    ')}".rstrip()


def _value(key: Key, of: str, name: str) -> str:
    meaning = key.names[name] or key.text
    return f"{name} (value of {key.path}{of})\n\n{meaning}\n\nAll values: hpcopt show {key.path}".replace(
        "\n\n\n\n", "\n\n"
    )
