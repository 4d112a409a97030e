"""How a picture looks: the choices of `hpcopt plot`, `hpcopt compare` and `hpcopt.figure`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hpcopt.errors import InputError
from hpcopt.results.heights import UPWARDS
from hpcopt.results.measures import ACROSS

COLUMNS = {"single": 3.3, "double": 7.0, "text": 5.5}
"""Widths in inches: one column of a page with two, its whole width, and the text of a page with one column."""

AXES = ("x", "y")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)[xX×](\d+(?:\.\d+)?)")
_INCHES = (1.0, 50.0)


@dataclass(frozen=True, kw_only=True)
class Look:
    """The choices, all of which have a default.

    Parameters
    ----------
    x, y
        The quantities of the axes, a panel for each pair; empty: those that suit the runs.
    size
        Width and height in inches.
    width
        In inches; the height then follows from the number of panels.
    log, linear
        The axes, "x" and "y", whose scales don't depend on the numbers.
    title
        Above the panels; None: the problem; empty: no title.
    labels
        Folder of a run -> its name in the legend.
    speed_up
        Whether seconds panels show what the run on the fewest nodes would take if n times the nodes were n times as
        fast.
    """

    x: Sequence[str] = ()
    y: Sequence[str] = ()
    size: tuple[float, float] | None = None
    width: float | None = None
    log: Sequence[str] = ()
    linear: Sequence[str] = ()
    title: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    speed_up: bool = False

    def is_log(self, axis: str, otherwise: bool) -> bool:
        """Return whether an axis is logarithmic."""
        return axis in self.log or (otherwise and axis not in self.linear)


def chosen(
    *,
    x: str | Iterable[str] = (),
    y: str | Iterable[str] = (),
    size: str | tuple[float, float] | None = None,
    column: str | None = None,
    log: str | Iterable[str] = (),
    linear: str | Iterable[str] = (),
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Look:
    """Return the look of these choices, names one by one or as text with commas; parameters as in `hpcopt.figure`.

    Raises
    ------
    InputError
        For a choice that there is not, with those that there are.
    """
    if size is not None and column is not None:
        raise InputError("size and column: give one of them; a column has a width of its own")
    width = None if column is None else COLUMNS[_names("column", column, COLUMNS)[0]]
    logs, linears = _names("log", log, AXES), _names("linear", linear, AXES)
    both = [axis for axis in logs if axis in linears]
    if both:
        raise InputError(f"log and linear: {both[0]} is in both; an axis is one of them")
    return Look(
        x=_names("x", x, ACROSS),
        y=_names("y", y, UPWARDS),
        size=None if size is None else _inches(size),
        width=width,
        log=logs,
        linear=linears,
        title="" if title == "none" else title,
        labels=labels or {},
    )


def _names(key: str, given: str | Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    names = [name.strip() for name in (given.split(",") if isinstance(given, str) else given)]
    for name in names:
        if name not in known:
            raise InputError(f"{key}: expected one of {', '.join(known)}; got {name!r}")
    return tuple(dict.fromkeys(names))


def _inches(given: str | tuple[float, float]) -> tuple[float, float]:
    """Return width and height of, for example, "3.3x2.5"."""
    low, high = _INCHES
    found = _SIZE.fullmatch(given) if isinstance(given, str) else None
    sizes = tuple(map(float, found.groups())) if found else given
    if isinstance(sizes, str) or len(sizes) != 2 or not all(low <= each <= high for each in sizes):
        shown = given if isinstance(given, str) else "x".join(f"{each:g}" for each in given)
        raise InputError(
            f"size: expected width and height in inches, each from {low:g} to {high:g}, as in 3.3x2.5; got {shown!r}"
        )
    return sizes[0], sizes[1]
