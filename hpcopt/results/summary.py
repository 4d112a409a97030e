"""The summary of one run, printed at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcopt.results.formats import megabytes, number
from hpcopt.results.goal import WHOSE

if TYPE_CHECKING:
    from rich.table import Table


def summary_table(
    result: Mapping[str, Any],
    clock: str,
    places: Mapping[str, str | Path],
    title: str | None = None,
    phases: Mapping[str, float] | None = None,
    records: int | None = None,
    activities: Mapping[str, float] | None = None,
) -> Table:
    """Return the summary table of one run.

    Parameters
    ----------
    result
        As in `run.json`.
    clock
        "wall" or "virtual".
    places
        The output of the run, by name: {"picture": ...}.
    title
        Stands above the table.
    phases
        Seconds on the wall clock by phase: reading, preparing, ...
    records
        Number of records; shown if there are fewer than iterations.
    activities
        Shares of the nodes' time, by name: {"computing": 0.8, ...}.
    """
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title and escape(title), show_header=False, box=SIMPLE)
    table.add_column("what", no_wrap=True)
    table.add_column("value", overflow="fold")
    mean = "" if result.get("consensus") is None else " of the mean model"
    lines = {
        "result": result["message"],
        "nodes that left": _departures(result),
        **_objectives(result),
        f"gradient norm{mean}": number(result["grad_norm"], ".3e"),
        f"scaled gradient{mean}": number(result.get("scaled_gradient"), ".3e"),
        f"largest residual{mean}": number(result.get("kkt"), ".3e"),
        f"weights other than zero{mean}": number(result.get("nonzeros"), ",d"),
        "rounds": number(result["rounds"], ",d"),
        "sent": f"{megabytes(result['bytes'])} MB{_by_direction(result)}",
        **{f"of which {link_class}": f"{megabytes(sent)} MB" for link_class, sent in _by_link(result).items()},
        "of which over edges": f"{megabytes(result['model_bytes'])} MB" if result.get("model_bytes") else "",
        "time slots": f"{result['slots']:,d}" if "slots" in result else "",
        "seconds": f"{number(result['seconds'], '.4g')} ({clock} clock)",
        "time of the nodes": ", ".join(f"{name} {share:.1%}" for name, share in (activities or {}).items()),
        "seconds by phase": ", ".join(f"{phase} {spent:.3g}" for phase, spent in (phases or {}).items()),
        "passes over the data": number(result["work"], ",.1f"),
        f"test accuracy{mean}": number(result.get("test_accuracy"), ".4f"),
        f"test error{mean}": number(result.get("test_error"), ".4g"),
        "distance to the mean": number(result.get("consensus"), ".3e"),
        "gradients": _gradients(result),
        "recorded": f"{records:,d} times in {result['iterations']:,d} iterations (output.record_every)"
        if records is not None and records <= result["iterations"]
        else "",
        "over the busiest edge": f"{megabytes(result['edge_bytes'])} MB in one direction"
        if "edge_bytes" in result
        else "",
        **{name: str(place) for name, place in places.items()},
    }
    for name, text in lines.items():
        if text:
            table.add_row(escape(name), escape(text))
    return table


def _departures(result: Mapping[str, Any]) -> str:
    """Return which nodes left in which round, and with how many rows."""
    left = result.get("departures") or ()
    told = [f"{', '.join(map(str, one['nodes']))} in round {one['round']:,d} ({one['rows']:,d} rows)" for one in left]
    return "; ".join(told)


def _objectives(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the objective, or all objectives by name if the nodes have their own models."""
    if result.get("consensus") is None:
        return {"objective": number(result["objective"], ".12g")}
    return {f"objective {whose}": number(result.get(column), ".12g") for column, whose in WHOSE.items()}


def _by_direction(result: Mapping[str, Any]) -> str:
    """Return the parts of the bytes that went up and came down, if they differ."""
    if result.get("bytes_up") == result.get("bytes_down"):
        return ""
    return f": {megabytes(result['bytes_up'])} MB up, {megabytes(result['bytes_down'])} MB down"


def _by_link(result: Mapping[str, Any]) -> dict[str, int]:
    """Return the bytes of each level of a hub network that carried any."""
    return {link_class: sent for link_class, sent in (result.get("bytes_by_link") or {}).items() if sent}


def _gradients(result: Mapping[str, Any]) -> str:
    """Return the number of steps of an asynchronous run, and of those that were unfinished at its end and discarded."""
    if "gradients" not in result:
        return ""
    under_way = result.get("discarded", 0)  # missing if the run ended at its start
    told = f"; {under_way:,d} unfinished at the end, discarded" if under_way else ""
    return f"{result['gradients']:,d}{told}"
