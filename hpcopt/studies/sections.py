"""The sections of a report about finished runs: results, configuration, environment, times, and how to repeat them."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcopt.results.choice import in_words
from hpcopt.results.columns import caption_of, columns_of, cost, final, final_head
from hpcopt.results.document import (
    Block,
    Commands,
    Heading,
    Paragraph,
    Picture,
    Table,
    plain_table,
    side_by_side,
)
from hpcopt.results.formats import megabytes
from hpcopt.spec.labels import flat
from hpcopt.studies.comparison import Comparison
from hpcopt.studies.load import load
from hpcopt.studies.operations import WITHOUT, Operations
from hpcopt.studies.overlay import Overlay, ReadRun

_OF_RUN = ("hpcopt", "python", "versions", "mpi", "cluster", "nodes", "clock", "oversubscribed", "topology", "hubs")
_MORE_OF_RUN = ("heterogeneity", "windows", "started", "solver_file", "solver_package")
_OF_ENVIRONMENT = ("specification", "commits", "launcher", "variables")
_NOT_TOLD = {"output.folder"}
_OVER_RANKS = "seconds by phase, from the fastest to the slowest rank where they differ"


def sections(overlay: Overlay, picture: Path, operations: Operations, bars: Path) -> list[Block]:
    """Return the contents of a report about finished runs.

    Parameters
    ----------
    picture, bars
        The files with the picture of the runs' convergence, and of where their nodes' time went.
    """
    names = [curve.label for curve in overlay.curves({})]
    called = _called(overlay, names)
    return [
        *_results(overlay, names, called),
        Picture(picture, f"convergence of {', '.join(names)}"),
        Heading("Problem, solvers and cluster"),
        *_compared(names, [[_configuration(run) for run in runs] for runs in overlay.together]),
        Heading("Environment"),
        *_compared(names, [[_environment(run) for run in runs] for runs in overlay.together]),
        Heading("Where the time went"),
        _times(overlay.runs, called),
        *_operations(operations, bars, seeds=any(len(runs) > 1 for runs in overlay.together)),
        Heading("To run it again"),
        *_again(overlay.runs),
    ]


def _called(overlay: Overlay, names: Sequence[str]) -> list[str]:
    """Return the name of each run: of its curve, or of several seeds its label; with its folder if names are equal."""
    own = {
        run.path: name if len(runs) == 1 else run.label
        for name, runs in zip(names, overlay.together, strict=True)
        for run in runs
    }
    often = Counter(own.values())
    called = [own[run.path] for run in overlay.runs]
    return [f"{name} ({run.path})" if often[name] > 1 else name for name, run in zip(called, overlay.runs, strict=True)]


def _results(overlay: Overlay, names: Sequence[str], called: Sequence[str]) -> Iterator[Block]:
    yield Heading("Results")
    for key, unlike in overlay.unlike.items():
        given = ", ".join("not given" if value is None else str(value) for value in unlike)
        yield Paragraph(f"These runs are of different problems: {key} is {given}.")
    rows = overlay.rows({})
    yield Table(columns_of(rows, overlay.goal), caption_of(rows, overlay.goal, "in brackets"))
    ended = [
        (name, run.result.get("message", run.result["status"]), str(len(run.records)), str(run.path))
        for name, run in zip(called, overlay.runs, strict=True)
    ]
    yield plain_table(("run", "how it ended", "records", "folder"), ended, texts=4)
    if overlay.missing:
        yield Paragraph(f"Not there, as they have not finished: {', '.join(overlay.missing)}.")
    for what, key in (("clocks", "clock"), ("kinds of cluster", "cluster"), ("numbers of nodes", "nodes")):
        values = [str(runs[0].described.get(key, "unknown")) for runs in overlay.together]
        if len(set(values)) > 1:
            each = "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            yield Paragraph(f"The runs have different {what}. {each}.")
    for path in overlay.paths:
        yield from _grids(path)


def _grids(path: Path) -> Iterator[Block]:
    """Yield the tables of a comparison's grids."""
    comparison = load(path)
    for contender in comparison.contenders if isinstance(comparison, Comparison) else ():
        if contender.is_grid:
            rows = [
                (
                    " ".join(in_words(cell.values)),
                    *(cost(cell.row, key).text for key in ("rounds", "bytes", "seconds")),
                    final(cell.row, cell.goal),
                    "best" if cell is contender.best else "",
                )
                for cell in contender.cells
            ]
            told = f"the grid of {contender.label}, best by {contender.criterion}"
            heads = ("combination", "rounds", "MB", "seconds", final_head(comparison.goal), "")
            yield plain_table(heads, rows, told)


