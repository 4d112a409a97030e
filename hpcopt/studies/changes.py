"""What differs between two runs of one specification: circumstances, results and records, in words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpcopt.annotations import shown
from hpcopt.results.record import COLUMNS, Record

TOLERANCE = 1e-8
"""The relative difference up to which results agree by default."""

_COUNTS = ("rounds", "iterations", "bytes", "messages")
_ROUNDOFF = 1e-6  # of the objective at the start: smaller objectives are judged as this one would be
_NOT_TOLD = (
    *("label", "started", "result", "phases", "phases_over_ranks", "specification.output.folder", "optimum.how"),
    *("environment.command", "environment.folder", "environment.specification"),
)
"""Keys of run.json that differ in every run, or are results."""


@dataclass(frozen=True)
class Result:
    """A number of a run, then and now.

    Parameters
    ----------
    difference
        Relative to the value then.
    """

    name: str
    was: Any
    now: Any
    difference: float

    def words(self) -> str:
        """Return the two values and how they differ."""
        if self.was == self.now:
            return f"{self.name}: {shown(self.now)}, the same"
        relative = f" (relative difference {self.difference:.2g})" if math.isfinite(self.difference) else ""
        return f"{self.name}: was {shown(self.was)}, is {shown(self.now)}{relative}"


def circumstances(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs in two run.json, apart from the results: versions, machine, data, specification."""
    then, now = (_told(each) for each in (old, json.loads(json.dumps(new))))
    lines = []
    if "environment" not in old:  # written by an earlier version
        now = {key: value for key, value in now.items() if not key.startswith("environment.")}
        lines.append("the environment was not recorded")
    for key in dict.fromkeys([*then, *now]):
        if then.get(key) != now.get(key):
            was, is_now = (
                "not there" if value is None else json.dumps(value) for value in (then.get(key), now.get(key))
            )
            lines.append(f"{key.removeprefix('environment.')} was {was}, is {is_now}")
    return lines


def results(old: Mapping[str, Any], new: Mapping[str, Any], start: float) -> list[Result]:
    """Return the status, the counts and the objective of two runs, given their results.

    Parameters
    ----------
    start
        The objective at the start. An objective far below it is a difference of large numbers, so that its difference
        is relative to a millionth of the start.
    """
    compared = [Result("status", old.get("status"), new.get("status"), _unequal(old.get("status"), new.get("status")))]
    for name in (*_COUNTS, "objective"):
        was, now = old.get(name), new.get(name)
        least = _ROUNDOFF * abs(start) if name == "objective" else 0.0
        compared.append(Result(name, was, now, _relative(was, now, least)))
    return compared


def first_difference(old: Sequence[Record], new: Sequence[Record]) -> str:
    """Return the first difference between two traces, bit by bit; empty if there is none.

    Seconds are left out on the wall clock.
    """
    for place, (then, now) in enumerate(zip(old, new, strict=False), start=1):
        columns = COLUMNS if now.clock == then.clock == "virtual" else [name for name in COLUMNS if name != "seconds"]
        for name in columns:
            was, is_now = getattr(then, name), getattr(now, name)
            if was != is_now and not all(isinstance(each, float) and math.isnan(each) for each in (was, is_now)):
                return f"record {place} of {len(new)}, {name}: was {was!r}, is {is_now!r}"
    return "" if len(old) == len(new) else f"there were {len(old)} records, there are {len(new)}"


def _told(described: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in _flat(described)
        if not any(key == left or key.startswith(f"{left}.") for left in _NOT_TOLD)
    }


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ("environment.hosts.0.cpu", "...") for nested tables and lists of tables."""
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        items = enumerate(value)
    else:
        yield path, value
        return
    for key, inner in items:
        yield from _flat(inner, f"{path}.{key}" if path else str(key))


def _unequal(was: object, now: object) -> float:
    return 0.0 if was == now else math.inf


def _relative(was: Any, now: Any, least: float) -> float:
    """Return the difference of two numbers relative to the first, or to `least` if that is larger."""
    if not all(isinstance(value, (int, float)) for value in (was, now)):
        return _unequal(was, now)
    unit = max(abs(was), least)
    return abs(now - was) / unit if unit else _unequal(was, now)
