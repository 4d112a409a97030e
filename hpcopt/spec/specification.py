"""The run specification: read from TOML or a dict, checked before anything runs, written with all defaults.

A mistyped key that is silently ignored costs a night of computing. So unknown keys, wrong types and values out of range
are errors, and every message names file, line and key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from hpcopt.annotations import Count, KeyPath, Whole, plain
from hpcopt.data.request import DataRequest
from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.heterogeneity import EVEN
from hpcopt.fabric.place import HubTable
from hpcopt.fabric.rates import RATES, Rates
from hpcopt.fabric.watchdog import Watchdog
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES
from hpcopt.problems.table import STARTS, ProblemTable
from hpcopt.results.checkpoint_table import CheckpointTable
from hpcopt.results.choice import CompareTable, Criterion
from hpcopt.results.output import Output
from hpcopt.results.stopping import StopRule
from hpcopt.solvers import Solver
from hpcopt.solvers.needs import Setting
from hpcopt.spec.between import (
    check_best,
    check_gap,
    check_gradient,
    check_kkt,
    check_nearness,
    check_optimum,
    check_slots,
    check_target,
)
from hpcopt.spec.cluster import ClusterTable
from hpcopt.spec.grid import Variant
from hpcopt.spec.labels import SolverTable
from hpcopt.spec.named_file import NamedFile
from hpcopt.spec.overrides import apply_overrides
from hpcopt.spec.parts import as_table, build_part
from hpcopt.spec.solver_files import with_files
from hpcopt.spec.solver_tables import solver_variants
from hpcopt.spec.toml_file import read_tables
from hpcopt.spec.validation import Origin, checked
from hpcopt.topology import TOPOLOGIES, Topology
from hpcopt.topology.edge_list import File as EdgeList


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables of a specification. Each is checked by itself, then all of them together.

    Parameters
    ----------
    seed
        Seed of all random draws; `data` and `cluster.stragglers` may have seeds of their own.
    seeds
        For `hpcopt compare`: the number of seeds, `seed`, `seed` + 1, ..., with each of which every run is repeated.
        Data without a seed of their own keep the first one.
    data, problem, cluster, stop, checkpoint, output
        The tables [data], [problem], [cluster], [stop], [checkpoint] and [output].
    solver
        For `hpcopt run`: `name` (`hpcopt list solvers`), the solver's parameters (`hpcopt show NAME`) and, optionally,
        `label`, its name in tables and pictures, and `file`, a Python file that registers it.
    solvers
        For `hpcopt compare`: several such tables, [[solvers]]; a parameter may be a list of values, all of which are
        run.
    solver_file
        A Python file that registers solvers: the `file` of all solver tables without one that name a solver in it.
    watchdog
        The table [watchdog].
    compare
        For `hpcopt compare`: the table [compare].
    """

    seed: Whole = 0
    seeds: Count | None = None
    data: DataRequest
    problem: ProblemTable = field(default_factory=ProblemTable)
    solver: SolverTable | None = None
    solvers: list[SolverTable] | None = None
    solver_file: str | None = None
    cluster: ClusterTable = field(default_factory=ClusterTable)
    stop: StopRule = field(default_factory=StopRule)
    watchdog: Watchdog = field(default_factory=Watchdog)
    compare: CompareTable = field(default_factory=CompareTable)
    checkpoint: CheckpointTable = field(default_factory=CheckpointTable)
    output: Output = field(default_factory=Output)

    def solver_tables(self) -> list[tuple[KeyPath, SolverTable]]:
        """Return the solvers' tables with their paths, in the order given."""
        if self.solver is not None:
            return [(("solver",), self.solver)]
        return [(("solvers", place), table) for place, table in enumerate(self.solvers or [])]

    @property
    def setting(self) -> Setting:
        """The setting of the solvers as far as it is known before data are read and the cluster is set up."""
        cluster = self.cluster
        return Setting(
            problem=self.problem.formulation(1),
            heterogeneity=cluster.stragglers or EVEN,
            rates=cluster.rates is not None,
        )


