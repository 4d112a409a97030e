"""Pictures and tables: numbers are those of the trace, axes are labelled correctly, unusual runs work."""

import csv
import io
import itertools
import math
import sys
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from hpcopt.errors import MissingLibraryError
from hpcopt.results import plots, styles
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.heights import judged_height
from hpcopt.results.plots import draw_convergence
from hpcopt.results.printed import compare_table
from hpcopt.results.record import Record
from hpcopt.results.stopping import Status
from hpcopt.results.summary import summary_table
from hpcopt.results.tables import COLUMNS, compare_rows, first_at, write_csv


def trace(*objectives, sent=1000, seconds=0.5, clock="virtual", **more):
    return [
        Record(
            round=2 * place,
            iteration=place,
            seconds=place * seconds,
            clock=clock,
            bytes=place * sent,
            messages=6 * place,
            work=3.0 * place,
            objective=objective,
            grad_norm=1.0 / (1 + place),
            **more,
        )
        for place, objective in enumerate(objectives)
    ]


def finished(label, records, status="rounds", **more):
    last = records[-1].as_dict()
    kept = {key: last[key] for key in ("seconds", "bytes", "messages", "work", "objective", "grad_norm")}
    message = "reached the limit of rounds"
    return SimpleNamespace(
        label=label,
        records=records,
        result={"status": status, "message": message, "rounds": last["round"], **kept, **more},
    )


def shown(table, width=100):
    text = io.StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return a function that draws and returns the figure and the picture's size in pixels."""
    figures = []
    save = Figure.savefig

    def keep(figure, file, **settings):
        figures.append(figure)
        save(figure, file, **settings)

    monkeypatch.setattr(Figure, "savefig", keep)

    def draw(how, *arguments, **settings):
        path = tmp_path / "picture.png"
        how(arguments[0], path, *arguments[1:], **settings)
        assert path.read_bytes().startswith(b"\x89PNG")
        return figures[-1]

    return draw


def compared(runs, *arguments):
    """Draw runs, each a label with its records or with several traces."""
    curves = [
        Curve(label, records if records and isinstance(records[0], list) else [records]) for label, records in runs
    ]
    plots.draw_compare(curves, *arguments)


def curve(axis, place=0):
    return axis.get_lines()[place]


def test_a_comparison_has_the_three_axes(drawn):
    figure = drawn(compared, [("a", trace(4.0, 2.0, 1.0)), ("b", trace(4.0, 3.0, 2.0))], "title")
    assert [axis.get_xlabel() for axis in figure.axes] == ["rounds", "kB sent", "seconds (virtual clock)"]
    assert [list(curve(axis).get_xdata()) for axis in figure.axes] == [[0, 2, 4], [0, 1, 2], [0, 0.5, 1]]


def directed(label, *objectives, up):
    """Return a finished run that sends `up` of its 1000 bytes a record up."""
    records = [
        replace(record, bytes_up=up * place, bytes_down=(1000 - up) * place)
        for place, record in enumerate(trace(*objectives))
    ]
    return finished(label, records, bytes_up=records[-1].bytes_up, bytes_down=records[-1].bytes_down)


@pytest.mark.parametrize(("ups", "shown"), [((500, 500), False), ((500, 100), True), ((100, None), False)])
def test_bytes_that_went_up_have_a_panel_if_all_runs_tell_them_and_they_are_not_half(drawn, ups, shown):
    runs = [(str(up), trace(4.0, 2.0) if up is None else directed(str(up), 4.0, 2.0, up=up).records) for up in ups]
    figure = drawn(compared, runs, "title")
    panels = [axis.get_xlabel() for axis in figure.axes]
    assert panels == ["rounds", "kB sent", *(["kB sent up"] if shown else []), "seconds (virtual clock)"]
    if shown:
        assert [list(curve(figure.axes[2], place).get_xdata()) for place in (0, 1)] == [[0, 0.5], [0, 0.1]]


