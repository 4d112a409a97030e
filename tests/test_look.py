"""Figures for papers: axes, sizes, names and scales are chosen, nothing overlaps, letters are letters."""

import itertools
import math
import warnings

import pytest
from matplotlib.figure import Figure

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.look import Look, chosen
from hpcopt.results.plots import draw_compare, draw_convergence
from hpcopt.results.ticks import log_ticks, tick_label
from tests.records import record

LONG = "choco-sgd compressor.fraction=0.01 gamma=auto error_feedback=ef21, a label that is long"


def trace(rate=0.1, rounds=30, seconds=0.3, every=1, **more):
    return [
        record(
            round=every * place,
            iteration=place,
            seconds=seconds * place,
            bytes=300_000 * place,
            work=2.0 * place,
            objective=0.1 + 0.6 * math.exp(-rate * place),
            grad_norm=math.exp(-rate * place),
            **more,
        )
        for place in range(rounds)
    ]


def curves(number, **more):
    names = ["gt", LONG, "$x_1$ & 50% #1", "deli_coco"]
    return [
        Curve(f"{names[k % 4]} {k}", [trace(0.05 + 0.02 * k, rounds=30 + 10 * (k % 4), **more)]) for k in range(number)
    ]


def drawn(given, goal=None, **choices):
    return draw_compare(given, None, "the problem", goal, chosen(**choices))


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"x": "bogus"}, "x: expected one of rounds, iterations, bytes, .*; got 'bogus'"),
        ({"y": "objective,up"}, "y: expected one of objective, suboptimality, .*; got 'up'"),
        ({"size": "0x3"}, "size: expected width and height in inches, each from 1 to 50, as in 3.3x2.5; got '0x3'"),
        ({"size": "3.3"}, "size: expected .*; got '3.3'"),
        ({"size": (3.3, math.nan)}, "size: expected .*; got '3.3xnan'"),
        ({"column": "triple"}, "column: expected one of single, double, text; got 'triple'"),
        ({"column": "single", "size": "3x3"}, "size and column: give one of them"),
        ({"log": "z"}, "log: expected one of x, y; got 'z'"),
        ({"log": "x", "linear": "x,y"}, "log and linear: x is in both"),
    ],
)
def test_a_choice_that_there_is_not_is_told_with_those_that_there_are(choices, told):
    with pytest.raises(InputError, match=told):
        chosen(**choices)


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"x": "slots"}, "x: b does not count slots; it counts rounds, iterations, bytes, messages, seconds, work"),
        ({"x": "messages"}, "x: messages: none in any of the runs"),
        ({"y": "kkt"}, "y: b does not measure kkt; it measures objective, mean_objective, worst_objective, grad_norm"),
        ({"y": "suboptimality"}, "y: suboptimality needs an optimum of the runs: problem.optimum"),
    ],
)
def test_an_axis_that_a_run_does_not_have_is_told_with_those_it_has(choices, told):
    with pytest.raises(InputError, match=told):
        drawn([Curve("a", [trace(slots=3, kkt=1.0)]), Curve("b", [trace()])], **choices)


def test_chosen_axes_are_panels_one_for_each_pair():
    figure = drawn([Curve("a", [trace(kkt=0.5)])], Goal(0.3, optimum=0.1), x="bytes,work", y=("suboptimality", "kkt"))
    assert [axis.get_xlabel() for axis in figure.axes] == ["MB sent", "passes over the data"] * 2
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["objective minus the optimum (0.1)", "largest residual"]
    assert list(figure.axes[1].get_lines()[0].get_xdata()) == [2.0 * place for place in range(30)]
    assert list(figure.axes[2].get_lines()[0].get_ydata()) == [0.5] * 30
    assert [len(axis.get_lines()) for axis in figure.axes] == [4, 4, 1, 1]  # the target is no line among residuals


