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

_FONTS = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}
_LARGE = {"savefig.dpi": 130, "lines.linewidth": 1.7, "lines.markersize": 5.0, "figure.titlesize": 12.0}
_SMALL = {
    "savefig.dpi": 300,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
    "font.size": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "figure.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}
_TITLE_WIDTHS = range(170, 10, -8)  # characters per line, tried in turn until the widest line fits
_TITLE_LINES = 3  # about, for each given line
_COLUMNS = 4  # maximum of a legend
_LONGEST = 100  # characters per line of a legend entry, which has at most three lines
_HALF = (60, 45)  # the same, tried in turn until two columns fit
_NARROW = range(80, 10, -10)  # the same, tried in turn until a single column fits
_HANDLE = 3.0  # length of the line before a legend's entry, in letters: long enough to show how it is dashed
_MARGIN = 0.97  # fraction of the figure's width available for text
_MOST_SAID = 200  # most characters of a library's error message


class NotDrawnError(InputError):
    """A picture could not be drawn; the data that it would show are not affected."""


@contextmanager
def drawing(picture: Path | str) -> Iterator[None]:
    """Wrap all work on a picture, a file or a name in words: any failure becomes a one-line error.

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
def new_picture(path: Path | None, width: float, height: float, *, is_small: bool = False) -> Iterator[Figure]:
    """Yield an empty figure, sizes in inches, and write it to `path` at the end; the suffix is the format.

    Letters are embedded in PDF as TrueType, which journals ask for, and are text in SVG.

    Parameters
    ----------
    path
        None: nothing is written.
    is_small
        Whether letters and lines have the sizes for a column of a journal.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing glyphs are drawn as boxes, degenerate ranges as they are
        blank = figure_class()
        from matplotlib import style

        with style.context(["default", _FONTS, _SMALL if is_small else _LARGE]):
            figure = blank(figsize=(width, height), layout="constrained")
            yield figure
            if path is not None:
                with written_whole(path, "wb") as file:
                    figure.savefig(file, format=path.suffix.removeprefix(".").lower() or "png")


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


def entitle(figure: Figure, title: str, size: float | None = None, *, grows: bool = True) -> float:
    """Put `title` above the figure, in lines that fit, and return its height in inches, by which the figure `grows`."""
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
    return _taken(figure, extent.height, grows=grows)


def explain(figure: Figure, handles: Sequence[Artist], names: Sequence[str], *, grows: bool = True) -> float:
    """Put a legend below the panels, in as many columns as fit; return its height, by which the figure `grows`."""
    if not names:
        return 0.0
    layouts = [
        *((columns, _LONGEST) for columns in range(min(len(names), _COLUMNS), 0, -1)),
        *((1, width) for width in _NARROW),
    ]
    for columns, width in layouts:
        legend = figure.legend(
            list(handles),
            [str(place) for place in range(len(names))],  # not the names: matplotlib omits those that begin with "_"
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            handlelength=_HANDLE,
        )
        for entry, name in zip(legend.get_texts(), names, strict=True):
            entry.set_text("\n".join(map(plain, textwrap.wrap(shortened(name, 3 * width), width))))
        extent = legend.get_window_extent()
        if extent.width <= _MARGIN * figure.bbox.width or (columns, width) == layouts[-1]:
            break
        legend.remove()
    return _taken(figure, extent.height, grows=grows)


def _taken(figure: Figure, pixels: float, *, grows: bool) -> float:
    inches: float = pixels / figure.dpi
    if grows:
        figure.set_figheight(figure.get_figheight() + inches)
    return inches