def test_weights_other_than_zero_have_a_second_row_if_all_runs_count_them(drawn):
    one = [replace(record, nonzeros=5 - record.iteration) for record in trace(4.0, 2.0, 1.0)]
    figure = drawn(compared, [("a", one), ("b", one)], "title")
    assert [len(drawn(compared, [("a", one), ("b", trace(4.0))], "title").axes), len(figure.axes)] == [3, 6]
    assert [list(curve(axis, 1).get_ydata()) for axis in figure.axes[3:]] == [[5, 4, 3]] * 3
    assert figure.axes[4].get_xlabel() == "kB sent"
    assert figure.axes[3].get_ylabel() == "weights other than zero"


def test_a_number_of_weights_has_whole_numbers_at_its_axis(drawn):
    records = [replace(record, nonzeros=29 + record.iteration % 2) for record in trace(4.0, 3.0, 2.0, 1.0)]
    (axis,) = [
        axis for axis in drawn(draw_convergence, records, "title").axes if "other than zero" in axis.get_ylabel()
    ]
    assert all(tick == round(tick) for tick in axis.get_yticks())


def test_one_run_shows_up_and_down_apart_with_the_target_on_both(drawn):
    figure = drawn(draw_convergence, directed("a", 4.0, 2.0, up=100).records, "title", Goal(2.0))
    axis = figure.axes[1]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["up", "down"]
    assert [list(curve(axis, place).get_xdata()) for place in (0, 1)] == [[0, 0.1], [0, 0.9]]
    assert [list(ring.get_xdata()) for ring in axis.get_lines()[3:5]] == [[0.1], [0.9]]


@pytest.mark.parametrize(("sent", "unit"), [(100, "bytes"), (5e4, "kB"), (1e6, "MB"), (3e9, "GB")])
def test_bytes_are_told_in_the_unit_that_suits_them(drawn, sent, unit):
    figure = drawn(compared, [("a", trace(2.0, 1.0, sent=sent))], "title")
    assert figure.axes[1].get_xlabel() == f"{unit} sent"
    assert curve(figure.axes[1]).get_xdata()[-1] < 1000


def test_the_clock_is_said_on_the_axis(drawn):
    figure = drawn(compared, [("a", trace(2.0, 1.0, clock="wall"))], "title")
    assert figure.axes[2].get_xlabel() == "seconds (wall clock)"


@pytest.mark.parametrize("seconds", [1e-7, 7.4e-5, 3.3e-4, 2.1e-3, 0.05, 7.0, 4321.0])
def test_numbers_at_the_seconds_fit_side_by_side(drawn, seconds):
    figure = drawn(compared, [("a", trace(2.0, 1.0, seconds=seconds))], "title")
    told = [tick.get_text() for tick in figure.axes[2].get_xticklabels()]
    assert max(map(len, told)) <= 5


def test_every_run_is_in_the_legend(drawn):
    names = [f"solver {place}" for place in range(18)]
    figure = drawn(compared, [(name, trace(3.0, 2.0, 1.0)) for name in names], "title")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    looks = [(line.get_color(), line._unscaled_dash_pattern, line.get_marker()) for line in figure.axes[0].get_lines()]
    for one, other in itertools.combinations(looks, 2):  # in print without colours two of the three are left
        assert sum(a != b for a, b in zip(one, other, strict=True)) >= 2


VISIONS = {  # linear RGB as seen; Machado, Oliveira and Fernandes 2009, severity 1
    "all colours": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.052]],
    "deuteranopia": [[0.3673, 0.8606, -0.228], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritanopia": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
}


def lab(colour, vision):
    """Return CIE L*, a*, b* of a colour as seen."""
    rgb = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    seen = np.clip(np.array(vision) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0.0, 1.0)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.00886))  # the darkest colours are all black
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_neighbours_in_the_legend_differ_for_any_eye_and_in_grey_and_no_colour_is_pale(vision):
    seen = [lab(colour, VISIONS[vision]) for colour in styles.COLOURS]
    for one, other in itertools.pairwise([*seen, seen[0]]):
        assert np.linalg.norm(one - other) > 20
        assert vision != "all colours" or abs(one[0] - other[0]) > 14
    assert max(colour[0] for colour in seen) < 77