@dataclass(frozen=True, kw_only=True)
class Specification(Tables):
    """A checked specification, with all defaults except in the solvers' tables, and with the named parts built.

    Parameters
    ----------
    variants
        The solvers, in the order of their tables; those of a table with lists of values one after another.
    topology
        The cluster's topology; None if no solver needs one and none is given.
    rates
        The distribution of the workers' operating rates, or one for each; None if they have none.
    stragglers_vary
        Whether the stragglers depend on the run's seed, as they have none of their own.
    file
        The file that was read; None if the tables were given as a dict.
    """

    variants: tuple[Variant, ...]
    topology: Topology | None
    rates: Rates | tuple[float, ...] | None
    stragglers_vary: bool
    file: NamedFile | None = None

    @property
    def built(self) -> tuple[Solver[Any], ...]:
        """All solvers."""
        return tuple(variant.solver for variant in self.variants)

    @property
    def criterion(self) -> Criterion:
        """What makes a run the best of a grid."""
        return self.compare.criterion(self.stop)

    @property
    def needs_topology(self) -> bool:
        """Whether a solver communicates with neighbours only."""
        return any(solver.needs.topology == "graph" for solver in self.built)

    @property
    def files(self) -> list[Path]:
        """The files that a run reads, apart from the specification itself."""
        named = [table["file"] for _, table in self.solver_tables() if "file" in table]
        if self.problem.start not in STARTS:
            named.append(self.problem.start)
        if isinstance(self.topology, EdgeList):
            named.append(self.topology.path)
        if self.cluster.calibration is not None:
            named.append(self.cluster.calibration)
        return [*self.data.files, *map(Path, named)]

    def labelled_solvers(self) -> list[tuple[str, Solver[Any]]]:
        """Return the solvers with their labels."""
        return [(variant.label, variant.solver) for variant in self.variants]

    def repeated(self, seed: int) -> Specification:
        """Return the specification of the same runs with another seed on the same data."""
        cluster = self.cluster
        if self.stragglers_vary and cluster.stragglers is not None:
            cluster = replace(cluster, stragglers=replace(cluster.stragglers, seed=seed))
        return replace(self, seed=seed, seeds=None, cluster=cluster)

    def alone(self, variant: Variant, folder: Path | None) -> Specification:
        """Return the specification of the run of one of the solvers, written to `folder`, without the others."""
        return replace(
            self,
            solver=variant.table,
            solvers=None,
            compare=CompareTable(),
            cluster=self.cluster if variant.solver.needs.rates else replace(self.cluster, slot=None),
            output=replace(self.output, folder=None if folder is None else str(folder)),
            variants=(variant,),
        )


def read_specification(path: str | Path, overrides: Iterable[str] = (), many: bool = False) -> Specification:
    """Return the specification in the TOML file `path`.

    Parameters
    ----------
    path
        The file. Relative paths in it are taken from the current folder or else from the file's own.
    overrides
        `key.path=value` each, with a TOML value or plain text.
    many
        Whether several solvers ([[solvers]]) are allowed; otherwise exactly one ([solver]) is expected.

    Raises
    ------
    InputError
        With file, line and key, for any error.
    """
    tables, origin = read_tables(path, overrides)
    return replace(checked_specification(tables, many, origin, Path(path)), file=NamedFile.of(Path(path)))


def specification_from(
    tables: Mapping[str, Any],
    overrides: Iterable[str] = (),
    many: bool = False,
    *,
    name: str = "",
    beside: Path | None = None,
) -> Specification:
    """Return the specification given as a dict with the contents of a TOML file; the dict is not modified.

    Parameters
    ----------
    name
        Where the tables are from, for messages; `overrides` and `many` are as in `read_specification`.
    beside
        The folder from which relative paths are taken if they are not found from the current one.

    Raises
    ------
    InputError
        With the key, for any error.
    """
    own = plain(tables)
    origin = Origin(name, overrides=apply_overrides(own, overrides))
    return checked_specification(own, many, origin, None if beside is None else beside / "spec.toml")


def as_toml_dict(specification: Specification) -> dict[str, Any]:
    """Return the whole specification as plain tables, with the solvers' defaults and without unset keys.

    `specification_from` turns it into a specification of the same run.
    """
    tables = {table.name: getattr(specification, table.name) for table in fields(Tables)}
    resolved: dict[str, Any] = _without_none(msgspec.to_builtins(tables))
    if not resolved["compare"]:
        del resolved["compare"]
    firsts = [next(variants) for _, variants in groupby(specification.variants, attrgetter("contender"))]
    for (path, table), variant in zip(specification.solver_tables(), firsts, strict=True):
        lists = {key.partition(".")[0] for key in variant.values}
        filled = {**table, **_without_none(as_table(variant.solver)), **{key: table[key] for key in lists}}
        if path == ("solver",):
            resolved["solver"] = filled
        else:
            resolved["solvers"][path[1]] = filled
    if specification.problem.penalty is not None:
        resolved["problem"]["penalty"] = _filled_penalty(specification.problem)
    if specification.topology is not None:
        named = {"name": specification.topology.name, **_without_none(as_table(specification.topology))}
        resolved["cluster"]["topology"] = named
    if isinstance(specification.rates, Rates):
        resolved["cluster"]["rates"] = {"name": specification.rates.name, **as_table(specification.rates)}
    return resolved


def _filled_penalty(problem: ProblemTable) -> dict[str, Any]:
    """Return the penalty's table with all its parameters; given values are unchanged."""
    penalty = build_part(PENALTIES, problem.penalty_table(1))
    given = problem.penalty if isinstance(problem.penalty, dict) else {}
    return {"name": penalty.name, **_without_none(as_table(penalty)), **given}


