"""Pictures and tables: that the numbers are the trace's, that axes say what they show, that odd runs are no trouble."""

import csv
import io
import math
import sys
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure
from rich.console import Console

from hpcopt.errors import MissingLibraryError
from hpcopt.results import plots
from hpcopt.results.plots import draw_compare, draw_convergence, height_for
from hpcopt.results.record import Record
from hpcopt.results.tables import COLUMNS, compare_rows, compare_table, first_at, summary_table, write_csv


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
    message = "used up its rounds"
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
    """Return a function that draws, and gives the figure and the size in pixels of the picture written."""
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


def curve(axis, place=0):
    return axis.get_lines()[place]


def test_a_comparison_has_the_three_axes(drawn):
    figure = drawn(draw_compare, [("a", trace(4.0, 2.0, 1.0)), ("b", trace(4.0, 3.0, 2.0))], "title")
    assert [axis.get_xlabel() for axis in figure.axes] == ["rounds", "kB sent", "seconds (virtual clock)"]
    assert [list(curve(axis).get_xdata()) for axis in figure.axes] == [[0, 2, 4], [0, 1, 2], [0, 0.5, 1]]


@pytest.mark.parametrize(("sent", "unit"), [(100, "bytes"), (5e4, "kB"), (1e6, "MB"), (3e9, "GB")])
def test_bytes_are_told_in_the_unit_that_suits_them(drawn, sent, unit):
    figure = drawn(draw_compare, [("a", trace(2.0, 1.0, sent=sent))], "title")
    assert figure.axes[1].get_xlabel() == f"{unit} sent"
    assert curve(figure.axes[1]).get_xdata()[-1] < 1000


def test_the_clock_is_said_on_the_axis(drawn):
    figure = drawn(draw_compare, [("a", trace(2.0, 1.0, clock="wall"))], "title")
    assert figure.axes[2].get_xlabel() == "seconds (wall clock)"


def test_every_run_is_in_the_legend(drawn):
    names = [f"solver {place}" for place in range(10)]
    figure = drawn(draw_compare, [(name, trace(3.0, 2.0, 1.0)) for name in names], "title")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines()}
    assert len(looks) == len(names)


@pytest.mark.parametrize(("rounds", "scale"), [(10, "linear"), (200, "symlog")])
def test_runs_of_very_different_length_share_a_logarithmic_axis(drawn, rounds, scale):
    runs = [("short", trace(3.0, 2.0)), ("long", trace(*(3.0 / (1 + place) for place in range(rounds + 1))))]
    figure = drawn(draw_compare, runs, "title")
    assert figure.axes[0].get_xscale() == scale


def test_what_is_drawn_upwards_is_said_on_the_axis(drawn):
    rows = trace(*(0.5 + 4.0 * 0.1**place for place in range(6)))
    by_optimum = drawn(draw_convergence, rows, "title", optimum=0.5).axes[0]
    assert by_optimum.get_ylabel() == "objective - optimum (0.5)"
    assert curve(by_optimum).get_ydata()[2] == pytest.approx(0.04)
    by_lowest = drawn(draw_convergence, rows, "title").axes[0]
    assert by_lowest.get_ylabel() == "objective - lowest seen (0.50004)"
    heights = curve(by_lowest).get_ydata()
    assert heights[-1] == pytest.approx(heights[-2] / 2)  # the lowest itself, 0 above itself, lies at the bottom
    assert by_lowest.get_yscale() == "log"


@pytest.mark.parametrize(
    ("objectives", "target", "optimum", "reference"),
    [
        ((4.0, 1.0, 0.6), None, None, 0.0),  # no decades to show
        ((4.0, 1.0, 0.501, 0.5), 0.6, None, 0.5),
        ((4.0, 1.0, 0.501, 0.5), 0.4, None, 0.0),  # an unreached target would lie below the axis
        ((4.0, 1.0, 0.501, 0.5), None, 0.7, 0.5),  # not the optimum: a run is below it
        ((4.0, 1.0, 0.6), None, 0.5, 0.5),
        ((math.nan,), None, None, 0.0),
    ],
)
def test_the_reference_is_the_one_that_tells_most(objectives, target, optimum, reference):
    assert height_for([("a", trace(*objectives))], target, optimum).reference == reference


def test_the_target_is_a_line_and_a_ring_where_it_is_first_reached(drawn):
    figure = drawn(draw_compare, [("a", trace(4.0, 1.0, 0.9, 0.8, -1.0, -2.0))], "title", target=1.0)
    lines = curve(figure.axes[0]), curve(figure.axes[0], 1), curve(figure.axes[0], 2)
    assert (list(lines[1].get_xdata()), list(lines[1].get_ydata())) == ([2.0], [1.0])
    assert list(lines[2].get_ydata()) == [1.0, 1.0]