@pytest.mark.parametrize(("rounds", "scale"), [(10, "linear"), (200, "symlog")])
def test_runs_of_very_different_length_share_a_logarithmic_axis(drawn, rounds, scale):
    runs = [("short", trace(3.0, 2.0)), ("long", trace(*(3.0 / (1 + place) for place in range(rounds + 1))))]
    figure = drawn(compared, runs, "title")
    assert figure.axes[0].get_xscale() == scale


@pytest.mark.parametrize("sent", [90, 1e4, 1e6, 1e9])
def test_labels_of_a_logarithmic_axis_do_not_touch(drawn, sent):
    runs = [(str(most), trace(3.0, 2.0, 1.0, sent=most)) for most in (90, 100, 110, sent)]
    figure = drawn(compared, runs, "title")
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[1].get_xticklabels()]
    assert len(boxes) > 1
    assert all(right.x0 - left.x1 > 2.0 for left, right in pairwise(boxes))


def test_several_traces_of_a_label_are_a_median_in_a_band_of_quartiles(drawn):
    traces = [trace(4.0, 4.0 - fall, 4.0 - 2 * fall) for fall in (0.1, 0.2, 0.3, 0.4, 1.5)]
    axis = drawn(compared, [("a", traces)], "title").axes[0]
    assert list(curve(axis).get_xdata()) == [0, 2, 4]
    assert list(curve(axis).get_ydata()) == pytest.approx([4.0, 3.7, 3.4])
    (band,) = axis.collections
    at_the_end = [y for x, y in band.get_paths()[0].vertices if x == 4]
    assert (min(at_the_end), max(at_the_end)) == pytest.approx((3.2, 3.6))


def test_a_repetition_that_has_ended_keeps_its_last_value_and_one_that_diverged_is_off_the_scale(drawn):
    ended = [trace(4.0, 1.0), trace(4.0, 3.0, 2.0), trace(4.0, 3.5, 3.0)]
    assert list(curve(drawn(compared, [("a", ended)], "title").axes[0]).get_ydata()) == [4.0, 3.0, 2.0]
    diverged = [trace(4.0, 1.0, math.nan), trace(4.0, 3.0, 2.0), trace(4.0, 3.5, 3.0)]
    figure = drawn(compared, [("a", diverged)], "title")
    assert list(curve(figure.axes[0]).get_ydata()) == [4.0, 3.0, 3.0]
    assert figure.axes[0].get_ylim()[1] < 10.0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "median and quartiles of 3 seeds"]


def test_on_a_logarithmic_axis_the_median_of_two_is_their_geometric_mean(drawn):
    axis = drawn(compared, [("a", [trace(4.0, 0.01), trace(4.0, 1.0)])], "title").axes[0]
    assert axis.get_yscale() == "log"
    assert curve(axis).get_ydata()[-1] == pytest.approx(0.1)


def test_a_ring_marks_where_the_median_reaches_the_target(drawn):
    traces = [trace(4.0, 0.5, 0.4), trace(4.0, 2.0, 0.9), trace(4.0, 3.0, 2.0)]
    ring = curve(drawn(compared, [("a", traces)], "title", Goal(1.0)).axes[0], 2)
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([4.0], pytest.approx([0.9]))


def test_what_is_drawn_upwards_is_said_on_the_axis(drawn):
    rows = trace(*(0.5 + 4.0 * 0.1**place for place in range(6)))
    by_optimum = drawn(draw_convergence, rows, "title", Goal(optimum=0.5)).axes[0]
    assert by_optimum.get_ylabel() == "objective minus the optimum (0.5)"
    assert by_optimum.get_yscale() == "log"
    assert list(curve(by_optimum).get_ydata()) == pytest.approx([4.0 * 0.1**place for place in range(6)])
    plain = drawn(draw_convergence, rows, "title").axes[0]
    assert (plain.get_ylabel(), plain.get_yscale()) == ("objective", "linear")
    assert list(curve(plain).get_ydata()) == [row.objective for row in rows]