def test_the_objective_itself_is_drawn_where_it_is_asked_for():
    (axis,) = drawn([Curve("a", [trace()])], Goal(0.3, optimum=0.1), x="rounds", y="objective").axes
    assert axis.get_ylabel() == "objective"
    assert axis.get_lines()[0].get_ydata()[0] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("kinds", "whose"),
    [
        ((None, None), ""),
        ((0.1, 0.1), ", mean model"),
        ((None, 0.1), ", of the mean model where nodes have their own"),
    ],
)
def test_the_axis_tells_whose_gradient_it_is(kinds, whose):
    given = [Curve("ab"[place], [trace(consensus=kind)]) for place, kind in enumerate(kinds)]
    (axis,) = drawn(given, x="rounds", y="grad_norm").axes
    assert axis.get_ylabel().replace("\n", " ") == f"norm of the gradient{whose}"


def test_scales_are_chosen_by_axis():
    figure = drawn([Curve("a", [trace()])], log="x,y")
    assert {(axis.get_xscale(), axis.get_yscale()) for axis in figure.axes} == {("symlog", "log")}
    longer = [Curve("a", [trace(rounds=300)]), Curve("b", [trace(rounds=10)])]
    figure = drawn(longer, Goal(optimum=0.1), linear=("x", "y"))
    assert {(axis.get_xscale(), axis.get_yscale()) for axis in figure.axes} == {("linear", "linear")}


@pytest.mark.parametrize(("title", "told"), [(None, "the problem"), ("none", ""), ("Mine", "Mine")])
def test_the_title_is_the_problem_or_chosen_or_none(title, told):
    assert drawn(curves(1), title=title).get_suptitle() == told


@pytest.mark.parametrize("low", [1e-9, 0.0123, 0.7, 9.99, 12345.0])
@pytest.mark.parametrize("factor", [1.001, 1.3, 2.5, 9.0, 40.0, 1e3, 1e12])
def test_a_logarithmic_axis_has_a_few_ticks_inside_it_told_apart_by_their_labels(low, factor):
    ticks = log_ticks(low, low * factor)
    assert 2 <= len(ticks) <= 8
    assert all(low * (1 - 1e-6) <= tick <= low * factor * (1 + 1e-6) for tick in ticks)
    assert len(set(map(tick_label, ticks))) == len(ticks)


@pytest.mark.parametrize(("rate", "least"), [(0.001, "0.695"), (0.03, "0.4"), (0.08, "0.2")])
def test_a_logarithmic_axis_of_less_than_a_decade_has_numbers_at_its_ticks(rate, least):
    (axis,) = drawn([Curve("a", [trace(rate)])], x="rounds", log="y").axes
    axis.figure.draw_without_rendering()
    low, high = axis.get_ylim()
    ticks = [tick for tick in (*axis.yaxis.get_major_ticks(), *axis.yaxis.get_minor_ticks()) if tick.label1.get_text()]
    inside = [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high]
    assert least in inside
    assert 3 <= len(inside) <= 7


def boxes_of(texts):
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


