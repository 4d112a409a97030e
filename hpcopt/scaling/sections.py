"""The sections of the report of a study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcopt.results.document import Block, Commands, Heading, Paragraph, Picture, plain_table
from hpcopt.scaling.cells import Cell, Curve, Spread
from hpcopt.scaling.efficiency import baseline, efficiency, throughput
from hpcopt.scaling.fits import FEWEST, amdahl, gustafson, network
from hpcopt.scaling.remarks import place, remarks
from hpcopt.scaling.rows import Row
from hpcopt.scaling.table import ScalingTable

_BUDGETS = {"target": "Until the goal", "iterations": "A fixed number of iterations"}
_HELD = {
    "strong": "Strong scaling: the same rows on every number of ranks. Ideal is half the time on twice the ranks.",
    "weak": "Weak scaling: {rows} rows on every rank; the problem grows with the ranks. Ideal is the same time.",
    "throughput": "Throughput: more and more rows on the same ranks. Ideal is the same number of rows a second.",
}
_PARTS = ("statistical", "hardware", "parallel", "balance", "communication", "computation")
"""The parts of `Efficiency` that have a column each."""
_POP = (
    "Statistical efficiency: iterations on one rank over iterations here. Hardware efficiency: the same of the time of "
    "an iteration, times the ranks in strong scaling; both are of a solver beside itself. Parallel efficiency is load "
    "balance (mean over longest compute time of the nodes) times communication efficiency (the longest compute time "
    "over the time). Computation scaling: compute time of an iteration on one rank over that here, summed over nodes."
)


@dataclass(frozen=True)
class Findings:
    """What a report is made from.

    Parameters
    ----------
    rows
        Those of points.csv.
    curves
        Of the right ones.
    table
        The table [scaling].
    planned
        The number of points of the study.
    missing
        What has not finished, in words.
    machine
        What a reader has to know of it.
    calibrated
        The file with the measured rates of the virtual cluster; empty if its network is assumed.
    """

    rows: Sequence[Row]
    curves: Sequence[Curve]
    table: ScalingTable
    planned: int
    missing: Sequence[str]
    machine: Mapping[str, str]
    calibrated: str = ""


def sections(found: Findings, pictures: Sequence[tuple[Path, str]]) -> list[Block]:
    """Return the contents of a report, with pictures in files beside it, and what each shows."""
    return [
        *_summary(found),
        *(Picture(path, shows) for path, shows in pictures),
        *_times(found),
        *_parts(found),
        *_fits(found),
        *_predictions(found),
        *_remarks(found),
        Heading("Machine"),
        plain_table(("", ""), list(found.machine.items()), texts=2),
        Heading("To make a point again"),
        Paragraph(
            "In the folder of the study, or where its archive is unpacked; every row of points.csv has its command:"
        ),
        Commands([found.rows[0].command]),
    ]


def _summary(found: Findings) -> Iterator[Block]:
    table, wrong = found.table, [row for row in found.rows if row.faults]
    rows = f"{table.rows_per_rank or 0:,}"
    yield Paragraph(_HELD[table.kind].replace("{rows}", rows))
    times = max((len(cell.rows) for curve in found.curves for cell in curve.cells), default=0)
    spread = f"medians of up to {times} runs, with quartiles in brackets" if times > 1 else "one run of each point"
    passed = f"{len(found.rows) - len(wrong)} of {len(found.rows)} finished points have passed all checks"
    yield Paragraph(f"{found.planned} points are planned; {passed} and are shown: {spread}. Warm-ups are not counted.")
    if any(row.is_virtual for row in found.rows):
        rates = f"measured: {found.calibrated}" if found.calibrated else "assumed, as in the specification"
        yield Paragraph(f"Virtual nodes are simulated in one process; their time is computed; rates are {rates}.")


def _times(found: Findings) -> Iterator[Block]:
    for budget, title in _BUDGETS.items():
        curves = [curve for curve in found.curves if curve.budget == budget]
        if not curves:
            continue
        yield Heading(title)
        heads = ["solver", "where", "rows", "runs", "seconds", "iterations", "rounds", "MB", "passes"]
        speeds = ["rows a second"] if found.table.kind == "throughput" else ["speed-up", "efficiency"]
        rows = []
        for curve in curves:
            base = baseline(curve, found.curves)
            for cell in curve.cells:
                told = efficiency(cell, base, curve.cells[0], found.table)
                ends = [f"{told.speed_up:.3g}", _percent(told.total)]
                ends = [f"{throughput(cell):.3g}"] if found.table.kind == "throughput" else ends
                size = f"{cell.first.rows or 0:,}", str(len(cell.rows))
                rows.append((curve.label, _where(cell), *size, _spread(cell.seconds), *_costs(cell), *ends))
        yield plain_table([*heads, *speeds], rows, _beside(curves, found), texts=2)


def _beside(curves: Sequence[Curve], found: Findings) -> str:
    """Return beside what speed-up and efficiency are told."""
    if found.table.kind == "throughput":
        return ""
    bases = {curve.cluster: baseline(curve, found.curves) for curve in curves}
    told = [
        f"{'virtual: ' if base.first.is_virtual else ''}{base.first.series} on {place(base)}, "
        f"{base.seconds.median:.4g} s"
        for base in bases.values()
    ]
    if curves[0].budget == "iterations":
        return "speed-up and efficiency beside the solver's own time on the fewest ranks"
    return f"speed-up and efficiency beside the best time on the fewest ranks: {'; '.join(told)}"


def _costs(cell: Cell) -> list[str]:
    return [
        _number(cell.middle(lambda row: row.iterations)),
        _number(cell.middle(lambda row: row.rounds)),
        _number(cell.middle(lambda row: row.bytes / 1e6), ".4g"),
        _number(cell.middle(lambda row: row.work), ".4g"),
    ]


def _parts(found: Findings) -> Iterator[Block]:
    if found.table.kind == "throughput" or not found.curves:
        return
    yield Heading("What the efficiency is made of")
    rows = []
    for curve in found.curves:
        for cell in curve.cells:
            told = efficiency(cell, baseline(curve, found.curves), curve.cells[0], found.table)
            rows.append((curve.label, curve.budget, _where(cell), *(_percent(getattr(told, part)) for part in _PARTS)))
    yield plain_table(("solver", "budget", "where", *_PARTS), rows, texts=3)
    yield Paragraph(_POP)


def _fits(found: Findings) -> Iterator[Block]:
    if found.table.kind == "throughput" or not found.curves:
        return
    yield Heading("Fits")
    laws, nets = list(_laws(found)), list(_networks(found))
    if laws:
        heads = ("solver", "budget", "law", "serial fraction", "seconds on one rank", "residual", "places")
        yield plain_table(heads, laws, texts=3)
    if nets:
        yield plain_table(("network", "latency, s", "bandwidth, B/s", "residual", "places"), nets)
    if not laws or not nets:
        wanted = f"A fit needs {FEWEST} numbers of ranks with cores of their own"
        yield Paragraph(f"{wanted}; it is left out where there are fewer.")


def _laws(found: Findings) -> Iterator[tuple[str, ...]]:
    """Yield the rows of Amdahl's or Gustafson's law: of so many iterations, if there are such runs."""
    law = {"strong": amdahl, "weak": gustafson}.get(found.table.kind)
    fixed = [curve for curve in found.curves if curve.budget == "iterations"]
    for curve in fixed or found.curves:
        serial = None if law is None else law(curve.cells)
        if serial is not None:
            numbers = f"{serial.fraction:.3g}", f"{serial.one:.3g}", _percent(serial.residual), str(serial.places)
            yield curve.label, curve.budget, serial.law, *numbers


def _networks(found: Findings) -> Iterator[tuple[str, ...]]:
    for name, virtual in (("measured", False), ("virtual", True)):
        fitted = network([cell for curve in found.curves if curve.is_virtual == virtual for cell in curve.cells])
        if fitted is not None:
            bandwidth = f"{1.0 / fitted.per_byte:.3g}" if fitted.per_byte else "-"
            yield name, f"{fitted.latency:.3g}", bandwidth, _percent(fitted.residual), str(fitted.places)


def _predictions(found: Findings) -> Iterator[Block]:
    """Yield the table of virtual time beside measured time, where ranks and virtual nodes are as many."""
    virtual = {_key(curve, cell): cell for curve in found.curves if curve.is_virtual for cell in curve.cells}
    rows = []
    for curve in found.curves:
        for cell in curve.cells if not curve.is_virtual and curve.threads == 1 else ():
            other = virtual.get(_key(curve, cell))
            if other is not None:
                one, two = other.seconds.median, cell.seconds.median
                rows.append(
                    (curve.series, curve.budget, _where(cell), f"{one:.4g}", f"{two:.4g}", f"{one / two - 1.0:+.0%}")
                )
    if rows:
        yield Heading("Predicted beside measured")
        yield plain_table(("solver", "budget", "where", "predicted, s", "measured, s", "difference"), rows, texts=3)
        if not found.calibrated:
            yield Paragraph(
                "The rates of the virtual cluster are assumed, not measured: this is no prediction of this machine."
            )


def _key(curve: Curve, cell: Cell) -> tuple[str, str, int, int | None]:
    return curve.series, curve.budget, cell.first.ranks, cell.first.rows


def _remarks(found: Findings) -> Iterator[Block]:
    lines = [*remarks(found.curves, found.table)]
    wrong = [f"{row.point}: {row.faults}" for row in found.rows if row.faults]
    if lines:
        yield Heading("Remarks")
        yield from map(Paragraph, lines)
    if wrong:
        yield Heading("Points that have not passed the checks")
        yield from map(Paragraph, wrong)
    if found.missing:
        yield Heading("Points that have not finished")
        yield from map(Paragraph, found.missing)


def _where(cell: Cell) -> str:
    return f"{place(cell)}{' (more than cores)' if cell.crowded else ''}"


def _spread(seconds: Spread) -> str:
    low, high = f"{seconds.low:.3g}", f"{seconds.high:.3g}"
    return f"{seconds.median:.4g}" + (f" [{low} - {high}]" if low != high else "")


def _number(value: float, form: str = ",.4g") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}"


def _percent(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0%}" if value >= 0.1 or value == 0.0 else f"{100.0 * value:.2g}%"
