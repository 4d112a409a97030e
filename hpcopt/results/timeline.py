"""Pictures of timelines, and events for trace viewers: when each node computed, waited and exchanged.

A timeline is drawn as an image. Each pixel mixes the colours of the node's activities during its time, so the picture
is accurate with ten spans and with a million.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.timeline import COMPUTE, KINDS
from hpcopt.files import written_whole
from hpcopt.results.canvas import COLOURS, GREY, entitle, explain, new_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

Spans = NDArray[np.float64]  # (spans, 4): node, index in KINDS, begin, end

_WORDS = {"compute": "computing", "wait": "waiting", "exchange": "exchanging", "board": "coordinating"}
_COLOURS = {"compute": COLOURS[0], "wait": COLOURS[7], "exchange": COLOURS[2], "board": COLOURS[3]}
_OTHER = "other or idle"  # drawn white
_COLUMNS = 2000  # of the image
_CLOSE_UP = 200  # if a node has more spans, a second panel shows this many from the beginning, large enough to be seen
_SHOWN = 60
_SEPARATE = 100  # up to this many nodes, rows are separated by white lines
_NUMBERED = 16  # most nodes that are labelled with their numbers
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_LEAST = 0.0005  # smallest share of time without a span that the legend shows


def coverage(spans: Spans, nodes: int, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each time interval that each node spent on each kind of activity.

    Parameters
    ----------
    spans
        Rows (node, index in KINDS, begin, end); those of one node do not overlap.
    edges
        Limits of the intervals, ascending, shape (bins + 1,).

    Returns
    -------
    ndarray of float64
        Shape (kinds, nodes, bins), each from 0 to 1.
    """
    parts = np.zeros((len(KINDS), nodes, len(edges) - 1))
    order = np.lexsort((spans[:, 2], spans[:, 1], spans[:, 0]))
    node, kind, begin, end = spans[order].T
    borders = np.flatnonzero(np.diff(node * len(KINDS) + kind, prepend=-1.0, append=-1.0))
    for first, last in pairwise(borders.tolist()):
        times = np.column_stack((begin[first:last], end[first:last])).reshape(-1)
        spent = np.cumsum(end[first:last] - begin[first:last])
        so_far = np.column_stack((np.concatenate(([0.0], spent[:-1])), spent)).reshape(-1)
        parts[int(kind[first]), int(node[first])] = np.diff(np.interp(edges, times, so_far)) / np.diff(edges)
    return parts


def draw_timeline(spans: Spans, nodes: int, path: str | Path, title: str, clock: str, hubs: Sequence[int] = ()) -> None:
    """Draw one row per node, spans in the colours of their kinds, and each node's shares; the suffix is the format.

    If a node has too many spans to be seen, a second panel shows the first of them. Colours mix where spans are
    narrower than a pixel; time without a span is white.

    Parameters
    ----------
    spans
        Rows (node, index in KINDS, begin, end), in seconds.
    clock
        "wall" or "virtual".
    hubs
        The ranks of a hub network's hubs, which are drawn above the workers.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    order = [*hubs, *(node for node in range(nodes) if node not in set(hubs))]  # node of each row
    spans = np.column_stack((np.argsort(order)[spans[:, 0].astype(np.int64)], spans[:, 1:]))
    end = float(spans[:, 3].max(initial=0.0)) or 1.0
    shares = coverage(spans, nodes, np.array([0.0, end]))[:, :, 0]
    busiest = int(np.bincount(spans[:, 0].astype(np.int64)).max(initial=0))
    shown = {f"{clock} clock": (0.0, end)}
    if busiest > _CLOSE_UP:
        shown[f"{clock} clock, the beginning"] = _beginning(spans, nodes)
    high = float(np.clip(0.22 * nodes, 1.2, 6.5 if len(shown) == 1 else 5.0))
    with new_picture(Path(path), 13.0, (high + 0.8) * len(shown) + 0.2) as figure:
        panels = figure.subplots(len(shown), 2, width_ratios=(11, 2), sharey=True, squeeze=False)
        for (left, right), (words, times) in zip(panels, shown.items(), strict=True):
            _panel(left, spans, nodes, times, words)
            _name_rows(left, order, len(hubs))
            _shares(right, shares)
            right.set_visible(times == (0.0, end))
        handles = _legend(shares)
        explain(figure, handles, [str(handle.get_label()) for handle in handles])
        entitle(figure, title)


def _beginning(spans: Spans, nodes: int) -> tuple[float, float]:
    """Return the interval of the second panel: from the first computation until some node has had `_CLOSE_UP` spans."""
    begin = float(spans[spans[:, 1] == COMPUTE, 2].min(initial=math.inf))
    begin = 0.0 if math.isinf(begin) else begin
    own = [np.sort(spans[(spans[:, 0] == node) & (spans[:, 2] >= begin), 3]) for node in range(nodes)]
    return begin, float(min((ends[_SHOWN - 1] for ends in own if len(ends) >= _SHOWN), default=spans[:, 3].max()))


def _panel(axis: Axes, spans: Spans, nodes: int, times: tuple[float, float], words: str) -> None:
    """Draw every node's activities between two times; `words` follow the unit below the axis."""
    from matplotlib.colors import to_rgb

    begin, until = times
    parts = coverage(spans, nodes, np.linspace(begin, until, _COLUMNS + 1))
    colours = np.array([to_rgb(_COLOURS[kind]) for kind in KINDS])
    image = np.einsum("knt,kc->ntc", parts, colours) + (1.0 - parts.sum(axis=0))[:, :, np.newaxis]
    size, unit = next(((size, unit) for size, unit in _UNITS if until >= size), _UNITS[-1])
    axis.imshow(
        np.clip(image, 0.0, 1.0),
        aspect="auto",
        interpolation="none",
        extent=(begin / size, until / size, nodes - 0.5, -0.5),
    )
    for border in np.arange(nodes - 1) + 0.5 if nodes <= _SEPARATE else ():
        axis.axhline(border, color="white", linewidth=min(4.0, 40.0 / nodes))
    axis.set_xlabel(f"{unit} ({words})")


