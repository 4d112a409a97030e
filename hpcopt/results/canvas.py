"""What every picture stands on: a figure of its own, names shown as they are, and failures told in one line.

A picture is the least of what a run leaves behind. It must neither cost a result nor depend on where the program was
started: no window system and no pyplot, no settings of the user's matplotlib, no backend that the environment names.
matplotlib is imported only when something is drawn, since a rank that computes must not pay for it.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpcopt.errors import InputError, MissingLibraryError
from hpcopt.fabric.launch import without
from hpcopt.files import written_whole

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with any colour vision; its yellow, too pale on white, is darkened
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#000000", "#E69F00")
GREY = "#666666"
UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))

_DPI = 130
_TITLE_WIDTHS = range(170, 10, -8)  # characters a line, tried until the widest line fits
_TITLE_LINES = 3  # for each line given, or about
_COLUMNS = 4  # most of a legend
_LONGEST = 100  # characters a line of a legend's entry, of which there are three at most
_MARGIN = 0.97  # part of the figure's width that text may take
_MOST_SAID = 200  # characters of a library's error


class NotDrawnError(InputError):
    """A picture could not be drawn, whatever the reason; what it was to show is there all the same."""


@contextmanager
def drawing(picture: Path) -> Iterator[None]:
    """Wrap all work on a picture: whatever fails is told in one line.

    Raises
    ------
    NotDrawnError
        For an exception of any kind.
    """
    try:
        yield
    except Exception as error:  # the libraries below have many kinds of their own, and any would cost a result
        raise NotDrawnError(f"{picture} not drawn: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {shortened(said, _MOST_SAID)}" if said else type(error).__name__


@contextmanager
def new_picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Give an empty figure of so many inches, and write it to `path` at the end; the suffix is the format.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter without a glyph is drawn as a box; an odd range is what there is
        try:
            with without("MPLBACKEND"):  # the first import refuses a name that this environment does not know
                from matplotlib import style
                from matplotlib.figure import Figure
        except ImportError:
            raise MissingLibraryError("pictures need matplotlib: pip install 'hpcopt[plot]'") from None
        with style.context("default"):
            figure = Figure(figsize=(width, height), layout="constrained")
            yield figure
            with written_whole(path, "wb") as file:
                figure.savefig(file, format=path.suffix.removeprefix(".").lower() or "png", dpi=_DPI)


def plain(text: str) -> str:
    """Return `text` as matplotlib shows it to the letter: no formula, nothing that cannot be printed."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return printable.replace("$", r"\$")


def shortened(text: str, most: int) -> str:
    """Return `text`, its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    kept = most - 3
    return f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"


def entitle(figure: Figure, title: str, size: float = 12.0) -> None:
    """Put `title` above the figure, made so much higher; its lines are wrapped to what fits, and shortened."""
    drawn = figure.suptitle("", fontsize=size)
    for width in _TITLE_WIDTHS:
        lines = [
            plain(part)
            for line in title.split("\n")
            for part in textwrap.wrap(shortened(line, _TITLE_LINES * width), width) or [""]
        ]
        drawn.set_text("\n".join(lines))
        extent = drawn.get_window_extent()
        if extent.width <= _MARGIN * figure.bbox.width:
            break
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)


def explain(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put a legend below the panels, in as many columns as fit, and make the figure so much higher."""
    if not names:
        return
    for columns in range(min(len(names), _COLUMNS), 0, -1):
        legend = figure.legend(
            list(handles),
            [str(place) for place in range(len(names))],  # not the names: one that begins with "_" would be left out
            loc="outside lower center",
            ncols=columns,
            frameon=False,
        )
        for entry, name in zip(legend.get_texts(), names, strict=True):
            entry.set_text("\n".join(map(plain, textwrap.wrap(shortened(name, 3 * _LONGEST), _LONGEST))))
        extent = legend.get_window_extent()
        if extent.width <= _MARGIN * figure.bbox.width or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)
