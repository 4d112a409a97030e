"""A study as read from its file: the table [scaling], and a specification for each topology."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.results.choice import aims
from hpcopt.scaling.table import TABLE, ScalingTable
from hpcopt.spec.grid import Grid
from hpcopt.spec.labels import labels
from hpcopt.spec.named_file import NamedFile
from hpcopt.spec.specification import Specification, checked_specification
from hpcopt.spec.toml_file import read_tables
from hpcopt.spec.validation import Origin, checked
from hpcopt.topology import TOPOLOGIES

_TOPOLOGY = ("cluster", "topology")


@dataclass(frozen=True)
class Study:
    """A checked study.

    Parameters
    ----------
    file
        Its file.
    table
        Its table [scaling].
    specifications
        Label of a topology -> the specification with it; one, with the label "", if the study has no list of them.
    folder
        Where its points and results are.
    """

    file: Path
    table: ScalingTable
    specifications: dict[str, Specification]
    folder: Path

    @property
    def name(self) -> str:
        """Its name in titles."""
        return self.file.stem

    @property
    def specification(self) -> Specification:
        """That with the first topology; the others differ in nothing else."""
        return next(iter(self.specifications.values()))

    @property
    def aims(self) -> bool:
        """Whether points run until a goal."""
        return aims(self.specification.stop)

    @property
    def files(self) -> list[Path]:
        """The files that the study is read from, and those that its runs read."""
        named = [] if self.table.specification is None else [beside(self.file, self.table.specification)]
        return [self.file, *named, *(file for spec in self.specifications.values() for file in spec.files)]


def read_study(path: Path, folder: Path | None = None) -> Study:
    """Return the study in the TOML file `path`.

    Parameters
    ----------
    folder
        Where its points and results are; default: output.folder, else runs/ and the name of the file.

    Raises
    ------
    InputError
        With file, line and key, for any error.
    """
    tables, origin = read_tables(path)
    if TABLE not in tables:
        raise InputError(f"{path}: a study has a table [{TABLE}], with at least ranks = [1, 2, 4]; it is missing")
    table = checked(tables.pop(TABLE), ScalingTable, (TABLE,), origin)
    named, file = NamedFile.of(path), path
    if table.specification is not None:
        if tables:
            what = f"given together with {next(iter(tables))}; the file that it names has all other tables"
            raise origin.error((TABLE, "specification"), what)
        file = beside(path, table.specification)
        if not file.is_file():
            raise origin.error((TABLE, "specification"), f"{file}: no such file")
        tables, origin = read_tables(file)
    if TABLE in tables:
        raise origin.error((TABLE,), "a specification that a study names has no such table; remove it")
    found = {
        label: replace(checked_specification(one, True, origin, file), file=named)
        for label, one in _with_each_topology(tables, origin).items()
    }
    given = next(iter(found.values()))
    if table.iterations is None and not aims(given.stop):
        wanted = "give iterations = N here, or a goal in [stop], such as target"
        raise origin.error((TABLE,), f"runs need an end: {wanted}")
    if given.compare.best is not None:
        raise origin.error(("compare",), "a study reports all its points and chooses none; remove it")
    own = tables.get("output", {}).get("folder")
    return Study(path, table, found, folder or (Path("runs") / path.stem if own is None else Path(own)))


def beside(file: Path, name: str) -> Path:
    """Return the path of `name`: from the current folder if it exists there, else from that of `file`."""
    return Path(name) if Path(name).exists() else file.parent / name


def _with_each_topology(tables: dict[str, Any], origin: Origin) -> dict[str, dict[str, Any]]:
    """Return label -> the tables with one topology each, if cluster.topology is a list; lists inside are grids."""
    cluster = tables.get("cluster")
    given = cluster.get("topology") if isinstance(cluster, dict) else None
    if not isinstance(cluster, dict) or not (isinstance(given, list) or _has_lists(given, origin)):
        return {"": tables}
    if not given:
        raise origin.error(_TOPOLOGY, "expected a topology, or a list of them, got []")
    listed = enumerate(given) if isinstance(given, list) else [(None, given)]
    single: list[dict[str, Any]] = []
    for place, item in listed:
        where = _TOPOLOGY if place is None else (*_TOPOLOGY, place)
        one = {"name": item} if isinstance(item, str) else item
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise origin.error(where, 'expected the name of a topology, or a table with name = "..."')
        grid = Grid(where, one, TOPOLOGIES, origin)
        grid.check(many=True)
        single += [table for table, _ in grid.combinations()]
    twice = next((table for place, table in enumerate(single) if table in single[:place]), None)
    if twice is not None:
        raise origin.error(_TOPOLOGY, f'"{twice["name"]}" is given twice; remove one')
    return {
        label: {**tables, "cluster": {**cluster, "topology": one}}
        for label, one in zip(labels(single), single, strict=True)
    }


def _has_lists(given: object, origin: Origin) -> bool:
    """Return whether a topology's table has lists of values."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        return False
    return bool(Grid(_TOPOLOGY, given, TOPOLOGIES, origin).keys)