def _compared(names: Sequence[str], tables: Sequence[Sequence[Mapping[str, str]]]) -> list[Table]:
    """Return the tables of the runs side by side, given those of the seeds of each."""
    joined = [
        {key: _distinct(one.get(key, "-") for one in seeds) for key in dict.fromkeys(k for one in seeds for k in one)}
        for seeds in tables
    ]
    return side_by_side(names, joined)


def _configuration(run: ReadRun) -> dict[str, str]:
    described = run.described
    known: dict[str, Any] = {key: described[key] for key in ("target", "optimum") if key in described}
    told = {
        **{f"rows: {key}": value for key, value in flat(described.get("data", {}))},
        **{key: value for key, value in flat(described["specification"]) if key not in _NOT_TOLD},
        **{f"as a number: {key}": value for key, value in flat(known)},
    }
    return {key: _text(value) for key, value in told.items()}


def _environment(run: ReadRun) -> dict[str, str]:
    described = run.described
    environment = described.get("environment", {})
    told = {key: described[key] for key in (*_OF_RUN, *_MORE_OF_RUN) if key in described}
    told |= {key: environment[key] for key in _OF_ENVIRONMENT if key in environment}
    hosts = environment.get("hosts", [])
    keys = [key for key in dict.fromkeys(key for host in hosts for key in host) if key not in {"host", "ranks"}]
    places = [f"{host.get('host')} (ranks {host.get('ranks')})" for host in hosts]
    return {
        **{key: _text(value) for key, value in flat(told)},
        **({"hosts": "; ".join(places)} if places else {}),
        **{f"host's {key}": _distinct(_text(host.get(key)) for host in hosts) for key in keys},
    }


def _times(runs: Sequence[ReadRun], called: Sequence[str]) -> Table:
    phases = list(dict.fromkeys(phase for run in runs for phase in run.described.get("phases", {})))
    rows = []
    for name, run in zip(called, runs, strict=True):
        spreads = run.described.get("phases_over_ranks", {})
        spent = [_span(run.described.get("phases", {}).get(phase), spreads.get(phase, {})) for phase in phases]
        most = max((spread.get("peak_memory", {}).get("max", 0.0) for spread in spreads.values()), default=0.0)
        rows.append((name, *spent, megabytes(most) if most else "-"))
    return plain_table(("run", *phases, "peak MB of a rank"), rows, _OVER_RANKS)


def _span(most: float | None, spread: Mapping[str, Mapping[str, float]]) -> str:
    if most is None:
        return "-"
    least = spread.get("seconds", {}).get("min", most)
    low, high = f"{least:.3g}", f"{most:.3g}"
    return high if low == high else f"{low} - {high}"


def _operations(operations: Operations, bars: Path, *, seeds: bool) -> Iterator[Block]:
    """Yield the tables of the nodes' operations and their picture."""
    yield Heading("Operations of the nodes")
    if operations.without:
        yield Paragraph(f"Without a table of operations: {', '.join(operations.without)}; {WITHOUT}.")
    if not operations.tables:
        return
    if seeds:
        yield Paragraph("Of several seeds, those of the first.")
    (times, told), (each, explained) = operations.columns()
    yield Table(times, told)
    yield Picture(bars, f"where the nodes' time went: {', '.join(operations.tables)}")
    yield Table(each, explained)


def _again(runs: Sequence[ReadRun]) -> Iterator[Block]:
    yield Paragraph("From the folders of the runs, on as many ranks as they had; the exit code is 0 if they agree:")
    yield Commands([_rerun(run) for run in runs])
    commands = dict.fromkeys(
        (shlex.join(command), environment.get("folder", ""))
        for environment in (run.described.get("environment", {}) for run in runs)
        if (command := environment.get("command"))
    )
    for command, folder in commands:
        yield Paragraph(f"The command that made them, in {folder}:")
        yield Commands([command])


def _rerun(run: ReadRun) -> str:
    nodes = run.described.get("nodes", 1)
    ranks = f"mpiexec -n {nodes} " if run.described.get("cluster") == "mpi" and nodes > 1 else ""
    return f"{ranks}hpcopt rerun {shlex.quote(str(run.path))}"


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