def test_heights_do_not_depend_on_which_records_there_are(drawn):
    falls = [0.5 + 4.0 * 0.3**place for place in range(12)]
    for goal in (Goal(), Goal(optimum=0.5)):
        all_of_them = curve(drawn(draw_convergence, trace(*falls), "title", goal).axes[0]).get_ydata()
        some = curve(drawn(draw_convergence, trace(*falls[:7]), "title", goal).axes[0]).get_ydata()
        assert list(some) == list(all_of_them[:7])


@pytest.mark.parametrize(
    ("objectives", "optimum", "subtracted", "logarithmic"),
    [
        ((4.0, 1.0, 0.6), None, None, False),  # no decades to show
        ((4.0, 1.0, 0.1), None, None, True),
        ((4.0, 1.0, -0.1), None, None, False),
        ((4.0, 1.0, 0.501, 0.5), 0.7, None, False),  # not the optimum: a run is below it
        ((4.0, 1.0, 0.5 - 1e-11), 0.5, None, False),
        ((4.0, 1.0, 0.5 - 1e-15), 0.5, 0.5, True),  # roundoff
        ((4.0, 1.0, 0.6), 0.5, 0.5, True),
        ((1.0, 1e-30, 0.0), 0.0, 0.0, True),
        ((math.nan,), 0.5, None, False),
    ],
)
def test_the_optimum_is_subtracted_where_it_is_known_and_no_run_is_below_it(
    objectives, optimum, subtracted, logarithmic
):
    height = judged_height([Curve("a", [trace(*objectives)])], Goal(optimum=optimum))
    assert (height.optimum, height.logarithmic) == (subtracted, logarithmic)
    if optimum == 0.7:
        assert height.name == "objective (below problem.optimum, 0.7)"


def test_the_target_is_a_line_and_a_ring_where_it_is_first_reached(drawn):
    figure = drawn(compared, [("a", trace(4.0, 1.0, 0.9, 0.8, -1.0, -2.0))], "title", Goal(1.0))
    _, line, ring = (curve(figure.axes[0], place) for place in range(3))
    assert list(line.get_ydata()) == [1.0, 1.0]
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([2.0], [1.0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "target 1", "first at the target"]


def test_a_target_above_the_optimum_is_told_by_its_distance(drawn):
    figure = drawn(compared, [("a", trace(4.0, 1.0, 0.52))], "title", Goal(0.625, optimum=0.5))
    assert list(curve(figure.axes[0], 1).get_ydata()) == [0.125, 0.125]
    assert "target 0.125 above the optimum" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_target_below_the_optimum_is_told_and_has_no_line(drawn):
    figure = drawn(compared, [("a", trace(4.0, 1.0))], "title", Goal(0.4, optimum=0.5))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "target 0.4 (below the axis)"]


@pytest.mark.parametrize("end", [math.inf, math.nan, 1e300])
def test_a_run_that_diverges_leaves_the_others_readable(drawn, end):
    figure = drawn(compared, [("bad", trace(4.0, 400.0, end)), ("good", trace(4.0, 2.0, 1.0))], "title")
    low, high = figure.axes[0].get_ylim()
    assert low < 1.0
    assert 4.0 < high < 40.0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bad (off the scale)", "good"]


@pytest.mark.parametrize(
    "rows", [trace(4.0), trace(4.0, 2.0, sent=0), trace(0.0, 0.0), trace(math.inf, math.inf), trace(-1.0, -2.0)]
)
def test_odd_traces_are_drawn(drawn, rows):
    drawn(draw_convergence, rows, "one run", Goal(1.0))
    drawn(compared, [("a", rows), ("b", rows)], "several", Goal(1.0))


