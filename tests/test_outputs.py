"""Outputs are checked before the work, never replace inputs, and keep a run's results whatever happens."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.models.model import load
from hpcopt.outputs import check_apart, check_file, check_folder
from hpcopt.results import folder as folders
from hpcopt.runs.recorder import Recorder
from tests.launch import RANKS, python_ranks, requires_mpi

ROWS = "+1 1:0.5 2:1\n-1 1:-1 3:2\n+1 2:1\n-1 3:1\n+1 1:2\n-1 2:-1 3:0.5\n"
SPECIFICATION = """
[data]
path = "d.svm"
[problem]
loss = "logistic"
[solver]
name = "sgd"
step_size = 0.1
[stop]
rounds = 20
"""
MANY = SPECIFICATION.replace("[solver]", "[[solvers]]")
FAILING = '''
from dataclasses import dataclass

from hpcopt.solvers.base import register
from hpcopt.solvers.sgd import SGD


@register("failing")
@dataclass(frozen=True, kw_only=True)
class Failing(SGD):
    """Fails in its third iteration."""

    def rounds(self, node, f, s):
        for count, s in enumerate(super().rounds(node, f, s)):
            if count == 2:
                raise ZeroDivisionError("a slip")
            yield s
'''
FAILS = '{name="failing", file="failing.py", step_size=0.1}'
NUMBERS = {
    "data": {"source": "least-squares", "rows": 60, "features": 4},
    "problem": {"loss": "squared", "l2": 0.1},
    "cluster": {"kind": "virtual", "workers": 3},
    "stop": {"rounds": 8},
}
GOSSIP = {**NUMBERS, "solver": {"name": "dgd", "step_size": 0.05}, "output": {"timeline": True}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with rows, a specification and an external solver."""
    monkeypatch.chdir(tmp_path)
    Path("d.svm").write_text(ROWS)
    Path("s.toml").write_text(SPECIFICATION)
    Path("many.toml").write_text(MANY)
    Path("failing.py").write_text(FAILING)
    return tmp_path


def refused(arguments, capsys) -> str:
    """Return the one-line error of the command line for the arguments."""
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("hpcopt: error: ")
    assert told.err.count("\n") == 1
    return told.err.removeprefix("hpcopt: error: ")


# Checked before the work: none of the inputs of these commands exist.
VERBS = {
    "fit": ["fit", "none.svm", "-o", "{}.npz"],
    "predict": ["predict", "none.npz", "none.svm", "-o", "{}.txt"],
    "plot": ["plot", "none", "-o", "{}.png"],
    "topology": ["topology", "file", "--nodes", "3", "--set", "path=none", "-o", "{}.png"],
    "bench": ["bench", "kernels", "--json", "{}.json"],
    "check": ["check", "none.py", "--json", "{}.json"],
    "init": ["init", "{}.toml"],
    "run": ["run", "s.toml", "--set", "data.path=none", "--out", "{}"],
    "compare": ["compare", "many.toml", "--set", "data.path=none", "--out", "{}"],
}
FILES = [verb for verb in VERBS if verb not in {"run", "compare"}]


def asked(verb, name):
    arguments = [argument.format(name) for argument in VERBS[verb]]
    return arguments, arguments[-1]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("verb", VERBS)
def test_a_place_that_takes_no_files_is_refused_before_anything_is_read(verb, code, monkeypatch, capsys):
    def refuse(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    arguments, output = asked(verb, "out")
    told = refused(arguments, capsys)
    assert told.startswith(f"{output}: the folder {'.' if verb in FILES else Path.cwd()} cannot be written to ")
    assert os.strerror(code) in told


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", VERBS)
def test_a_name_that_is_too_long_is_refused_before_anything_is_read(verb, capsys):
    arguments, output = asked(verb, "n" * 300)
    assert refused(arguments, capsys).startswith(f"{output}: File name too long")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", VERBS)
def test_a_link_that_leads_nowhere_is_refused_before_anything_is_read(verb, capsys):
    arguments, output = asked(verb, "out")
    Path(output).symlink_to("gone/away")
    wanted = f"there is no folder {Path('gone').resolve()}" if verb in FILES else "is a broken link"
    assert refused(arguments, capsys).startswith(f"{output}: {wanted}")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", VERBS)
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_read(verb, capsys):
    arguments, output = asked(verb, "d.svm/out")
    wanted = "there is no folder d.svm" if verb in FILES else f"{Path('d.svm').resolve()} is a file"
    assert refused(arguments, capsys).startswith(f"{output}: {wanted}")


@pytest.mark.parametrize("check", [check_file, check_folder])
def test_a_name_with_a_null_character_is_refused(check):
    with pytest.raises(InputError, match="not a valid file name"):
        check(Path("a\0b"))


def test_a_ring_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="a: is a broken link"):
        check_file(tmp_path / "a")


