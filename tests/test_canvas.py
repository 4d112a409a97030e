"""The basis of every picture: unusual names and environments; a failure to draw never costs a result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.results.canvas import NotDrawnError, drawing, entitle, explain, new_picture, plain, shortened
from tests.launch import RANKS, hpcopt_ranks, requires_mpi

PNG = b"\x89PNG"
RIDGE = {
    "data": {"source": "least-squares", "rows": 40, "features": 3},
    "problem": {"loss": "squared"},
    "stop": {"rounds": 3},
}
ODD_NAMES = [
    "ba$$in_$x_$",
    "$\\frac{a}{$",
    "_hidden^{2}_",
    "100 % of $5",
    "back\\slash \\$ and $",
    "new\nline\ttab\x1b[31m",
    "\udcff undecodable",
    "Ωmega 数据 \N{PILE OF POO}",
    "x" * 500,
    "W" * 80,
    "word " * 200,
    "",
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
@pytest.mark.filterwarnings("error")
def test_names_enter_pictures_to_the_letter_and_within_the_edges(name, tmp_path):
    with new_picture(tmp_path / "a.png", 13.0, 4.0) as figure:
        lines = figure.subplots().plot([1.0, 2.0], [1.0, 2.0]) * 3
        explain(figure, lines, [name] * 3)
        entitle(figure, f"{name}: {name}\n{name}")
        figure.draw_without_rendering()
        box = figure.bbox
        for text in (figure._suptitle, *figure.legends[0].get_texts()):
            extent = text.get_window_extent()
            assert box.x0 <= extent.x0 <= extent.x1 <= box.x1
            assert box.y0 <= extent.y0 <= extent.y1 <= box.y1
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert len(figure.legends[0].get_texts()) == 3


@pytest.mark.parametrize("name", ["$x$", "a $ b", "\\$", "_^{}", "\\alpha", "$"])
def test_a_name_is_no_formula(name):
    text = pytest.importorskip("matplotlib.text")
    shown, math = text.Text(0, 0, "")._preprocess_math(plain(name))
    assert (shown, math) == (name, False)


def test_long_names_keep_both_ends():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcd...ijk"


def test_the_users_settings_and_pictures_are_left_alone_and_have_no_say(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40.0, "axes.facecolor": "black"}):
        with new_picture(tmp_path / "a.png", 4.0, 3.0) as figure:
            axis = figure.subplots()
            entitle(figure, "title")
        assert matplotlib.rcParams["text.usetex"]
    assert axis.get_facecolor() == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "tkagg", ""])
def test_the_backend_of_the_environment_does_not_matter(backend, tmp_path):
    program = (
        "import os; from pathlib import Path; from hpcopt.results.canvas import new_picture\n"
        "with new_picture(Path('a.png'), 2.0, 2.0): pass\n"
        "print(os.environ['MPLBACKEND'])"
    )
    root = str(Path(hpcopt.__file__).parent.parent)
    env = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, backend), done.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (b"text.usetex: True\nfont.family: none\n", None),
        (b"\xff\xfe", "matplotlib cannot be imported, check its settings (matplotlibrc): UnicodeDecodeError: "),
    ],
)
def test_plot_starts_matplotlib_with_any_backend_and_says_in_a_line_where_it_does_not(settings, told, tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(settings)
    root = str(Path(hpcopt.__file__).parent.parent)
    program = "import sys; from hpcopt.cli.main import main; sys.exit(main(['plot', 'none', '-o', 'a.png']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MPLBACKEND": "nonsense", "PYTHONPATH": root},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"hpcopt: error: {told or 'none: no run here'}")


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, MemoryError, RecursionError])
def test_whatever_fails_in_drawing_is_one_line(kind, tmp_path):
    with pytest.raises(NotDrawnError) as caught, drawing(tmp_path / "a.png"):
        raise kind("two\nlines " * 100)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / 'a.png'} not drawn: {kind.__name__}: ")
    assert len(line) < 400


def test_a_picture_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(NotDrawnError), drawing(path), new_picture(path, 2.0, 2.0):
        raise ValueError
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.fixture
def no_picture(monkeypatch):
    """Make every picture fail with a library's exception."""

    def fail(*_, **__):
        raise RuntimeError("the drawing\nfailed")

    for module in ("page", "topology"):
        monkeypatch.setattr(f"hpcopt.results.{module}.entitle", fail)


@pytest.mark.usefixtures("no_picture")
def test_a_run_and_a_comparison_keep_all_but_the_picture_that_fails(tmp_path, capsys):
    networked = {**RIDGE, "cluster": {"kind": "virtual", "workers": 3}}
    solvers = [{"name": "dgd", "step_size": 0.1}, {"name": "giant"}]
    run = hpcopt.run({**networked, "solver": solvers[0]}, folder=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["result"]["rounds"] == run.result["rounds"] == 3
    assert (tmp_path / "run" / "model.npz").exists()
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"hpcopt: {tmp_path / 'run' / name} not drawn: RuntimeError: the drawing failed"
        for name in ("convergence.png", "topology.png")
    ]
    hpcopt.compare({**networked, "solvers": solvers}, folder=tmp_path / "both")
    assert (tmp_path / "both" / "compare.csv").read_text().count("\n") == 3
    assert "compare.png not drawn" in capsys.readouterr().err.splitlines()[-1]
    assert main(["plot", str(tmp_path / "run")]) == 1
    assert "not drawn" in capsys.readouterr().err


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n == 2])
def test_a_file_named_like_a_formula_on_ranks_with_a_notebooks_backend(ranks, tmp_path):
    name = "ba$$in_$x_$.svm"
    (tmp_path / name).write_text("".join(f"{(-1) ** i} 1:{i % 3} 2:{i % 4}\n" for i in range(12)))
    (tmp_path / "a.toml").write_text(
        f'[data]\npath = "{name}"\n[problem]\nloss = "logistic"\n[solver]\nname = "giant"\n[stop]\nrounds = 6\n'
    )
    done = hpcopt_ranks(
        ranks, "run", "a.toml", cwd=tmp_path, env={"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "runs" / "a" / "run.json").read_text())["result"]["rounds"] == 6
    assert (tmp_path / "runs" / "a" / "convergence.png").read_bytes().startswith(PNG)