@pytest.mark.parametrize(
    ("more", "below"),
    [
        ({}, ["norm of the gradient"]),
        ({"test_accuracy": 0.9}, ["norm of the gradient", "test accuracy (fraction of rows)"]),
        ({"consensus": 0.1}, ["norm of the gradient, mean model", "rms distance to the mean model"]),
    ],
)
def test_one_run_shows_its_objective_three_times_and_what_else_there_is(drawn, more, below):
    figure = drawn(draw_convergence, trace(4.0, 2.0, **more), "title")
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["rounds", "kB sent", "seconds (virtual clock)"]
    assert [axis.get_ylabel() for axis in figure.axes[3:]] == below
    assert "2 rounds, 1 kB sent, 0.5 seconds (virtual clock)" in figure.get_suptitle()


def test_the_title_counts_one_round_and_one_second_in_the_singular(drawn):
    figure = drawn(draw_convergence, [replace(record, round=record.iteration) for record in trace(4.0, 2.0)], "title")
    assert figure.get_suptitle() == "title\n1 round, 1 kB sent, 0.5 seconds (virtual clock)"


@pytest.mark.parametrize(
    ("seconds", "told"), [(1.0, "1 second ("), (0.06, "0.06 seconds ("), (0.004, "4 ms ("), (3e-6, "3 µs (")]
)
def test_times_are_told_in_the_unit_that_suits_them(drawn, seconds, told):
    assert told in drawn(draw_convergence, trace(2.0, 1.0, seconds=seconds), "title").get_suptitle()


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'hpcopt\[plot\]'"):
        draw_convergence(trace(1.0), tmp_path / "a.png", "title")


def test_drawing_leaves_the_callers_pyplot_alone(drawn):
    drawn(compared, [("a", trace(2.0, 1.0))], "title")
    assert not hasattr(plots, "pyplot")
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_the_target_is_reached_at_the_first_row_that_is_as_low():
    records = trace(4.0, 1.0, 0.5, 0.7)
    assert first_at(records, 1.0) is records[1]
    assert first_at(records, 0.4) is None
    assert first_at(trace(math.nan, math.inf, 0.5), 0.6).round == 4


def test_a_comparison_tells_what_the_target_cost_and_what_the_run_cost():
    fast, slow = finished("fast", trace(4.0, 0.9, 0.5), "target"), finished("slow", trace(4.0, 3.0, 2.0))
    first, second = compare_rows([fast, slow], Goal(1.0))
    assert tuple(first) == COLUMNS
    assert (first["reached"], first["rounds"], first["seconds"], first["bytes"]) == (True, 2, 0.5, 1000)
    assert (first["total_rounds"], first["total_seconds"], first["total_bytes"]) == (4, 1.0, 2000)
    assert (second["reached"], second["rounds"], second["seconds"], second["bytes"]) == (False, None, None, None)
    assert second["total_rounds"] == 4
    assert (first["objective"], first["work"], first["status"]) == (0.5, 6.0, "target")


def test_a_comparison_tells_both_directions_where_they_differ():
    even, less, unknown = directed("a", 4.0, 0.9, 0.5, up=500), directed("b", 4.0, 3.0, up=100), trace(4.0, 0.5)
    runs = [even, less, finished("c", unknown)]
    rows = compare_rows(runs, Goal(1.0))
    directions = [(row["bytes_up"], row["bytes_down"], row["total_bytes_up"], row["total_bytes_down"]) for row in rows]
    assert directions == [(500, 500, 1000, 1000), (None, None, 100, 900), (None, None, None, None)]
    heads = [shown(compare_table(compare_rows(some))).split("\n")[1:3] for some in (runs, runs[:2], runs[::2])]
    assert [(upper.count("MB"), lower.count("MB")) for upper, lower in heads] == [(2, 1), (2, 0), (0, 1)]
    table = [line.split()[1:5] for line in shown(compare_table(compare_rows(runs[:2]))).splitlines()[4:6]]
    assert table == [["4", "0.001", "0.001", "1"], ["2", "0.0001", "0.0009", "0.5"]]
    assert "0.001 MB: 0.0001 MB up, 0.0009 MB down" in shown(summary_table(less.result, "virtual", {}))
    assert " up" not in shown(summary_table(even.result, "virtual", {}))