@pytest.mark.usefixtures("here")
def test_a_folder_in_the_place_of_a_runs_file_is_refused(capsys):
    Path("out/model.npz").mkdir(parents=True)
    assert "out/model.npz: is a folder" in refused(["run", "s.toml", "--out", "out", "--overwrite"], capsys)


@pytest.mark.usefixtures("here")
def test_a_run_in_the_folder_of_one_solver_keeps_a_comparison_from_its_place(capsys):
    Path("out/sgd").mkdir(parents=True)
    Path("out/sgd/run.json").write_text("{}")
    assert "out/sgd: holds another run" in refused(["compare", "many.toml", "--out", "out"], capsys)
    assert not Path("out/compare.json").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("label", ["x" * 80, "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 80, "\N{GOTHIC LETTER AHSA}" * 80])
def test_any_label_becomes_a_folder(label):
    assert main(["compare", "many.toml", "--set", f'solvers=[{{name="sgd", step_size=0.1, label="{label}"}}]']) == 0
    assert len(list(Path("runs/many").glob("*/model.npz"))) == 1


@pytest.mark.parametrize("name", ["..", "../other", "", "."])
def test_no_file_outside_a_comparison_is_removed_with_it(name, tmp_path):
    (tmp_path / "run.json").write_text("mine")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "compare.json").write_text(json.dumps({"runs": [name]}))
    with pytest.raises(InputError, match=r"compare\.json: damaged"):
        folders.listed(tmp_path / "both")
    folders.clear(tmp_path / "both")
    assert not (tmp_path / "both" / "compare.json").exists()
    assert (tmp_path / "run.json").read_text() == "mine"


def test_what_a_killed_job_had_not_finished_goes_with_its_run(tmp_path):
    (tmp_path / ".hpcopt-0123456789ab.part").write_text("half")
    (tmp_path / ".mine.part").write_text("mine")
    folders.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".mine.part"]


