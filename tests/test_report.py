"""`hpcopt report`: one file about finished runs or a comparison."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.results.columns import Column, Shown
from hpcopt.results.document import Commands, Heading, Paragraph, Picture, Table, as_markdown, in_html, side_by_side
from hpcopt.runs import execute
from hpcopt.studies import compare
from hpcopt.studies.operations import Operations
from hpcopt.studies.overlay import Overlay

TABLES = {"data": {"source": "logistic", "rows": 60}, "stop": {"rounds": 6}, "cluster": {"workers": 2}}
PNG = b"\x89PNG\r\n\x1a\n"
ODD = '<b>&amp; "x" | `y` *z* $m$ [a](b)\u202e\n# q'


class Page(HTMLParser):
    """What a browser shows: the texts, the tags and the pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.tags, self.pictures = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the runs `one` and `two`, and the comparison `both`, with a grid and two seeds."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(execute, "_draw", lambda *_: None)
        patch.setattr(compare, "_draw", lambda *_: None)
        hpcopt.run({**TABLES, "solver": {"name": "giant"}}, folder="one")
        hpcopt.run({**TABLES, "solver": {"name": "newton-cg"}, "cluster": {"workers": 3}}, folder="two")
        sgd = {"name": "sgd", "batch": 4, "step_size": [0.05, 0.1]}
        hpcopt.compare({**TABLES, "seeds": 2, "solvers": [{"name": "giant"}, sgd]}, folder="both")
    return place


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """A working folder with a copy of them."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch):
    """Put a file in the place of each picture."""
    monkeypatch.setattr(Overlay, "draw", lambda _, picture, __: picture.write_bytes(PNG))
    monkeypatch.setattr(Operations, "draw", lambda _, picture, __: picture.write_bytes(PNG))


def change(path, **keys):
    described = json.loads(Path(path, "run.json").read_text())
    Path(path, "run.json").write_text(json.dumps({**described, **keys}))


def test_a_page_holds_everything_and_asks_for_no_other_file(folder, capsys):
    assert main(["report", "both"]) == 0
    assert capsys.readouterr().out == "report.html\n"
    text = Path("report.html").read_text()
    page = Page(text)
    assert len(page.pictures) == 2
    for picture in page.pictures:
        kind, _, coded = picture["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(coded).startswith(PNG)
    assert "http" not in text
    assert {"Results", "Environment", "Where the time went", "Operations of the nodes", "To run it again"} <= set(
        page.texts
    )
    rows = hpcopt.load("both").rows()
    assert f"{rows[0]['objective']:#.6g}" in page.texts
    assert {"giant seed=0", "giant seed=1", "step_size=0.05", "best"} <= set(page.texts)
    described = json.loads(Path("both/giant/seed=0/run.json").read_text())
    assert {described["data"]["checksum"], described["environment"]["hosts"][0]["cpu"]} <= set(page.texts)
    assert any("hpcopt rerun both/giant/seed=0\nhpcopt rerun both/giant/seed=1\n" in told for told in page.texts)
    assert sorted(path.name for path in folder.iterdir()) == ["both", "one", "report.html", "two"]


def test_markdown_has_its_picture_beside_it(folder, capsys):
    assert main(["report", "one", "two", "-o", "two runs.md"]) == 0
    files = "two runs.md\ntwo runs.png\ntwo runs-operations.png\n"
    assert capsys.readouterr().out == files
    text = Path("two runs.md").read_text()
    for name in ("two runs.png", "two runs-operations.png"):
        assert f"]({name.replace(' ', '%20')})" in text
        assert Path(name).read_bytes().startswith(PNG)
    assert re.search(r"^\| sum \| world \| giant .* \| 6 \| 1 \| .* \| 12 \| 0.00163 \| 136 \|$", text, re.MULTILINE)
    assert main(["report", "one", "two", "-o", "two runs.md"]) == 0
    assert capsys.readouterr().out == files
    assert r"| key | giant \[2 virtual nodes\] | newton-cg \[3 virtual nodes\] |" in text
    assert "| cluster.workers | 2 | 3 |" in text
    assert "The runs have different numbers of nodes." in text


def test_names_are_shown_to_the_letter_and_are_never_markup(tmp_path):
    (tmp_path / "p.png").write_bytes(PNG)
    table = Table([Column(ODD, [Shown(ODD), Shown(ODD, is_best=True)], is_number=False)], ODD)
    blocks = [Heading(ODD), Paragraph(ODD), Commands([ODD]), Picture(tmp_path / "p.png", ODD), table]
    page = Page(in_html(ODD, blocks))
    shown = '<b>&amp; "x" | `y` *z* $m$ [a](b) # q'
    assert page.texts.count(shown) == 9
    assert page.pictures[0]["alt"] == shown
    assert page.tags.count("b") == 1  # of the best cell
    *lines, mark = [line for line in as_markdown(ODD, blocks).splitlines() if line and not line.startswith("    ")]
    assert mark == "<!-- written by hpcopt report -->"
    assert not any(letter in line.replace("\\" + letter, "") for line in lines for letter in "<`$")
    assert [line[:2] for line in lines] == ["# ", "##", r"\<", "![", "| ", "| ", "| ", "| ", r"\<"]


def test_what_runs_have_in_common_is_told_once():
    same, other = side_by_side(["a", "b"], [{"k": "1", "l": "2"}, {"k": "1", "m": "3"}])
    assert [[cell.text for cell in column.cells] for column in same.columns] == [["k"], ["1"]]
    assert [[cell.text for cell in column.cells] for column in other.columns] == [["l", "m"], ["2", "-"], ["-", "3"]]


def test_files_that_are_no_report_are_kept(folder, capsys, undrawn):
    for name in ("mine.md", "mine.html", "run.png", "more-operations.png"):
        Path(name).write_text("mine")
    for output, kept in (
        ("mine.md", "mine.md: is there already and is no report of hpcopt"),
        ("mine.html", "mine.html: is there already and is no report of hpcopt"),
        ("run.md", "run.png: is there already, and run.md would have a picture of that name"),
        ("more.md", "more-operations.png: is there already, and more.md would have a picture of that name"),
    ):
        assert main(["report", "one", "-o", output]) == 1
        told = capsys.readouterr().err
        assert told == f"hpcopt: error: {kept}; give --overwrite to replace it, or another file\n"
    assert {Path(name).read_text() for name in ("mine.md", "mine.html", "run.png", "more-operations.png")} == {"mine"}
    assert not Path("run.md").exists()
    assert main(["report", "one", "-o", "run.md", "--overwrite"]) == 0
    assert Path("run.png").read_bytes() == PNG


def test_operations_are_printed_without_a_file(folder, capsys):
    before = sorted(folder.rglob("*"))
    assert main(["report", "one", "two", "--operations"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"sum +world +giant \[2 virtual nodes\] +6 +1 .* 12 +0.00163 +136 ", told)
    assert re.search(r"compute +gradient +newton-cg \[3 virtual nodes\] ", told)
    assert sorted(folder.rglob("*")) == before
    assert main(["report", "one", "--operations", "-o", "r.md"]) == 2
    Path("one/operations.csv").unlink()
    assert main(["report", "one", "--operations"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("hpcopt: error: one: no table of operations; a run ")
    assert main(["report", "one", "-o", "r.md"]) == 0
    assert "Without a table of operations: giant; " in Path("r.md").read_text()


def test_a_part_of_a_comparison_is_shown_alone(folder, capsys, undrawn, monkeypatch):
    assert main(["report", "both/giant", "-o", "r.md"]) == 0
    text = Path("r.md").read_text()
    assert "rerun both/giant/seed=1" in text
    assert "sgd" not in text
    assert len(hpcopt.load("both/giant").runs) == 2
    monkeypatch.chdir("both/sgd")
    assert main(["plot", "."]) == 0
    assert Path("compare.png").exists()


def test_different_problems_are_refused_or_told(folder, capsys, undrawn):
    hpcopt.run({**TABLES, "solver": {"name": "giant"}, "problem": {"l2": 0.5}}, folder="other")
    assert main(["report", "one", "other"]) == 1
    assert "one and other are of different problems: problem.l2 is " in capsys.readouterr().err
    assert not Path("report.html").exists()
    assert main(["report", "one", "other", "--force", "-o", "r.md"]) == 0
    assert "These runs are of different problems: problem.l2 is 0.01" in Path("r.md").read_text()


def test_clocks_are_told_and_ranks_are_started_again(folder, undrawn):
    spread = {"solve": {"seconds": {"min": 1.0, "median": 1.5, "max": 2.0}, "peak_memory": {"max": 5e6}}}
    change("two", cluster="mpi", clock="wall", phases={"solve": 2.0}, phases_over_ranks=spread)
    assert main(["report", "one", "two", "-o", "r.md"]) == 0
    text = Path("r.md").read_text()
    assert r"different clocks. giant \[2 virtual nodes, virtual clock\]: virtual; newton-cg \[3 MPI ranks, " in text
    assert "    mpiexec -n 3 hpcopt rerun two\n" in text
    assert "| 1 - 2 |" in text
    assert "| 5 |" in text


def test_of_an_interrupted_comparison_the_others_are_named(folder, undrawn):
    change("both/giant/seed=1", result=None)
    shutil.rmtree("both/sgd/step_size=0.1/seed=1")
    assert main(["report", "both", "-o", "r.md"]) == 0
    text = Path("r.md").read_text()
    assert "they have not finished:" in text
    assert "both/giant/seed=1." in text
    assert "rerun both/giant/seed=1" not in text


def test_runs_of_earlier_versions_are_reported(folder, undrawn):
    described = json.loads(Path("one/run.json").read_text())
    for key in ("environment", "phases_over_ranks", "phases"):
        del described[key]
    Path("one/run.json").write_text(json.dumps(described))
    assert main(["report", "one", "-o", "r.md"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["."], ".: no run here (there is neither run.json nor compare.json in it)"),
        (["one", "-o", "r.pdf"], "r.pdf: a report's suffix is one of .html, .md; got '.pdf'"),
        (["one", "-o", "report"], "report: a report's suffix is one of .html, .md; got no suffix"),
        (["one", "-o", "nowhere/r.md"], "nowhere/r.md: there is no folder nowhere"),
        (["one", "-o", "place.md"], "place.md: is a folder; give the name of a file"),
        (["one", "-o", "link.md"], "link.md: is the same file as one/run.json, an input; give the output another name"),
        (["new"], "new: the run has not finished; plot shows what it has recorded"),
        (["odd"], "odd/run.json: damaged: environment.hosts.0: expected a table, got 3"),
        (["cut"], "cut/run.json: damaged: line 2, column 1: Expecting property name enclosed in double quotes"),
    ],
)
def test_bad_input_is_told_in_one_line_and_nothing_is_written(folder, arguments, told, capsys):
    Path("place.md").mkdir()
    Path("link.md").symlink_to("one/run.json")
    for name in ("new", "odd", "cut"):
        shutil.copytree("one", name)
    change("new", result=None)
    change("odd", environment={"hosts": [3]})
    Path("cut/run.json").write_text("{\n")
    before = sorted(folder.rglob("*"))
    assert main(["report", *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"hpcopt: error: {told}")
    assert sorted(folder.rglob("*")) == before