def test_without_a_target_the_totals_are_the_cost():
    (row,) = compare_rows([finished("a", trace(4.0, 2.0))])
    assert row["reached"] is None
    assert (row["rounds"], row["seconds"], row["bytes"]) == (2, 0.5, 1000)


def test_the_csv_holds_full_numbers_and_lower_case_truth(tmp_path):
    runs = [finished("a, b", trace(4.0, 1 / 3), test_accuracy=0.875), finished("c", trace(4.0, 2.0))]
    write_csv(compare_rows(runs, Goal(1.0)), tmp_path / "compare.csv")
    with (tmp_path / "compare.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == COLUMNS
    assert (first["solver"], first["reached"], float(first["objective"])) == ("a, b", "true", 1 / 3)
    assert (second["reached"], second["rounds"], second["test_accuracy"]) == ("false", "", "")


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_of_a_comparison_fits_a_plain_log(width):
    names = ["local-newton schedule=adaptive", "giant", "local-sgd local_steps=10 batch=100", "one [bold] shot"]
    runs = [finished(name, trace(4.0, 0.9, 0.5), test_accuracy=0.84) for name in names]
    runs.append(finished("never", trace(4.0, 3.0)))
    text = shown(compare_table(compare_rows(runs, Goal(1.0)), Goal(1.0), title="a [title]"), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    for word in ("a [title]", "not reached", "0.500000", "0.8400", "at most 1", "giant"):
        assert word in text
    assert "[bold]" in text.replace("\n", "")


def test_the_summary_of_a_run_says_all_that_counts():
    rows = trace(4.0, 0.5, sent=1_500_000)
    text = shown(summary_table(finished("a", rows, test_accuracy=0.9).result, "wall", {"picture": "runs/[x]/c.png"}))
    for word in ("reached the limit of rounds", "0.5", "1.5 MB", "0.5 (wall clock)", "0.9000", "runs/[x]/c.png"):
        assert word in text
    assert "test error" not in text


@pytest.mark.parametrize(
    ("kinds", "column", "name"),
    [
        ([None], "objective", "objective"),
        ([None], "mean_objective", "objective"),
        ([0.1], "objective", "objective of the mean model"),
        ([0.1], "mean_objective", "objective averaged over the nodes' models"),
        ([0.1], "worst_objective", "objective of the worst node's model"),
        ([None, 0.1], "objective", "objective (of the mean model where nodes have their own)"),
    ],
)
def test_whose_objective_it_is_stands_on_the_axis_and_at_the_table(drawn, kinds, column, name):
    runs = [
        (str(place), trace(4.0, 2.0, consensus=kind, mean_objective=kind and 2.5, worst_objective=kind and 3.0))
        for place, kind in enumerate(kinds)
    ]
    goal = Goal(2.2, column)
    assert drawn(compared, runs, "title", goal).axes[0].get_ylabel().replace("\n", " ") == name
    done = [finished(label, records, **extras(records)) for label, records in runs]
    assert f"until the {name} is at most 2.2" in " ".join(shown(compare_table(compare_rows(done, goal), goal)).split())


def extras(records):
    return {key: getattr(records[-1], key) for key in ("consensus", "mean_objective", "worst_objective")}


@pytest.mark.parametrize(("column", "told"), [("objective", 2.0), ("mean_objective", 2.5), ("worst_objective", 3.0)])
def test_the_table_shows_the_column_that_the_target_is_judged_on(column, told):
    records = trace(4.0, 2.0, consensus=0.1, mean_objective=2.5, worst_objective=3.0)
    goal = Goal(2.2, column)
    text = shown(compare_table(compare_rows([finished("a", records, **extras(records))], goal), goal))
    assert ("not reached" in text) == (told > goal.target)
    assert f"{told:#.6g}" in text


def test_the_summary_says_whose_objective_each_is():
    records = trace(4.0, 2.0, consensus=0.1, mean_objective=2.5, worst_objective=3.0)
    text = shown(summary_table(finished("a", records, **extras(records)).result, "virtual", {}))
    lines = {line.strip()[:50].rstrip(): line.split()[-1] for line in text.splitlines() if "objective" in line}
    told = {name.rsplit(maxsplit=1)[0].rstrip(): value for name, value in lines.items()}
    assert told == {
        "objective of the mean model": "2",
        "objective averaged over the nodes' models": "2.5",
        "objective of the worst node's model": "3",
    }


@pytest.mark.parametrize("status", [status for status in Status if status.diverged])
def test_every_kind_of_divergence_is_shown_as_diverged(status):
    done = finished("sgd", trace(4.0, 4.0), status.name.lower())
    assert "diverged" in shown(compare_table(compare_rows([done])))


def test_a_column_that_only_some_records_have_is_drawn_where_it_is_measured(drawn):
    first, middle, last = trace(4.0, 2.0, 1.0, consensus=0.1)
    records = [replace(first, mean_objective=5.0), middle, replace(last, iteration=9, mean_objective=3.0)]
    line = curve(drawn(compared, [("a", records)], "title", Goal(column="mean_objective")).axes[0])
    assert list(line.get_ydata()) == [5.0, 3.0]
    assert line.get_linestyle() == "None"


def test_few_records_with_iterations_between_them_are_points(drawn):
    first, _, _, last = trace(4.0, 3.0, 2.0, 1.0)
    lines = [
        curve(drawn(compared, [("a", rows)], "title").axes[0])
        for rows in ([first, last], trace(4.0, 3.0), trace(*range(9, 0, -1))[::2])
    ]
    assert [line.get_linestyle() for line in lines] == ["None", "-", "-"]
    assert all(line.get_marker() not in {"None", None} for line in lines)


def test_no_panel_is_without_a_curve(drawn):
    alone = drawn(draw_convergence, trace(4.0, 2.0, sent=0, test_accuracy=None), "title")
    assert [axis.get_xlabel() for axis in alone.axes] == ["rounds", "seconds (virtual clock)", "rounds"]
    at_once = drawn(draw_convergence, trace(4.0), "title")
    assert [axis.get_xlabel() for axis in at_once.axes] == ["rounds"]
    for figure in (alone, at_once):
        assert all(len(curve(axis).get_xdata()) for axis in figure.axes)


def test_a_start_far_off_does_not_flatten_a_test_measure(drawn):
    tests = [0.0, 0.4, *([0.9] * 5), 0.91, 0.92, 0.92]
    records = [replace(row, test_accuracy=value) for row, value in zip(trace(*range(10, 0, -1)), tests, strict=True)]
    axis = drawn(draw_convergence, records, "title").axes[-1]
    assert axis.get_ylabel().replace("\n", " ") == "test accuracy (fraction of rows); 0 at the start, off the scale"
    low, high = axis.get_ylim()
    assert 0.85 < low < 0.9
    assert 0.92 < high < 0.95


@pytest.mark.parametrize("curves", [1, 2, 20])
def test_neither_legend_nor_title_covers_a_panel_or_leaves_the_picture(drawn, curves):
    runs = [(f"{place} {'W' * 77}", trace(4.0, 3.0, 2.0, 1.0)) for place in range(curves)]
    figure = drawn(compared, runs, "a title of many words " * 12, Goal(2.0))
    figure.set_dpi(100)
    figure.draw_without_rendering()
    legend, title = figure.legends[0].get_window_extent(), figure._suptitle.get_window_extent()
    assert len(figure.legends[0].get_texts()) == curves + 2
    assert 0 <= legend.x0 <= legend.x1 <= figure.bbox.width
    for axis in figure.axes:
        panel = axis.get_tightbbox()
        assert panel.x0 >= 0.0
        assert legend.y1 <= panel.y0 + 1.0
        assert panel.y1 <= title.y0 + 1.0
        assert axis.get_window_extent().height > 300