# An output is never an input.
INPUTS = {
    "fit": (["fit", "d.svm", "-o", "d.svm"], "d.svm"),
    "fit by a link": (["fit", "d.svm", "-o", "link"], "d.svm"),
    "fit by a hard link": (["fit", "d.svm", "-o", "hard"], "d.svm"),
    "fit on its start": (["fit", "d.svm", "-o", "start.npy", "--set", "problem.start=start.npy"], "start.npy"),
    "fit on its test rows": (["fit", "d.svm", "-o", "t.svm", "--set", "data.test=t.svm"], "t.svm"),
    "fit on its solver": (
        ["fit", "d.svm", "-o", "failing.py", "--solver", "failing", "--solver-file", "failing.py"],
        "failing.py",
    ),
    "fit on its labels": (["fit", "images-idx3-ubyte", "-o", "labels-idx1-ubyte"], "labels-idx1-ubyte"),
    "predict on its model": (["predict", "m.npz", "d.svm", "-o", "m.npz"], "m.npz"),
    "predict on its rows": (["predict", "m.npz", "d.svm", "-o", "./d.svm"], "d.svm"),
    "check": (["check", "failing.py", "--json", "failing.py"], "failing.py"),
    "topology": (["topology", "file", "--nodes", "3", "--set", "path=e.png", "-o", "e.png"], "e.png"),
    "plot": (["plot", "old", "-o", "trace.png"], "old/trace.jsonl"),
    "run on its rows": (["run", "s.toml", "--set", "data.path=o/edges.csv", "--out", "o"], "o/edges.csv"),
    "run on its start": (["run", "s.toml", "--set", "problem.start=start.npy", "--out", "o"], "start.npy"),
    "run on its specification": (["run", "o/run.json", "--set", "data.path=d.svm", "--out", "o"], "o/run.json"),
    "run on its network": (
        ["run", "s.toml", "--out", "o", "--set", 'cluster.topology={name="file", path="o/edges.csv"}', "--virtual=3"],
        "o/edges.csv",
    ),
    "compare on a run of it": (["compare", "many.toml", "--set", "data.path=o/sgd/trace.jsonl", "--out", "o"], "o/sgd"),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("case", INPUTS)
def test_an_output_that_is_an_input_is_refused_and_left_alone(case, capsys):
    arguments, named = INPUTS[case]
    for folder in ("o/sgd", "old"):
        Path(folder).mkdir(parents=True)
    for name in ("t.svm", "o/edges.csv", "o/sgd/trace.jsonl", "images-idx3-ubyte", "labels-idx1-ubyte", "m.npz"):
        Path(name).write_text(ROWS)
    for name in ("e.png", "old/run.json", "old/trace.jsonl"):
        Path(name).write_text("0 1\n1 2\n")
    np.save("start.npy", np.zeros(3))
    Path("o/run.json").write_text(SPECIFICATION)
    Path("link").symlink_to("d.svm")
    Path("o/model.npz").symlink_to("../start.npy")
    Path("hard").hardlink_to("d.svm")
    Path("trace.png").symlink_to("old/trace.jsonl")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    more = ["--overwrite"] if arguments[0] in {"run", "compare"} else []
    told = refused([*arguments, *more], capsys)
    assert named in told
    assert "input" in told
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_outputs_apart_from_inputs_pass(tmp_path):
    (tmp_path / "a").write_text("")
    check_apart([tmp_path / "b", tmp_path / "c"], [tmp_path / "a", tmp_path / "none"])


# Files are written atomically, under any name, through links.
@pytest.mark.parametrize("name", ["n" * 255, "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 85])
def test_the_longest_name_that_a_folder_takes_can_be_written(name, tmp_path):
    with written_whole(tmp_path / name) as file:
        file.write("all")
    assert (tmp_path / name).read_text() == "all"


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to("file")
    with written_whole(tmp_path / "link") as file:
        file.write("all")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "all"


@pytest.mark.parametrize("at", ["write", "fsync"])
def test_what_goes_wrong_in_writing_names_the_file_and_leaves_nothing(at, tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if at == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "a.txt"
    with pytest.raises(OSError, match="No space left") as caught, written_whole(path):
        fail(0)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


# A run whose folder changes meanwhile.
def meanwhile(monkeypatch, act, record=3):
    """Call `act` before a record is handled."""
    tell = Recorder.tell

    def acting(recorder, *rest):
        if len(recorder.records) == record:
            act()
        tell(recorder, *rest)

    monkeypatch.setattr(Recorder, "tell", acting)


def test_a_folder_that_vanishes_is_made_again_with_all_that_the_run_leaves(tmp_path, monkeypatch):
    out = tmp_path / "out"
    whole = hpcopt.run(GOSSIP, folder=out)
    names, trace = {path.name for path in out.iterdir()}, (out / "trace.jsonl").read_text()
    meanwhile(monkeypatch, lambda: shutil.rmtree(out))
    again = hpcopt.run(GOSSIP, folder=out, overwrite=True)
    assert {path.name for path in out.iterdir()} == names
    assert (out / "trace.jsonl").read_text() == trace
    assert json.loads((out / "run.json").read_text())["result"] == whole.result == again.result


def test_of_two_runs_in_one_folder_the_later_has_it_and_the_earlier_says_where_its_model_is(tmp_path, monkeypatch):
    out, begun = tmp_path / "out", []

    def act():
        monkeypatch.undo()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        begun.append(hpcopt.run({**GOSSIP, "seed": 1}, folder=out, overwrite=True))

    meanwhile(monkeypatch, act)
    with pytest.raises(InputError, match="another run has begun in this folder; the model is in ") as caught:
        hpcopt.run(GOSSIP, folder=out)
    assert load(str(caught.value).rpartition(" ")[2]).coef.shape == (4,)
    described, records = folders.read(out)
    assert (described["specification"]["seed"], described["result"]) == (1, begun[0].result)
    assert len(records) == len(begun[0].records)


@pytest.mark.parametrize("name", ["edges", "timeline"])
def test_what_is_beside_the_model_costs_no_result(name, tmp_path, monkeypatch, capsys):
    def fail(folder, _):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / name))

    monkeypatch.setattr(folders, f"write_{name}", fail)
    run = hpcopt.run(GOSSIP, folder=tmp_path)
    assert capsys.readouterr().err == f"hpcopt: {tmp_path / name} not written: No space left on device\n"
    assert folders.read(tmp_path)[0]["result"] == run.result


def test_the_trace_makes_room_for_the_model(tmp_path, monkeypatch, capsys):
    save = hpcopt.Model.save

    def full(model, path):
        if (tmp_path / "trace.jsonl").exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(model, path)

    monkeypatch.setattr(hpcopt.Model, "save", full)
    run = hpcopt.run(GOSSIP, folder=tmp_path)
    told = capsys.readouterr().err
    why = "removed to make room for the result: No space left on device"
    assert told == f"hpcopt: {tmp_path / 'trace.jsonl'}: {why}\n"
    assert json.loads((tmp_path / "run.json").read_text())["result"] == run.result
    assert np.array_equal(load(tmp_path / "model.npz").coef, run.model.coef)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", ["run", "fit"])
def test_a_model_whose_place_is_gone_is_where_the_message_says(verb, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"

    def act():
        shutil.rmtree(out)
        out.write_text("no folder any more")

    out.mkdir()
    meanwhile(monkeypatch, act)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    given = {"run": ["run", "s.toml", "--out", "out"], "fit": ["fit", "d.svm", "-o", "out/m.npz", "--solver", "sgd"]}
    step = [] if verb == "run" else ["--set", "solver.step_size=0.1", "--set", "stop.rounds=9"]
    assert main([*given[verb], *step, "--quiet"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    wanted = "out/model.npz" if verb == "run" else "out/m.npz"
    assert told.startswith(f"hpcopt: error: {wanted}: Not a directory; the model is in {tmp_path}/hpcopt-")
    assert load(told.rpartition(" ")[2]).coef.shape == (3,)


def test_an_interrupted_run_leaves_its_trace_and_no_result(tmp_path, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    meanwhile(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        hpcopt.run(GOSSIP, folder=tmp_path)
    described, records = folders.read(tmp_path)
    assert described["result"] is None
    assert len(records) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "trace.jsonl"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("cluster", [[], ["--virtual", "3"]])
def test_a_solver_that_fails_at_once_leaves_the_run_that_it_was_to_replace(cluster):
    assert main(["run", "s.toml", "--out", "out", "--quiet"]) == 0
    before = {path: path.read_bytes() for path in Path("out").iterdir()}
    with pytest.raises(ZeroDivisionError):
        main(
            [
                "run",
                "s.toml",
                *cluster,
                "--out",
                "out",
                "--overwrite",
                "--solver-file",
                "failing.py",
                "--set",
                "solver.name=failing",
            ]
        )
    assert {path: path.read_bytes() for path in Path("out").iterdir()} == before


TWO_AND_A_SLIP = (
    'solvers=[{name="giant"}, {name="sgd", step_size=0.1}, {name="failing", file="failing.py", step_size=0.1}]'
)


@pytest.mark.usefixtures("here")
def test_a_comparison_that_ends_early_leaves_the_table_of_the_runs_before():
    with pytest.raises(ZeroDivisionError):
        main(["compare", "many.toml", "--out", "out", "--virtual", "2", "--quiet", "--set", TWO_AND_A_SLIP])
    assert [line.partition(",")[0] for line in Path("out/compare.csv").read_text().splitlines()] == [
        "solver",
        "giant",
        "sgd",
    ]
    assert folders.read(Path("out/sgd"))[0]["result"] is not None
    assert folders.read(Path("out/failing"))[0]["result"] is None


ON_RANKS = """
import resource, sys
from mpi4py import MPI
from hpcopt.cli.main import main
if sys.argv[1] != "0":  # no file of this process may be longer
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n == 2])
def test_a_trace_that_cannot_go_on_costs_neither_model_nor_result(here, ranks):
    arguments = ["run", "s.toml", "--out", "out", "--quiet", "--set", "stop.rounds=300"]
    done = python_ranks(ranks, ON_RANKS, "9000", *arguments, cwd=here)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "trace.jsonl" in line]
    assert told == [
        "hpcopt: out/trace.jsonl: File too large; the trace is written at the end, if that is possible then",
        "hpcopt: out/trace.jsonl not written: File too large",
    ]
    assert json.loads((here / "out" / "run.json").read_text())["result"]["rounds"] == 300
    assert load(here / "out" / "model.npz").coef.shape == (3,)
    assert not (here / "out" / "trace.jsonl").exists()


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n == 3])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "d.svm", "-o", "d.svm"], "d.svm: is read as an input"),
        (["bench", "kernels", "--json", "none/a.json"], "none/a.json: there is no folder none"),
    ],
)
def test_ranks_refuse_an_output_together_in_one_line(here, ranks, arguments, said):
    done = python_ranks(ranks, ON_RANKS, "0", *arguments, cwd=here)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("hpcopt: error: ")]
    assert said in told
    assert (here / "d.svm").read_text() == ROWS


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("ranks", [n for n in RANKS if n == 3])
def test_a_comparison_whose_solver_fails_on_ranks_keeps_the_runs_before(here, ranks):
    many = TWO_AND_A_SLIP.replace('{name="giant"}, ', "")
    done = python_ranks(ranks, ON_RANKS, "0", "compare", "many.toml", "--out", "out", "--set", many, cwd=here)
    assert done.returncode != 0
    assert (here / "out" / "compare.csv").read_text().count("\n") == 2
    assert load(here / "out" / "sgd" / "model.npz").coef.shape == (3,)