def checked_specification(tables: dict[str, Any], many: bool, origin: Origin, file: Path | None) -> Specification:
    """Return the specification in plain tables, which get the seeds that follow from others.

    Parameters
    ----------
    many
        Whether several solvers are allowed.
    origin
        Where the tables come from, for messages.
    file
        Relative paths are taken from the current folder or else from that of this file; None: from the former only.

    Raises
    ------
    InputError
        With the place and the key, for any error.
    """
    if "scaling" in tables:
        raise origin.error(("scaling",), "this is a scaling study, which starts many runs; give it to hpcopt scaling")
    stragglers_vary = _with_seeds(tables)
    given = _with_files(checked(tables, Tables, origin=origin), origin, file)
    formulation = _formulation(given.problem, origin)
    check_gap(given.stop, given.problem, formulation, origin)
    check_gradient(given.stop, formulation, origin)
    check_kkt(given.stop, formulation, origin)
    check_nearness(given.stop, given.problem, origin)
    check_optimum(given.problem, formulation, origin)
    _check_one_or_many(given, many, origin)
    variants = solver_variants(given.solver_tables(), given.seeds or 1, given.setting, origin, many=many)
    built = [variant.solver for variant in variants]
    check_best(given.compare, given.stop, origin)
    check_slots(given.stop, given.cluster, built, origin)
    check_target(given.stop, built, origin)
    table = _topology_table(given.cluster, built, file)
    hubs = given.cluster.hubs or (HubTable() if any(solver.needs.topology == "hubs" for solver in built) else None)
    rates = given.cluster.rates_table()
    if isinstance(rates, dict):
        rates = build_part(RATES, rates, ("cluster", "rates"), origin)
    topology = None if table is None else build_part(TOPOLOGIES, table, ("cluster", "topology"), origin)
    data, problem, output = given.data, given.problem, given.output
    start = problem.start if problem.start in STARTS else _found(problem.start, file)
    folder = output.folder or (str(Path("runs") / file.stem) if file else None)
    resolved = replace(
        given,
        data=data.located(partial(_found, file=file)),
        problem=replace(problem, start=start or problem.start),
        cluster=replace(given.cluster, topology=table, hubs=hubs),
        output=replace(output, folder=folder),
    )
    return Specification(
        **vars(resolved), variants=variants, topology=topology, rates=rates, stragglers_vary=stragglers_vary
    )


def _with_files(given: Tables, origin: Origin, file: Path | None) -> Tables:
    """Return the tables, with the `file` of each external solver."""
    tables = with_files(given.solver_tables(), given.solver_file, partial(_found, file=file), origin)
    several = given.solver is None and given.solvers is not None
    one = None if given.solver is None else tables[0]
    return replace(given, solver=one, solvers=tables if several else given.solvers, solver_file=None)


def _with_seeds(tables: dict[str, Any]) -> bool:
    """Set the run's seed in tables that draw random numbers without one; return whether the stragglers get it."""
    seed, cluster = tables.get("seed", 0), tables.get("cluster")
    stragglers = cluster.get("stragglers") if isinstance(cluster, dict) else None
    vary = isinstance(stragglers, dict) and "seed" not in stragglers
    for table in (tables.get("data"), stragglers):
        if isinstance(table, dict) and isinstance(seed, int):
            table.setdefault("seed", seed)
    return vary


def _topology_table(cluster: ClusterTable, solvers: Sequence[Solver[Any]], file: Path | None) -> dict[str, Any] | None:
    """Return the topology's table; by default a ring if a solver needs a topology, else None."""
    needed = any(solver.needs.topology == "graph" for solver in solvers)
    table = cluster.topology or ("ring" if needed else None)
    if table is None:
        return None
    table = {"name": table} if isinstance(table, str) else table
    return {**table, "path": _found(table["path"], file)} if isinstance(table.get("path"), str) else table


def _formulation(problem: ProblemTable, origin: Origin) -> Formulation:
    """Return the objective for a single row, with its penalty checked."""
    penalty = build_part(PENALTIES, problem.penalty_table(1), ("problem", "penalty"), origin)
    if penalty.per_feature and MODELS[problem.model].layered:
        what = f'{penalty.name} is about single features, and model "{problem.model}" has hidden layers'
        raise origin.error(("problem", "penalty"), f"{what}; choose another penalty")
    return problem.formulation(1)


def _check_one_or_many(tables: Tables, many: bool, origin: Origin) -> None:
    """Raise an error for a wrong number of solvers' tables."""
    one, several = tables.solver, tables.solvers
    if tables.seeds is not None and not many:
        what = "a run takes one seed; remove it, and set seed"
        raise InputError(origin.error(("seeds",), what).message, Remedy.COMPARE)
    if one is not None and several is not None:
        raise origin.error(("solvers",), "given together with [solver]; remove one of the two")
    if several is not None and not many:
        what = "a run takes one table [solver], not tables [[solvers]]"
        raise InputError(origin.error(("solvers",), what).message, Remedy.COMPARE)
    if not tables.solver_tables():
        wanted = 'tables [[solvers]], each with name = "..."' if many else 'a table [solver] with name = "..."'
        raise origin.error(("solvers",) if many else ("solver",), f"missing; expected {wanted}")


def _found(given: str, file: Path | None) -> str:
    """Return the path of `given`: relative to the current folder if it exists there, else to the specification."""
    if file is None or Path(given).exists():
        return given
    beside = file.parent / given
    return str(beside) if beside.exists() else given


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