@pytest.mark.parametrize("end", [math.inf, math.nan, 1e300])
def test_a_run_that_diverges_leaves_the_others_readable(drawn, end):
    figure = drawn(draw_compare, [("bad", trace(4.0, 400.0, end)), ("good", trace(4.0, 2.0, 1.0))], "title")
    low, high = figure.axes[0].get_ylim()
    assert low < 1.0
    assert 4.0 < high < 40.0
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bad (off the scale)", "good"]


@pytest.mark.parametrize(
    "rows", [trace(4.0), trace(4.0, 2.0, sent=0), trace(0.0, 0.0), trace(math.inf, math.inf), trace(-1.0, -2.0)]
)
def test_odd_traces_are_drawn(drawn, rows):
    drawn(draw_convergence, rows, "one run", target=1.0)
    drawn(draw_compare, [("a", rows), ("b", rows)], "several", target=1.0)


@pytest.mark.parametrize(
    ("more", "below"),
    [
        ({}, ["norm of the gradient"]),
        ({"test_accuracy": 0.9}, ["norm of the gradient", "test accuracy"]),
        ({"consensus": 0.1}, ["norm of the gradient", "rms distance to the mean model"]),
    ],
)
def test_one_run_shows_its_objective_three_times_and_what_else_there_is(drawn, more, below):
    figure = drawn(draw_convergence, trace(4.0, 2.0, **more), "title")
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["rounds", "kB sent", "seconds (virtual clock)"]
    assert [axis.get_ylabel() for axis in figure.axes[3:]] == below
    assert "2 rounds, 1 kB sent, 0.5 seconds (virtual clock)" in figure.get_suptitle()


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'hpcopt\[plot\]'"):
        draw_convergence(trace(1.0), tmp_path / "a.png", "title")


def test_drawing_leaves_the_callers_pyplot_alone(drawn):
    drawn(draw_compare, [("a", trace(2.0, 1.0))], "title")
    assert not hasattr(plots, "pyplot")
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_the_target_is_reached_at_the_first_row_that_is_as_low():
    records = trace(4.0, 1.0, 0.5, 0.7)
    assert first_at(records, 1.0) is records[1]
    assert first_at(records, 0.4) is None
    assert first_at(trace(math.nan, math.inf, 0.5), 0.6).round == 4


def test_a_comparison_tells_what_the_target_cost_and_what_the_run_cost():
    fast, slow = finished("fast", trace(4.0, 0.9, 0.5), "target"), finished("slow", trace(4.0, 3.0, 2.0))
    first, second = compare_rows([fast, slow], target=1.0)
    assert tuple(first) == COLUMNS
    assert (first["reached"], first["rounds"], first["seconds"], first["bytes"]) == (True, 2, 0.5, 1000)
    assert (first["total_rounds"], first["total_seconds"], first["total_bytes"]) == (4, 1.0, 2000)
    assert (second["reached"], second["rounds"], second["seconds"], second["bytes"]) == (False, None, None, None)
    assert second["total_rounds"] == 4
    assert (first["objective"], first["work"], first["status"]) == (0.5, 6.0, "target")


def test_without_a_target_the_totals_are_the_cost():
    (row,) = compare_rows([finished("a", trace(4.0, 2.0))])
    assert row["reached"] is None
    assert (row["rounds"], row["seconds"], row["bytes"]) == (2, 0.5, 1000)


def test_the_csv_holds_full_numbers_and_lower_case_truth(tmp_path):
    runs = [finished("a, b", trace(4.0, 1 / 3), test_accuracy=0.875), finished("c", trace(4.0, 2.0))]
    write_csv(compare_rows(runs, target=1.0), tmp_path / "compare.csv")
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
    text = shown(compare_table(compare_rows(runs, target=1.0), target=1.0, title="a [title]"), width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    for word in ("a [title]", "not reached", "0.500000", "0.8400", "at most 1", "giant"):
        assert word in text
    assert "[bold]" in text.replace("\n", "")


def test_a_diverged_run_is_told_as_such():
    text = shown(compare_table(compare_rows([finished("sgd", trace(4.0, 4.0), "diverged")])))
    assert "diverged" in text


def test_the_summary_of_a_run_says_all_that_counts():
    rows = trace(4.0, 0.5, sent=1_500_000)
    text = shown(summary_table(finished("a", rows, test_accuracy=0.9).result, "wall", {"picture": "runs/[x]/c.png"}))
    for word in ("used up its rounds", "0.5", "1.5 MB", "0.5 (wall clock)", "0.9000", "runs/[x]/c.png"):
        assert word in text
    assert "test error" not in text