@pytest.mark.parametrize(
    ("number", "choices"),
    [
        (2, {}),
        (8, {"column": "single", "x": "seconds", "log": "x"}),
        (18, {"column": "double"}),
        (1, {"size": "2x2.4", "x": "rounds", "title": "none", "every": 30_000}),
        (2, {"column": "text", "y": "grad_norm,objective"}),
        (3, {"size": "3.3x3.5", "x": "bytes"}),
        (1, {"size": "2x2", "x": "rounds", "title": "none"}),
        (1, {"size": "2x2.2", "x": "rounds", "title": "none", "target": 0.241}),
    ],
)
def test_nothing_covers_anything_or_leaves_the_picture(number, choices):
    given = curves(number, every=choices.get("every", 1))
    goal = Goal(choices.get("target", 0.3), optimum=0.1)
    figure = drawn(given, goal, **{key: choices[key] for key in choices if key not in {"every", "target"}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that fails
        figure.draw_without_rendering()
    legend, whole = figure.legends[0].get_window_extent(), figure.bbox
    panels = [axis.get_window_extent() for axis in figure.axes]
    for axis, panel in zip(figure.axes, panels, strict=True):
        outer = axis.get_tightbbox()
        assert whole.x0 <= outer.x0 <= outer.x1 <= whole.x1 + 1
        assert legend.y1 <= outer.y0 + 1
        assert panel.height >= 0.5 * figure.dpi
        assert panel.width >= 0.8 * figure.dpi
        for label in boxes_of([axis.yaxis.label]):
            assert legend.y1 <= label.y0 <= label.y1 <= whole.y1
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            inside = [box for box in boxes_of(ticks) if outer.overlaps(box)]
            assert not any(one.overlaps(other) for one, other in itertools.combinations(inside, 2))
        rings = [line for line in axis.get_lines() if line.get_linestyle() == "None" and len(line.get_xdata())]
        assert all(ring.get_window_extent().x1 <= panel.x1 + 1 for ring in rings)
        if figure._suptitle is not None:
            assert outer.y1 <= figure._suptitle.get_window_extent().y0 + 1
    assert not any(one.overlaps(other) for one, other in itertools.combinations(panels, 2))
    assert 0 <= legend.x0 <= legend.x1 <= whole.x1
    assert legend.y0 >= 0


@pytest.mark.parametrize(("choices", "size"), [({"size": "4x3"}, (4, 3)), ({"column": "single"}, (3.3, None))])
def test_a_picture_has_the_size_that_was_asked_for(choices, size):
    width, height = drawn(curves(2), x="bytes", **choices).get_size_inches()
    assert width == size[0]
    assert height == (size[1] or height)


def test_a_size_too_low_for_the_legend_is_told_with_one_that_is_not():
    with pytest.raises(InputError, match=r"size: 3x2 is too low .* it takes at least 3x") as caught:
        drawn(curves(8), size="3x2")
    drawn(curves(8), size=str(caught.value).rpartition(" ")[2])


def test_letters_are_embedded_as_truetype_in_pdf_and_are_text_in_svg(tmp_path):
    for name in ("a.pdf", "a.svg"):
        draw_compare(curves(1), tmp_path / name, "the problem", None, chosen(column="single", x="bytes"))
    pdf, svg = (tmp_path / "a.pdf").read_bytes(), (tmp_path / "a.svg").read_text()
    assert b"/CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert [text for text in ("the problem", "MB sent") if f">{text}</text>" in svg] == ["the problem", "MB sent"]


def test_an_ideal_speed_up_is_drawn_over_seconds_from_the_fewest_nodes_of_a_solver():
    given = [Curve(f"{n} nodes", [trace(seconds=0.8 / n**0.5)], "gt", n) for n in (4, 1, 16)]
    other = Curve("other", [trace(seconds=5.0)], "dgd", 64)
    figure = draw_compare([*given, other], None, "", None, Look(speed_up=True))
    assert [len(axis.get_lines()) for axis in figure.axes] == [4, 4, 7]  # a line for the legend, too
    ideal = [line for line in figure.axes[2].get_lines()[4:] if len(line.get_xdata())]
    assert [line.get_xdata()[-1] for line in ideal] == pytest.approx([29 * 0.8 / 4, 29 * 0.8 / 16])
    assert ideal[0].get_color() == figure.axes[2].get_lines()[0].get_color()
    with pytest.raises(InputError, match="speed_up: takes runs of one solver on different numbers of nodes"):
        draw_compare([given[0], other], None, "", None, Look(speed_up=True))


def test_one_run_keeps_all_its_panels_in_another_size():
    figure = draw_convergence(trace(test_accuracy=0.9), None, "title", None, chosen(column="single"))
    assert len(figure.axes) == 5
    assert figure.get_size_inches()[0] == 3.3
    assert len({round(axis.get_position().x0, 2) for axis in figure.axes}) == 1


def written(folder, label="gt", records=(), **described):
    folder.mkdir(parents=True)
    tables = {"specification": {"data": {}, "problem": {}}, "data": {}, "nodes": 4, "cluster": "virtual"}
    folders.write_json(
        folder / folders.RUN,
        {
            "label": label,
            "solver": "gt",
            "problem": "ridge",
            "clock": "virtual",
            "result": {"status": "rounds"},
            **tables,
            **described,
        },
    )
    folders.write_trace(folder, records or trace())
    return folder


def told(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def shown(monkeypatch):
    """Return the list of what is drawn: curves, title, look."""
    pictures = []
    monkeypatch.setattr(
        "hpcopt.studies.overlay.draw_compare", lambda curves, _, title, __, look: pictures.append((curves, title, look))
    )
    return pictures


def names(shown):
    return [curve.label for curve in shown[-1][0]]


def test_the_options_of_the_command_line_make_the_look(tmp_path, shown):
    a, b = (str(written(tmp_path / name, name)) for name in "ab")
    options = ["--x", "bytes,work", "--y", "grad_norm", "--column", "double", "--log", "x", "--linear", "y"]
    assert main(["plot", a, b, *options, "--title", "none", "--label", f"{a}=$x$ = 1", "--speed-up"]) == 0
    assert names(shown) == ["$x$ = 1", "b"]
    (_, _, look) = shown[0]
    assert (look.x, look.y, look.width, look.log, look.linear) == (
        ("bytes", "work"),
        ("grad_norm",),
        7.0,
        ("x",),
        ("y",),
    )
    assert (look.title, look.speed_up) == ("", True)
    assert [(curve.solver, curve.nodes) for curve in shown[0][0]] == [("gt", 4), ("gt", 4)]


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--x", "bogus"], 2, "x: expected one of rounds, "),
        (["--size", "0x3"], 2, "size: expected width and height in inches"),
        (["--label", "a"], 2, "label: expected DIR=TEXT, a run's folder and its name in the legend; got 'a'"),
        (["--label", "other=A"], 1, "label: other is not among the runs that are shown: "),
        (["--timeline", "--x", "bytes"], 2, "--timeline: its picture takes none of the options for curves"),
        (["--speed-up"], 1, "speed_up: takes runs of one solver on different numbers of nodes"),
        (["--x", "slots"], 1, "x: gt does not count slots; it counts rounds"),
    ],
)
def test_wrong_options_are_told_in_a_line(tmp_path, capsys, options, code, expected):
    assert main(["plot", str(written(tmp_path / "a")), *options]) == code
    assert expected in told(capsys)


def test_a_folder_is_in_the_legend_only_where_names_would_be_equal(tmp_path, shown):
    a, b, c = (written(tmp_path / name, label) for name, label in (("a", "gt"), ("b", "gt"), ("c", "dgd")))
    assert main(["plot", str(a), str(c)]) == 0
    assert names(shown) == ["gt", "dgd"]
    assert main(["plot", str(a), str(b), str(c)]) == 0
    assert names(shown) == [f"gt ({a})", f"gt ({b})", "dgd"]
    d = written(tmp_path / "d", nodes=8)
    assert main(["plot", str(a), str(d)]) == 0
    assert names(shown) == ["gt [4 virtual nodes]", "gt [8 virtual nodes]"]


def test_clusters_that_differ_are_told_in_the_legend(tmp_path, shown):
    tables = {"data": {}, "problem": {}}
    slow = {"cluster": {"kind": "virtual", "latency": 1e-3, "stragglers": {"probability": 0.1}}}
    a = written(tmp_path / "a", specification={**tables, "cluster": {"kind": "virtual", "latency": 1e-5}})
    b = written(tmp_path / "b", specification={**tables, **slow})
    assert main(["plot", str(a), str(b)]) == 0
    assert names(shown) == ["gt [latency = 1e-05]", "gt [latency = 0.001, stragglers.probability = 0.1]"]


def test_a_topology_is_told_of_those_that_use_one_only(tmp_path, shown):
    def run(name, graph, **more):
        cluster = {"kind": "virtual", "topology": {"name": graph}}
        tables = {"data": {}, "problem": {}, "cluster": cluster}
        return str(written(tmp_path / name, name, specification=tables, **more))

    used = {"topology": "of some kind"}
    a, b, c = run("a", "ring", **used), run("b", "star", **used), run("c", "path")
    assert main(["plot", a, c]) == 0
    assert main(["plot", a, b, c]) == 0
    assert [[curve.label for curve in curves] for curves, *_ in shown] == [
        ["a", "c"],
        ["a [topology.name = ring]", "b [topology.name = star]", "c"],
    ]


def test_runs_inside_a_comparison_are_named_by_their_folders_there(tmp_path, shown):
    folders.write_json(written(tmp_path / "both" / "gt").parent / folders.INDEX, {"runs": ["gt"]})
    assert main(["plot", str(tmp_path / "both"), "--label", "gt=Gradient tracking"]) == 0
    assert names(shown) == ["Gradient tracking"]


def test_one_run_can_be_drawn_over_chosen_axes(tmp_path, shown):
    assert main(["plot", str(written(tmp_path / "a")), "--x", "work"]) == 0
    assert (names(shown), shown[0][2].x) == (["gt"], ("work",))


def test_a_figure_from_python_is_that_of_the_command_line_and_matplotlibs(tmp_path):
    a, b = written(tmp_path / "a", "gt"), written(tmp_path / "b", "dgd")
    figure = hpcopt.figure([a, str(b)], x="bytes", size=(4, 3), labels={str(a): "GT"}, output=tmp_path / "f.svg")
    assert isinstance(figure, Figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["GT", "dgd"]
    assert tuple(figure.get_size_inches()) == (4, 3)
    assert "MB sent" in (tmp_path / "f.svg").read_text()
    assert len(hpcopt.figure(a).axes) == 4
    for wrong, message in (
        ({"x": "bogus"}, "x: expected one of rounds"),
        ({"labels": {"c": "C"}}, "label: c is not among"),
        ({"runs": []}, "runs: expected at least one"),
        ({"output": tmp_path / "f.bogus"}, "f.bogus not drawn: .*not supported"),
    ):
        with pytest.raises(InputError, match=message):
            hpcopt.figure(**{"runs": a, **wrong})


def test_runs_without_a_folder_have_figures_too():
    tables = {"data": {"source": "least-squares", "rows": 40, "features": 3}, "problem": {"loss": "squared"}}
    solvers = [{"name": "giant"}, {"name": "lbfgs"}]
    comparison = hpcopt.compare({**tables, "solvers": solvers, "stop": {"rounds": 4, "target": 0.5}})
    figure = hpcopt.figure(comparison, x="rounds", labels={"giant": "G"})
    assert [text.get_text() for text in figure.legends[0].get_texts()][:3] == ["G", "lbfgs", "target 0.5"]
    assert figure.get_suptitle() == comparison.title
    assert hpcopt.figure(comparison.runs[0]).get_suptitle().startswith("giant\n")
    both = hpcopt.figure(comparison.runs, y="grad_norm")
    assert [text.get_text() for text in both.legends[0].get_texts()] == ["giant", "lbfgs"]
    first = hpcopt.figure(comparison.runs[0], x="rounds").legends[0].get_texts()
    assert [text.get_text() for text in first] == ["giant", "target 0.5", "first at the target"]
    with pytest.raises(InputError, match="label: sgd is not among the runs that are shown: giant, lbfgs"):
        hpcopt.figure(comparison, labels={"sgd": "S"})
