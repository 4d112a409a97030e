"""Grids: lists of values in a solver's table, of which a comparison runs every combination.

A list is a grid unless the key's own annotation takes it as one value; a list of such lists is then the grid. A list of
tables, and lists in the tables of a list, are grids, too: `compressor = ["f32", { name = "top-k", fraction = [0.01,
0.1] }]` has three values.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec.inspect as kinds

from hpcopt.annotations import KeyPath, inside, keys_of, shown
from hpcopt.compression import COMPRESSORS
from hpcopt.errors import InputError, Remedy
from hpcopt.registry import Registry
from hpcopt.results.choice import in_words
from hpcopt.solvers import Solver
from hpcopt.spec.labels import NO_PARAMETERS, SolverTable, coordinates
from hpcopt.spec.parts import as_table
from hpcopt.spec.validation import Origin

MOST_RUNS = 1000

Build = Callable[[SolverTable, KeyPath, Origin], Solver[Any]]
"""Returns the solver of a table without lists, given its path and origin for messages."""

Places = dict[KeyPath, KeyPath]
"""Path in a table without lists -> path of the list's item in the table as given."""


@dataclass(frozen=True)
class Variant:
    """A solver with one value for each of its keys.

    Parameters
    ----------
    table
        Its table, without grids.
    solver
        Built from that table.
    contender
        The label of the table it comes from.
    values
        The keys in which it differs from others of that table, with its values; empty without a grid.
    """

    table: SolverTable
    solver: Solver[Any]
    contender: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label of its runs."""
        return " ".join([self.contender, *in_words(self.values)])


@dataclass(frozen=True)
class Grid:
    """The combinations of the lists in one solver's table.

    Parameters
    ----------
    path
        The path of the table.
    table
        The table as given.
    solvers
        The registry in which its name is looked up.
    origin
        The origin of the table.
    """

    path: KeyPath
    table: SolverTable
    solvers: Registry[Any]
    origin: Origin

    @property
    def keys(self) -> list[str]:
        """The parameters with lists of values, in the order given."""
        return [key for key in self._parameters() if any(self._lists_in(key))]

    def check(self, *, many: bool) -> int:
        """Return the number of combinations; raise an error for an empty list, and for any unless `many`."""
        for key in self._parameters():
            for where, items in self._lists_in(key):
                if not items:
                    wanted = "expected a value, or a list of values to compare"
                    raise self.origin.error((*self.path, *where), f"{wanted}, got []")
                if not many:
                    what = f"a run takes one value, got {shown(items)}"
                    raise InputError(self.origin.error((*self.path, *where), what).message, Remedy.COMPARE)
        return math.prod(_count(value, self._kind(key)) for key, value in self._parameters().items())

    def combinations(self) -> Iterator[tuple[SolverTable, Places]]:
        """Yield the table with each combination of values; the last list varies fastest."""
        fixed = {key: value for key, value in self.table.items() if key in {"name", *NO_PARAMETERS}}
        given = self._parameters()
        for values, places in _products(given, {key: self._kind(key) for key in given}, (), ()):
            yield {**fixed, **values}, places

    def built(self, build: Build, contender: str) -> list[Variant]:
        """Return the solvers, each built by `build`, with the label of their table.

        Raises
        ------
        InputError
            For a value that is not valid, with its place in its list; for a value that is given twice.
        """
        seen: dict[str, Places] = {}
        tables, solvers = [], []
        for table, places in self.combinations():
            origin = _ItemOrigin(self.origin.name, self.origin.lines, self.origin.overrides, self._whole(places))
            solver = build(table, self.path, origin)
            before = seen.setdefault(json.dumps(as_table(solver), default=str, sort_keys=True), places)
            if before is not places:
                twice = next(where for where, place in places.items() if before.get(where) != place)
                item: Any = self.table
                for step in places[twice]:
                    item = item[step]
                raise self.origin.error((*self.path, *places[twice]), f"{shown(item)} is given twice; remove one")
            tables.append(table)
            solvers.append(solver)
        values = coordinates(tables, self.keys)
        return [Variant(*each) for each in zip(tables, solvers, itertools.repeat(contender), values)]

    def _whole(self, places: Places) -> Places:
        return {(*self.path, *inner): (*self.path, *outer) for inner, outer in places.items()}

    def _parameters(self) -> SolverTable:
        return {key: value for key, value in self.table.items() if key not in {"name", *NO_PARAMETERS}}

    def _kind(self, key: str) -> kinds.Type | None:
        return _kind_in(self.solvers, self.table.get("name"), key)

    def _lists_in(self, key: str) -> Iterator[tuple[KeyPath, list[Any]]]:
        return _lists(self.table[key], self._kind(key), (key,))


@dataclass(frozen=True)
class _ItemOrigin(Origin):
    """The origin of a table without lists: messages name the items of the lists in the file.

    Parameters
    ----------
    places
        As in `Places`, with the path of the solver's table.
    """

    places: Places = field(default_factory=dict)

    def error(self, path: KeyPath, message: str) -> InputError:
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return super().error((*self.places[path[:length]], *path[length:]), message)
        return super().error(path, message)


def check_number(counts: Sequence[tuple[KeyPath, int]], seeds: int, origin: Origin) -> None:
    """Raise an error for too many runs, given the path and the number of combinations of each solver's table."""
    total = sum(count for _, count in counts) * seeds
    if total <= MOST_RUNS:
        return
    path, most = max(counts, key=lambda each: each[1])
    told = [f"{most:,} combinations of the lists here"] if most > 1 else []
    told += [f"{len(counts)} tables [[solvers]]"] if len(counts) > 1 else []
    told += [f"{seeds:,} seeds"] if seeds > 1 else []
    where = ("seeds",) if seeds > most else path
    raise origin.error(where, f"{total:,} runs in all ({', '.join(told)}); expected at most {MOST_RUNS:,}")


