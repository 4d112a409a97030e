"""The horizontal quantities of pictures: rounds, bytes, seconds, and what else a run counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hpcopt.errors import InputError
from hpcopt.results.canvas import UNITS
from hpcopt.results.curves import Curve
from hpcopt.results.record import Record

ACROSS = {
    "rounds": ("round", "rounds", "round"),
    "iterations": ("iteration", "iterations", "iteration"),
    "bytes": ("bytes", "sent", ""),
    "bytes_up": ("bytes_up", "sent up", ""),
    "bytes_down": ("bytes_down", "sent down", ""),
    "messages": ("messages", "messages", "message"),
    "seconds": ("seconds", "seconds", "second"),
    "work": ("work", "passes over the data", "pass over the data"),
    "gradients": ("gradients", "local steps, all nodes", "local step"),
    "slots": ("slots", "time slots", "time slot"),
}
"""Name of a horizontal quantity -> column of the trace, words for it, and for a single one."""

_TIMES = ((1.0, "seconds", "second"), (1e-3, "ms", "ms"), (1e-6, "µs", "µs"), (1e-9, "ns", "ns"))
_LEAST = 0.05  # of a unit of time: a longest run that is shorter is in a smaller unit


@dataclass(frozen=True)
class Measure:
    """A horizontal quantity.

    Parameters
    ----------
    name
        Label of the axis, with the unit.
    of
        Returns the quantity of a record.
    is_whole
        Whether it is counted in whole numbers.
    size
        Bytes of a unit; 0 for other quantities.
    one
        The name of a single unit, if it isn't `name`.
    is_time
        Whether it is the run's time.
    """

    name: str
    of: Callable[[Record], float]
    is_whole: bool = False
    size: float = 0.0
    one: str = ""
    is_time: bool = False

    def told(self, record: Record) -> str:
        """Return the quantity of a record with its unit."""
        number = f"{self.of(record):.4g}"
        return f"{number} {(number == '1' and self.one) or self.name}"


def measure(name: str, lasts: Sequence[Record]) -> Measure:
    """Return the quantity of a name in `ACROSS`, given the last record of each run.

    Bytes and seconds are in a unit suitable for the longest run, and seconds name the runs' clock.
    """
    column, words, one = ACROSS[name]
    if name.startswith("bytes"):
        sent = max((float(record.bytes) for record in lasts), default=0.0)
        size, unit = next(((size, unit) for size, unit in UNITS if sent >= size), UNITS[-1])
        single = f"{unit.removesuffix('s')} {words}"
        return Measure(f"{unit} {words}", lambda record: (getattr(record, column) or 0) / size, False, size, single)
    if name == "seconds":
        clock = " and ".join(sorted({record.clock for record in lasts}))
        longest = max((record.seconds for record in lasts), default=0.0) or 1.0
        second, unit, one = next((each for each in _TIMES if longest >= _LEAST * each[0]), _TIMES[-1])
        words, one = f"{unit} ({clock} clock)", f"{one} ({clock} clock)"
        return Measure(words, lambda record: record.seconds / second, one=one, is_time=True)
    return Measure(words, lambda record: float(getattr(record, column) or 0), name != "work", one=one)


def main_measures(lasts: Sequence[Record]) -> list[Measure]:
    """Return rounds (or slots, if workers make their steps in slots), bytes and seconds."""
    in_slots = all(record.slots is not None for record in lasts)
    return [measure(name, lasts) for name in ("slots" if in_slots else "rounds", "bytes", "seconds")]


def used_measures(lasts: Sequence[Record], *, up: bool = False) -> list[Measure]:
    """Return those with a curve: a single node sends nothing, and a run that ends at its start takes no time.

    With `up`, the bytes that went up are one of them, if they are not half of all bytes.
    """
    rounds, sent, seconds = main_measures(lasts)
    ways = [measure("bytes_up", lasts)] if up and _is_directed(lasts) else []
    return [rounds, *(one for one in (sent, *ways, seconds) if any(one.of(record) > 0 for record in lasts))]


def chosen_measures(names: Sequence[str], curves: Sequence[Curve]) -> list[Measure]:
    """Return the quantities of these names.

    Raises
    ------
    InputError
        If a run doesn't count one of them, with those that it counts; if it is 0 in all of them.
    """
    for name in names:
        for curve in curves:
            there = [
                each
                for each, (column, *_) in ACROSS.items()
                if all(getattr(last, column) is not None for last in curve.lasts)
            ]
            if name not in there:
                raise InputError(f"x: {curve.label} does not count {name}; it counts {', '.join(there)}")
    lasts = [last for curve in curves for last in curve.lasts]
    for name in names:
        if not any(getattr(last, ACROSS[name][0]) for last in lasts):
            raise InputError(f"x: {name}: none in any of the runs")
    return [measure(name, lasts) for name in names]


def _is_counted(name: str, curve: Curve) -> bool:
    return all(getattr(last, ACROSS[name][0]) is not None for last in curve.lasts)


def parts(whole: Measure, last: Record) -> list[Measure]:
    """Return the measures that one is the sum of: of bytes, those of each level in use, or of each direction."""
    if not whole.size:
        return [whole]
    links = last.bytes_by_link or {}
    if not links and _is_directed([last]):
        return [replace(measure(f"bytes_{way}", [last]), name=way) for way in ("up", "down")]

    def part(link_class: str) -> Measure:
        return Measure(link_class, lambda record: (record.bytes_by_link or {}).get(link_class, 0) / whole.size)

    return [part(link_class) for link_class, sent in links.items() if sent] or [whole]


def _is_directed(lasts: Sequence[Record]) -> bool:
    """Return whether the directions of all bytes are known, and a run has more of the one than of the other."""
    ways = [(record.bytes_up, record.bytes_down) for record in lasts]
    return all(up is not None for up, _ in ways) and any(up != down for up, down in ways)