def _name_rows(axis: Axes, order: Sequence[int], hubs: int) -> None:
    """Label some rows with their nodes; draw a line below those of the hubs, which are first."""
    nodes = len(order)
    rows = range(0, nodes, 2 ** max(0, math.ceil(math.log2(nodes / _NUMBERED))))
    axis.set_yticks(rows, [f"hub {order[row]}" if row < hubs else f"{order[row]}" for row in rows])
    axis.set_ylabel("worker" if hubs else "node")
    if 0 < hubs < nodes:
        axis.axhline(hubs - 0.5, color="black", linewidth=1.0)


def _shares(axis: Axes, shares: NDArray[np.float64]) -> None:
    """Draw the share of time that each node spent on each kind."""
    nodes = shares.shape[1]
    left = np.zeros(nodes)
    for kind, parts in zip(KINDS, shares, strict=True):
        axis.barh(
            np.arange(nodes), 100.0 * parts, left=left, height=0.85 if nodes <= _SEPARATE else 1.0, color=_COLOURS[kind]
        )
        left += 100.0 * parts
    axis.set_xlim(0.0, 100.0)
    axis.set_xlabel("% of the time")
    axis.spines[["top", "right"]].set_visible(False)


def _legend(shares: NDArray[np.float64]) -> list[Patch]:
    """Return a legend entry for each kind that occurs, with its share of all nodes' time."""
    from matplotlib.patches import Patch

    means = dict(zip(KINDS, shares.mean(axis=1).tolist(), strict=True))
    entries = [
        Patch(facecolor=_COLOURS[kind], label=f"{_WORDS[kind]} {mean:.1%}") for kind, mean in means.items() if mean > 0
    ]
    other = 1.0 - sum(means.values())
    if other >= _LEAST:
        entries.append(Patch(facecolor="white", edgecolor=GREY, label=f"{_OTHER} {other:.1%}"))
    return entries


def write_events(spans: Spans, nodes: int, path: str | Path, title: str) -> None:
    """Write the spans in the Chrome trace event format, for chrome://tracing or Perfetto; ordered by their beginning.

    A node is a thread of one process, times are in microseconds.

    source: Google, "Trace Event Format": complete events ("ph": "X") and metadata events ("ph": "M")
    """
    events = [_metadata("process_name", 0, {"name": title})]
    for node in range(nodes):
        events.append(_metadata("thread_name", node, {"name": f"node {node}"}))
        events.append(_metadata("thread_sort_index", node, {"sort_index": node}))
    names = [json.dumps(_WORDS[kind]) for kind in KINDS]
    ordered: Sequence[Sequence[float]] = spans[np.lexsort((spans[:, 0], spans[:, 2]))].tolist()
    with written_whole(Path(path)) as file:
        file.write('{"displayTimeUnit": "ms", "traceEvents": [\n')
        file.write(",\n".join(events))
        file.writelines(
            f',\n{{"name": {names[int(kind)]}, "ph": "X", "ts": {1e6 * begin:.3f}, "dur": {1e6 * (end - begin):.3f}, '
            f'"pid": 0, "tid": {int(node)}}}'
            for node, kind, begin, end in ordered
        )
        file.write("\n]}\n")


def _metadata(name: str, node: int, more: dict[str, object]) -> str:
    return json.dumps({"name": name, "ph": "M", "pid": 0, "tid": node, "args": more})
