"""The contents of a specification, read from the classes that check it: tables, keys, and named values.

A key is declared once, by a field of a frozen dataclass: its annotation gives the type, the class's docstring the
meaning. A list `- "name": meaning` in the docstring explains each named value.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import msgspec.inspect as kinds

from hpcopt.annotations import allowed, choices
from hpcopt.compression import COMPRESSORS
from hpcopt.fabric.rates import RATES
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES
from hpcopt.registry import Registry
from hpcopt.solvers import SOLVERS
from hpcopt.spec.specification import Tables
from hpcopt.topology import TOPOLOGIES

WHOLE = "specification"
"""The name of the outermost table."""
REGISTRIES: dict[str, tuple[Registry[Any], str]] = {
    "solvers": (SOLVERS, "solver"),
    "compressors": (COMPRESSORS, "solver.compressor"),
    "topologies": (TOPOLOGIES, "cluster.topology"),
    "rates": (RATES, "cluster.rates"),
    "models": (MODELS, "problem"),
    "losses": (LOSSES, "problem"),
    "penalties": (PENALTIES, "problem.penalty"),
}
"""Plural of the kind -> (registry, table that contains the parameters of its parts)."""

NO_MORE: Mapping[str, type] = MappingProxyType({})

_ITEM = re.compile(r'^- "(?P<name>[^"]+)": (?P<meaning>.*(?:\n {2,}\S.*)*)', re.MULTILINE)


@dataclass(frozen=True)
class Key:
    """A key of a table.

    Parameters
    ----------
    path
        The key with its enclosing tables: "data.partition".
    kind, part
        For a parameter of a registered part: "solvers" and the part's name; otherwise empty.
    allowed
        The allowed values, in words.
    default
        The default in TOML; empty if it can't be written in TOML, None if the key is required.
    together, text
        The keys that its class's docstring describes together, and the description.
    names
        Its named values and their meanings, if the docstring lists them.
    """

    path: str
    kind: str
    part: str
    allowed: str
    default: str | None
    together: tuple[str, ...]
    text: str
    names: Mapping[str, str]

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition(".")[2]


def summary(kind: type) -> str:
    """Return the first paragraph of a class's docstring in one line."""
    return " ".join(_sections(kind)[0].partition("\n\n")[0].split())


def description(kind: type) -> str:
    """Return a class's docstring up to its first section."""
    return _sections(kind)[0]


def tables(more: Mapping[str, type] = NO_MORE) -> dict[str, type]:
    """Return the classes of all tables by path; the outermost table is `WHOLE`.

    Parameters
    ----------
    more
        Tables that files have beside those of a specification.
    """
    beside = {path: table for name, kind in more.items() for path, table in ((name, kind), *_tables(kind, name))}
    return {WHOLE: Tables, **dict(_tables(Tables, "")), **beside}


@cache
def table_keys(kind: type, path: str = "", of: tuple[str, str] = ("", "")) -> list[Key]:
    """Return the keys of the table, or the parameters of the part, with class `kind`."""
    told = _parameters(kind)
    info = _types(kind)
    keys = []
    for field in fields(kind):
        together, text = told.get(field.name, ((field.name,), ""))
        meanings = {item["name"]: " ".join(item["meaning"].split()) for item in _ITEM.finditer(text)}
        own = choices(info[field.name])
        names = {} if isinstance(own, Registry) else {name: meanings.get(name, "") for name in own}
        place = f"{path}.{field.name}".lstrip(".")
        keys.append(Key(place, *of, allowed(info[field.name]), _default(field), together, text, names))
    return keys


def all_keys(
    registries: Mapping[str, tuple[Registry[Any], str]] = REGISTRIES, more: Mapping[str, type] = NO_MORE
) -> list[Key]:
    """Return the keys of all tables and the parameters of all registered parts, including nested parts.

    Parameters
    ----------
    more
        As in `tables`.
    """
    of_tables = [key for path, kind in tables(more).items() for key in table_keys(kind, "" if path == WHOLE else path)]
    known = {key.path for key in of_tables}
    of_parts = []
    for plural, (registry, place) in registries.items():
        for name in registry:
            part = registry[name]
            for path, kind in ((place, part), *_tables(part, place)):
                of_parts += table_keys(kind, path, (plural, name))
    return of_tables + [key for key in of_parts if key.path not in known]


def _tables(kind: type, path: str) -> Iterator[tuple[str, type]]:
    """Yield path and class of each table inside the table at `path`, in the order of its keys."""
    for name, info in _types(kind).items():
        for inner in _classes(info):
            place = f"{path}.{name}".lstrip(".")
            yield place, inner
            yield from _tables(inner, place)


@cache
def _types(kind: type) -> dict[str, kinds.Type]:
    """Return the types of a table's keys."""
    return {field.encode_name: field.type for field in kinds.type_info(kind).fields}  # type: ignore[attr-defined]


def _classes(info: kinds.Type) -> Iterator[type]:
    """Yield the table classes allowed for a value of type `info`, or for an item of such a list."""
    if isinstance(info, kinds.DataclassType):
        yield info.cls
    elif isinstance(info, (kinds.ListType, kinds.VarTupleType)):
        yield from _classes(info.item_type)
    elif isinstance(info, kinds.UnionType):
        for part in info.types:
            yield from _classes(part)
    elif isinstance(info, kinds.Metadata):
        yield from _classes(info.type)


def _default(field: Any) -> str | None:
    if field.default is MISSING:
        return None if field.default_factory is MISSING else ""
    return "" if field.default is None or field.default == "" else _as_toml(field.default)


def _as_toml(value: Any) -> str:
    if is_dataclass(value):
        named = [f'name = "{value.name}"'] if hasattr(value, "name") else []
        inner = [f"{f.name} = {_as_toml(getattr(value, f.name))}" for f in fields(value)]
        return f"{{ {', '.join([*named, *inner])} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_as_toml, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, default=repr)


@cache
def _parameters(kind: type) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return each parameter's description in the docstrings of a class and its bases, and those described with it."""
    told: dict[str, tuple[tuple[str, ...], str]] = {}
    for base in reversed(kind.__mro__):
        section = _sections(base)[1].get("Parameters", "")
        for entry in re.split(r"\n(?=\S)", section):
            head, _, text = entry.partition("\n")
            together = tuple(name.strip() for name in head.split(","))
            told.update(dict.fromkeys(together, (together, inspect.cleandoc(text))))
    return told


def _sections(kind: type) -> tuple[str, dict[str, str]]:
    """Return a class's own docstring up to its first section, and its sections by title (numpydoc)."""
    text = inspect.cleandoc(kind.__doc__ or "")
    before, *pieces = re.split(r"^(\S.*)\n-{3,}$", text, flags=re.MULTILINE)
    return before.strip(), {head: body.strip("\n") for head, body in zip(pieces[::2], pieces[1::2], strict=True)}
