"""The size of a picture, and the places of its panels."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcopt.errors import InputError
from hpcopt.results.canvas import entitle, explain, new_picture
from hpcopt.results.look import Look

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 13.0
_SMALL = 8.0  # inches: narrower pictures are for print, with small letters and thin lines
_PANEL = 2.2  # least width of a panel beside others, in inches
_ASPECT = 0.8  # height of a row of panels, in widths of a panel
_BELOW = 0.6  # height of numbers and label below a panel, about, in inches
_LETTERS, _LETTERS_IF_SMALL = 11.5, 14.5  # letters that fit into an inch
_LEAST = 0.9  # least height of a row of panels, in inches


@dataclass(frozen=True)
class Page:
    """The size of a picture, and how its groups of panels are arranged, one below the other.

    Parameters
    ----------
    groups
        The number of panels of each group.
    look
        With the size or the width, if one is given.
    tall
        The height of a row of panels if neither is, in inches.
    """

    groups: Sequence[int]
    look: Look
    tall: float

    @property
    def width(self) -> float:
        """In inches."""
        return self.look.size[0] if self.look.size else self.look.width or _WIDTH

    @property
    def columns(self) -> int:
        """Most panels side by side."""
        return min(max(self.groups), max(1, int(self.width / _PANEL)))

    @property
    def rows(self) -> int:
        """Rows of panels."""
        return sum(math.ceil(group / self.columns) for group in self.groups)

    @property
    def row_height(self) -> float:
        """In inches, about: without legend and title, if they are to be added."""
        if self.look.size:
            return self.look.size[1] / self.rows
        return self.tall if self.look.width is None else _ASPECT * self.width / self.columns

    @property
    def is_small(self) -> bool:
        """Whether it is for print."""
        return self.width < _SMALL

    def new_picture(self, path: Path | None) -> AbstractContextManager[Figure]:
        """Yield an empty figure of this size, and write it to `path` at the end."""
        return new_picture(path, self.width, self.rows * self.row_height, is_small=self.is_small)

    def panels(self, figure: Figure) -> list[list[Axes]]:
        """Return the panels of each group."""
        grid, groups, row = figure.add_gridspec(self.rows, self.columns), [], 0
        for group in self.groups:
            places = [divmod(place, self.columns) for place in range(group)]
            groups.append([figure.add_subplot(grid[row + down, right]) for down, right in places])
            row += math.ceil(group / self.columns)
        return groups

    def finish(self, figure: Figure, names: Sequence[str], artists: Sequence[Artist], title: str) -> None:
        """Put a legend, of artists and their names, and the title outside the panels.

        The figure grows for them, unless its size is given.

        Raises
        ------
        InputError
            If they leave no room for the panels in the given size.
        """
        size = self.look.size
        beside = explain(figure, artists, names, grows=size is None)
        beside += entitle(figure, title, grows=size is None) if title else 0.0
        along = (self.row_height if size is None else (size[1] - beside) / self.rows) - _BELOW
        for axis in figure.axes:
            name = textwrap.wrap(
                axis.get_ylabel(), max(10, int(along * (_LETTERS_IF_SMALL if self.is_small else _LETTERS)))
            )
            axis.set_ylabel("\n".join(name))
        if size and size[1] - beside < _LEAST * self.rows:
            least = math.ceil(10.0 * (beside + _LEAST * self.rows)) / 10.0
            raise InputError(
                f"size: {size[0]:g}x{size[1]:g} is too low for legend, title and {self.rows} rows of panels; "
                f"it takes at least {size[0]:g}x{least:g}"
            )