def _kind_in(registry: Registry[Any], name: object, key: str) -> kinds.Type | None:
    """Return the type of a parameter of a registered part; None if there is no such part or parameter."""
    if not isinstance(name, str) or name not in registry:
        return None
    return _types(registry[name]).get(key)


@cache
def _types(part: type) -> dict[str, kinds.Type]:
    """Return the types of a part's parameters."""
    return keys_of(kinds.type_info(part)) or {}


def _is_grid(value: object, kind: kinds.Type | None) -> bool:
    return isinstance(value, list) and not _takes(kind, value)


def _takes(kind: kinds.Type | None, value: object) -> bool:
    """Return whether an annotation takes a value as it stands, as far as kinds go: ranges and names don't matter."""
    taken = isinstance(value, dict)
    match kind:
        case None | kinds.AnyType():
            taken = True
        case kinds.Metadata(type=inner):
            taken = _takes(inner, value)
        case kinds.UnionType(types=parts):
            taken = any(_takes(part, value) for part in parts)
        case kinds.ListType(item_type=item) | kinds.VarTupleType(item_type=item):
            taken = isinstance(value, list) and all(_takes(item, each) for each in value)
        case kinds.TupleType(item_types=items):
            taken = isinstance(value, list) and len(items) == len(value) and all(map(_takes, items, value))
        case kinds.FloatType():
            taken = isinstance(value, (int, float)) and not isinstance(value, bool)
        case kinds.IntType():
            taken = isinstance(value, int) and not isinstance(value, bool)
        case kinds.StrType() | kinds.LiteralType():
            taken = isinstance(value, str)
        case kinds.BoolType():
            taken = isinstance(value, bool)
    return taken


def _kinds_of(table: Mapping[str, Any], kind: kinds.Type | None) -> dict[str, kinds.Type | None]:
    """Return the types of the keys of a nested table without grids in its name."""
    if isinstance(kind, kinds.CustomType):
        return {key: _kind_in(COMPRESSORS, table.get("name"), key) for key in table}
    return {key: inside(kind, key) for key in table}


def _named(table: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Places]]:
    """Return a part's table with each of its names, if these are a list."""
    names = table.get("name")
    if not isinstance(names, list):
        return [(table, {})]
    return [({**table, "name": name}, {("name",): ("name", place)}) for place, name in enumerate(names)]


def _lists(value: object, kind: kinds.Type | None, at: KeyPath) -> Iterator[tuple[KeyPath, list[Any]]]:
    """Yield path and items of every list in `value` that is a grid."""
    if isinstance(value, list) and _is_grid(value, kind):
        yield at, value
        for place, item in enumerate(value):
            yield from _lists(item, kind, (*at, place))
    elif isinstance(value, Mapping):
        names = value.get("name")
        if isinstance(names, list):
            yield (*at, "name"), names
        for table, _ in _named(value):
            for key, inner in _kinds_of(table, kind).items():
                yield from _lists(table[key], inner, (*at, key))


def _count(value: object, kind: kinds.Type | None) -> int:
    """Return the number of values without lists that `value` stands for."""
    if isinstance(value, list) and _is_grid(value, kind):
        return sum(_count(item, kind) for item in value)
    if isinstance(value, Mapping):
        return sum(
            math.prod(_count(table[key], inner) for key, inner in _kinds_of(table, kind).items())
            for table, _ in _named(value)
        )
    return 1


def _values(value: Any, kind: kinds.Type | None, at: KeyPath, given: KeyPath) -> Iterator[tuple[Any, Places]]:
    """Yield every value without lists that `value` stands for, and where its parts were given.

    Parameters
    ----------
    at, given
        The path of `value` in the table without lists, and in the table as given.
    """
    if isinstance(value, list) and _is_grid(value, kind):
        for place, item in enumerate(value):
            for one, places in _values(item, kind, at, (*given, place)):
                yield one, {at: (*given, place), **places}
    elif isinstance(value, Mapping):
        for table, names in _named(value):
            chosen = {(*at, *inner): (*given, *outer) for inner, outer in names.items()}
            for one, places in _products(table, _kinds_of(table, kind), at, given):
                yield one, {**chosen, **places}
    else:
        yield value, {}


def _products(
    table: Mapping[str, Any], types: Mapping[str, kinds.Type | None], at: KeyPath, given: KeyPath
) -> Iterator[tuple[dict[str, Any], Places]]:
    """Yield a table with every combination of the values of its keys."""
    ways = [list(_values(value, types[key], (*at, key), (*given, key))) for key, value in table.items()]
    for way in itertools.product(*ways):
        values = {key: value for key, (value, _) in zip(table, way, strict=True)}
        yield values, {inner: outer for _, places in way for inner, outer in places.items()}
