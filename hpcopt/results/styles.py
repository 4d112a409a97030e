"""The styles of curves: told apart by their line and their marker as well, in print without colours and by any eye.

The colours are Okabe and Ito's and two of Tol's, in an order in which neighbours differ in lightness and for
colour-blind eyes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hpcopt.results.canvas import GREY
from hpcopt.results.curves import Curve

if TYPE_CHECKING:
    from matplotlib.artist import Artist

COLOURS = ("#0072B2", "#E69F00", "#000000", "#882255", "#D55E00", "#56B4E9", "#117733", "#CC79A7")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1.2, 1.2)), (0, (9, 1.5, 1, 1.5, 1, 1.5)))
MARKERS = "osD^vPX*<>h"

BAND = 0.2  # opacity
_MARKERS_A_CURVE = 12
_RING, _IN_LEGEND = 2.6, 1.8  # times the size of a marker


def look_of(place: int, curve: Curve) -> dict[str, Any]:
    """Return the style of the curve at a place; without a line if its records are few."""
    longest = max(map(len, curve.traces), default=0)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": "none" if curve.is_sparse else LINES[place % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
        "markevery": max(1, math.ceil(longest / _MARKERS_A_CURVE)),
    }


def band() -> Artist:
    """Return the entry of the legend for the bands of all curves."""
    from matplotlib.patches import Patch

    return Patch(facecolor=GREY, alpha=BAND, linewidth=0.0)


def limit() -> dict[str, Any]:
    """Return the style of the target's line."""
    from matplotlib import rcParams

    return {"color": GREY, "linestyle": (0, (6, 4)), "linewidth": 0.65 * rcParams["lines.linewidth"]}


def thin(colour: str) -> dict[str, Any]:
    """Return the style of a line for reference, not measured."""
    from matplotlib import rcParams

    return {"color": colour, "linestyle": (0, (1, 1)), "linewidth": 0.7 * rcParams["lines.linewidth"], "zorder": 1.5}


def ring(colour: str, *, among_names: bool = False) -> dict[str, Any]:
    """Return the style of the ring where a curve reaches the target; smaller in the legend."""
    from matplotlib import rcParams

    return {
        "marker": "o",
        "linestyle": "none",
        "markersize": (_IN_LEGEND if among_names else _RING) * rcParams["lines.markersize"],
        "markerfacecolor": "none",
        "markeredgecolor": colour,
        "markeredgewidth": 0.9 * rcParams["lines.linewidth"],
    }
