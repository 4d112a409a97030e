"""The basis of every picture: a separate figure, names shown literally, and failures reported in one line.

A picture is the least important output of a run. It must neither cost a result nor depend on the environment: it uses
no window system, no pyplot, none of the user's matplotlib settings, and no backend from the environment. matplotlib is
imported only when something is drawn, so that computing ranks don't pay for it.
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

# Okabe and Ito's palette, distinguishable with any colour vision; its yellow is darkened, being too pale on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#000000", "#E69F00")
GREY = "#666666"
UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))

_DPI = 130
_TITLE_WIDTHS = range(170, 10, -8)  # characters per line, tried in turn until the widest line fits
_TITLE_LINES = 3  # about, for each given line
_COLUMNS = 4  # maximum of a legend
_LONGEST = 100  # characters per line of a legend entry, which has at most three lines
_MARGIN = 0.97  # fraction of the figure's width available for text
_MOST_SAID = 200  # most characters of a library's error message


class NotDrawnError(InputError):
    """A picture could not be drawn; the data that it would show are not affected."""


@contextmanager
def drawing(picture: Path) -> Iterator[None]:
    """Wrap all work on a picture: any failure becomes a one-line error.

    Raises
    ------
    NotDrawnError
        For an exception of any kind.
    """
    try:
        yield
    except Exception as error:  # plotting libraries raise many kinds, and any of them would cost a result
        raise NotDrawnError(f"{picture} not drawn: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {shortened(said, _MOST_SAID)}" if said else type(error).__name__


def figure_class() -> type[Figure]:
    """Return matplotlib's class of figures, imported whatever backend the environment names.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    InputError
        If matplotlib fails when it is imported, for example for a damaged file of settings.
    """
    try:
        with without("MPLBACKEND"):  # the first import fails for an unknown backend
            from matplotlib.figure import Figure
    except ImportError:
        raise MissingLibraryError("pictures need matplotlib: pip install 'hpcopt[plot]'") from None
    except Exception as error:
        raise InputError(
            f"matplotlib cannot be imported, check its settings (matplotlibrc): {_reason(error)}"
        ) from error
    return Figure


@contextmanager
def new_picture(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure, sizes in inches, and write it to `path` at the end; the suffix is the format.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing glyphs are drawn as boxes, degenerate ranges as they are
        blank = figure_class()
        from matplotlib import style

        with style.context("default"):
            figure = blank(figsize=(width, height), layout="constrained")
            yield figure
            with written_whole(path, "wb") as file:
                figure.savefig(file, format=path.suffix.removeprefix(".").lower() or "png", dpi=_DPI)


def plain(text: str) -> str:
    """Return `text` such that matplotlib shows it literally: no formulas, only printable characters."""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return printable.replace("$", r"\$")


def shortened(text: str, most: int) -> str:
    """Return `text`, with its middle left out if it is longer than `most` characters."""
    if len(text) <= most:
        return text
    kept = most - 3
    return f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"


def entitle(figure: Figure, title: str, size: float = 12.0) -> None:
    """Put `title` above the figure, which is extended in height; its lines are wrapped to fit, and shortened."""
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
    """Put a legend below the panels, in as many columns as fit, and extend the figure's height for it."""
    if not names:
        return
    for columns in range(min(len(names), _COLUMNS), 0, -1):
        legend = figure.legend(
            list(handles),
            [str(place) for place in range(len(names))],  # not the names: matplotlib omits those that begin with "_"
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
