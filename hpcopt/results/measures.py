"""The horizontal quantities of pictures: rounds, bytes, seconds, and what else a run counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hpcopt.results.canvas import UNITS
from hpcopt.results.record import Record


@dataclass(frozen=True)
class Measure:
    """A horizontal quantity.

    Parameters
    ----------
    name
        Label of the axis, with the unit.
    of
        Returns the quantity of a record.
    whole
        Whether it is counted in whole numbers.
    size
        Bytes of a unit; 0 for other quantities.
    one
        The name of a single unit, if it isn't `name`.
    """

    name: str
    of: Callable[[Record], float]
    whole: bool = False
    size: float = 0.0
    one: str = ""

    def told(self, record: Record) -> str:
        """Return the quantity of a record with its unit."""
        number = f"{self.of(record):.4g}"
        return f"{number} {self.one if number == '1' and self.one else self.name}"


def all_measures(lasts: Sequence[Record]) -> list[Measure]:
    """Return rounds (or slots), bytes and seconds, given the last record of each run.

    Bytes are in a unit suitable for the longest run, and seconds name the runs' clock.
    """
    sent = max((float(record.bytes) for record in lasts), default=0.0)
    size, unit = next(((size, unit) for size, unit in UNITS if sent >= size), UNITS[-1])
    clock = " and ".join(sorted({record.clock for record in lasts}))
    in_slots = all(record.slots is not None for record in lasts)
    return [
        Measure("time slots", lambda record: float(record.slots or 0), whole=True, one="time slot")
        if in_slots
        else Measure("rounds", lambda record: float(record.round), whole=True, one="round"),
        Measure(f"{unit} sent", lambda record: record.bytes / size, size=size, one=f"{unit.removesuffix('s')} sent"),
        Measure(f"seconds ({clock} clock)", lambda record: record.seconds, one=f"second ({clock} clock)"),
    ]


def used_measures(lasts: Sequence[Record], *, up: bool = False) -> list[Measure]:
    """Return those with a curve: a single node sends nothing, and a run that ends at its start takes no time.

    With `up`, the bytes that went up are one of them, if they are not half of all bytes.
    """
    rounds, sent, seconds = all_measures(lasts)
    ways = [replace(_way(sent, "up"), name=f"{sent.name} up")] if up and _is_directed(lasts) else []
    return [rounds, *(one for one in (sent, *ways, seconds) if any(one.of(record) > 0 for record in lasts))]


def parts(measure: Measure, last: Record) -> list[Measure]:
    """Return the measures that one is the sum of: of bytes, those of each level in use, or of each direction."""
    if not measure.size:
        return [measure]
    links = last.bytes_by_link or {}
    if not links and _is_directed([last]):
        return [_way(measure, "up"), _way(measure, "down")]

    def part(link_class: str) -> Measure:
        return Measure(link_class, lambda record: (record.bytes_by_link or {}).get(link_class, 0) / measure.size)

    return [part(link_class) for link_class, sent in links.items() if sent] or [measure]


def _way(sent: Measure, way: str) -> Measure:
    """Return the measure of the bytes that went one way, "up" or "down"."""
    return Measure(way, lambda record: (getattr(record, f"bytes_{way}") or 0) / sent.size)


def _is_directed(lasts: Sequence[Record]) -> bool:
    """Return whether the directions of all bytes are known, and a run has more of the one than of the other."""
    ways = [(record.bytes_up, record.bytes_down) for record in lasts]
    return all(up is not None for up, _ in ways) and any(up != down for up, down in ways)
