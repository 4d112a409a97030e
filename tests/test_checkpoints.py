"""A run that is cut short goes on from its last checkpoint, and ends like one that was not: trace, model and result."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from contextlib import suppress

import numpy as np
import pytest

import hpcopt
from hpcopt import interrupts
from hpcopt.cli.main import main
from hpcopt.errors import CheckpointedError, InputError
from hpcopt.results import checkpoints
from hpcopt.results.plain_file import read_plain, sealed, write_plain
from hpcopt.runs.texts import everyones, the_firsts
from hpcopt.solvers import SOLVERS
from hpcopt.spec.specification import specification_from
from tests.fake_group import on_processes

SGD = {
    "seed": 3,
    "data": {"source": "logistic", "rows": 60, "features": 4},
    "solver": {"name": "sgd", "batch": 5},
    "cluster": {"kind": "virtual", "workers": 4},
    "stop": {"iterations": 20},
}


class KilledError(Exception):
    """The process is gone."""


@pytest.fixture(autouse=True)
def _hasty():
    """Neither draw nor wait for the disk."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hpcopt.runs.execute._draw", lambda *_: None)
        patched.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture
def killed(monkeypatch):
    """Return a function that lets the next runs end when they tell their n-th record, and with None no more."""
    tell = hpcopt.runs.recorder.Recorder.tell

    def at(count):
        def counted(self, record):
            tell(self, record)
            if len(self.records) == count:
                raise KilledError

        monkeypatch.setattr(hpcopt.runs.recorder.Recorder, "tell", tell if count is None else counted)

    return at


def start(folder, tables=SGD, **options):
    return hpcopt.run(tables, folder=folder, force=True, **options)


def cut_short(folder, killed, tables, count):
    killed(count)
    with pytest.raises(KilledError):
        start(folder, tables)
    killed(None)


def every(count, tables=SGD, **more):
    return {**tables, "checkpoint": {"every": count, **more}}


def ending(folder):
    """Return what a finished run has left: its trace, its model, its result."""
    described = json.loads((folder / "run.json").read_text())
    with np.load(folder / "model.npz") as model:
        arrays = {name: model[name].tobytes() for name in model.files}
    return (folder / "trace.jsonl").read_text(), arrays, described["result"]


def setting(name):
    """Return a specification for a solver, with as much as it can carry from one iteration to the next."""
    more = {"batch": 5, "compressor": {"name": "top-k", "k": 2}, "error_feedback": "ef"}
    fields = SOLVERS[name].__dataclass_fields__
    for left_out in ((), ("error_feedback",), ("compressor", "error_feedback")):
        own = {key: value for key, value in more.items() if key in fields and key not in left_out}
        tables = {**SGD, "solver": {"name": name, **own}}
        with suppress(InputError):
            specification_from(tables)
            return tables
    raise AssertionError(name)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_killed_anywhere_ends_as_if_it_had_not_been(name, tmp_path, killed):
    tables = setting(name)
    expected = start(tmp_path / "whole", tables)
    chance = random.Random(name)
    place = tmp_path / "cut"
    period, last = chance.randint(1, 4), len(expected.records) - 1
    cut_short(place, killed, every(period, tables), chance.randint(min(period + 2, last), last))
    had = checkpoints.whole(place)
    resumed = start(place, tables, resume=True)
    assert ending(place) == ending(tmp_path / "whole")
    assert resumed.records == expected.records
    assert len(had) <= 1
    assert [part["iteration"] for part in resumed.described.get("resumed", [])] == had
    assert not (place / "checkpoint").exists()


@pytest.mark.parametrize("record_every", ["auto", 0, 7])
@pytest.mark.parametrize("name", ["sgd", "deli-coco"])
def test_a_finished_run_goes_on_under_a_larger_budget_as_if_it_had_not_ended(name, record_every, tmp_path):
    tables = {**setting(name), "output": {"record_every": record_every}}
    start(tmp_path / "whole", {**tables, "stop": {"iterations": 150}})
    start(tmp_path / "cut", every(50, {**tables, "stop": {"iterations": 101}}))
    assert checkpoints.whole(tmp_path / "cut") == [101]
    start(tmp_path / "cut", {**tables, "stop": {"iterations": 150}}, resume=True)
    assert ending(tmp_path / "cut") == ending(tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(tmp_path, capsys):
    start(tmp_path, every(7))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = hpcopt.run(tmp_path, resume=True, quiet=False)
    assert again.result["iterations"] == 20
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert capsys.readouterr().out == f"{tmp_path}: the run is finished; nothing is changed\n"


def test_the_first_start_of_a_job_and_one_killed_early_start_from_the_beginning(tmp_path, killed, capsys):
    start(tmp_path / "whole")
    start(tmp_path / "new", resume=True)
    assert ending(tmp_path / "new") == ending(tmp_path / "whole")
    cut_short(tmp_path / "cut", killed, every(10), 5)
    start(tmp_path / "cut", resume=True, quiet=False)
    assert ending(tmp_path / "cut") == ending(tmp_path / "whole")
    assert (
        f"{tmp_path / 'cut'}: there is no checkpoint yet; the run starts from the beginning" in capsys.readouterr().out
    )


def test_the_folder_of_a_run_is_enough_even_after_it_has_been_moved(tmp_path, killed):
    start(tmp_path / "whole")
    cut_short(tmp_path / "cut", killed, every(10), 17)
    shutil.move(tmp_path / "cut", tmp_path / "moved")
    hpcopt.run(tmp_path / "moved", resume=True)
    assert ending(tmp_path / "moved") == ending(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "manifest"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(damage, tmp_path, killed, capsys):
    start(tmp_path / "whole")
    place = tmp_path / "cut"
    cut_short(place, killed, every(5, keep=2), 18)
    assert checkpoints.whole(place) == [10, 15]
    path = checkpoints.file_of(checkpoints.place_of(place, 15), 0)
    if damage == "manifest":
        path = path.with_name(checkpoints.MANIFEST)
        path.write_text(path.read_text().replace('"iteration": 15', '"iteration": 14'))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "changed":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    start(place, every(100, keep=2), resume=True)
    told = capsys.readouterr().err
    assert told.startswith(f"hpcopt: {path}: ")
    assert told.endswith("; resuming from the checkpoint at iteration 10 before it\n")
    assert ending(place) == ending(tmp_path / "whole")
    assert checkpoints.whole(place) == [10, 20]


def test_a_torn_checkpoint_is_never_used_and_without_another_one_a_damaged_one_ends_the_run(tmp_path, killed):
    cut_short(tmp_path, killed, every(5), 18)
    torn = checkpoints.place_of(tmp_path, 16)
    shutil.copytree(checkpoints.place_of(tmp_path, 15), torn)
    (torn / checkpoints.MANIFEST).unlink()
    assert checkpoints.whole(tmp_path) == [15]
    path = checkpoints.file_of(checkpoints.place_of(tmp_path, 15), 0)
    path.write_bytes(b"")
    trace = (tmp_path / "trace.jsonl").read_text()
    with pytest.raises(InputError, match=r"process-0\.npz: cut short: .*; no other checkpoint can be used"):
        start(tmp_path, resume=True)
    assert (tmp_path / "trace.jsonl").read_text() == trace
    assert torn.exists()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("files", [], "it does not have the file of process 0"),
        ("versions", {}, "written by hpcopt of an unknown version"),
        ("iteration", 12, "it has been changed since it was written"),
    ],
)
def test_a_manifest_that_does_not_fit_its_folder_is_refused_even_if_its_sum_does(key, value, told, tmp_path, killed):
    cut_short(tmp_path, killed, every(15), 18)
    path = checkpoints.place_of(tmp_path, 15) / checkpoints.MANIFEST
    content = json.loads(path.read_text()) | {key: value}
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": checkpoints._sum(content)}))
    with pytest.raises(InputError, match=told):
        start(tmp_path, resume=True)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_trace_is_named(damage, tmp_path, killed):
    cut_short(tmp_path, killed, every(10), 18)
    path = tmp_path / "trace.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:9]) if damage == "cut" else "".join(lines).replace("virtual", "VIRTUAL", 1))
    with pytest.raises(
        InputError, match=r"trace\.jsonl: (cut short: it has 9 records, and had 11|damaged: its first 11)"
    ):
        start(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 4}, "holds another run: seed was 3, and is 4"),
        ({"solver": {"name": "sgd", "batch": 6}}, "holds another run: solver.batch was 5, and is 6"),
        ({"output": {"record_every": 2}}, 'holds another run: output.record_every was "auto", and is 2'),
    ],
)
def test_another_run_is_refused_with_the_first_key_that_differs(change, told, tmp_path, killed):
    cut_short(tmp_path, killed, every(10), 18)
    with pytest.raises(InputError, match=f"{told}; give overwrite=True, and not resume=True, to start again, or ano"):
        start(tmp_path, {**SGD, **change}, resume=True)
    assert checkpoints.whole(tmp_path) == [10]


def test_processes_tell_one_another_paths_of_any_bytes():
    path = os.fsdecode(b"a\xff")
    told = on_processes(2, lambda group: (everyones(group, path[: group.rank + 1]), the_firsts(group, path)))
    assert told == [(["a", path], path)] * 2


def test_a_run_whose_result_was_lost_goes_on(tmp_path, killed):
    expected = start(tmp_path / "whole", every(10))
    cut_short(tmp_path / "cut", killed, every(10), 18)
    path = tmp_path / "cut" / "run.json"
    content = json.loads(path.read_text())
    del content["result"], content["started"]
    path.write_text(json.dumps(content))
    assert hpcopt.run(tmp_path / "cut", resume=True).records == expected.records


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed=4", "holds another run: seed was 3, and is 4"),
        ("solver.name=lbfgs", 'holds another run: solver.name was "sgd", and is "lbfgs"'),
        ("solver.name=sdg", "--set solver.name=sdg: unknown solver 'sdg'; did you mean"),
        ("data=3", "--set data=3: "),
    ],
)
def test_a_run_goes_on_from_its_folder_only_as_what_it_is(text, told, tmp_path, killed):
    cut_short(tmp_path, killed, every(10), 18)
    with pytest.raises(InputError, match=told):
        hpcopt.run(tmp_path, overrides=[text], resume=True)
    assert checkpoints.whole(tmp_path) == [10]


def test_what_can_not_go_on_says_so(tmp_path):
    start(tmp_path / "bare")
    more = {**SGD, "stop": {"iterations": 30}}
    with pytest.raises(InputError, match=r"stop.iterations was 20, and is 30, but .* has no checkpoint"):
        start(tmp_path / "bare", more, resume=True)
    ended = {**SGD, "solver": {"name": "one-shot"}}
    start(tmp_path / "ended", every(1, ended))
    with pytest.raises(InputError, match=r"has ended by itself \(the solver has finished\), and can't go on"):
        start(tmp_path / "ended", {**ended, "stop": {"iterations": 30}}, resume=True)
    with pytest.raises(InputError, match="no run here"):
        hpcopt.run(tmp_path, resume=True)
    with pytest.raises(InputError, match="resume and overwrite: give one of them"):
        start(tmp_path / "bare", resume=True, overwrite=True)
    assert main(["run", str(tmp_path / "bare"), "--resume", "--overwrite"]) == 2


@pytest.mark.parametrize("workers", [1, 3, 6])
@pytest.mark.parametrize("solver", [{"name": "sgd", "batch": 0, "momentum": 0.5}, {"name": "lbfgs"}])
def test_another_number_of_nodes_goes_on_where_all_have_the_same_state(solver, workers, tmp_path, killed):
    tables = {**SGD, "solver": solver}
    expected = start(tmp_path / "whole", tables)
    cut_short(tmp_path / "cut", killed, every(5, tables), 13)
    other = {**tables, "cluster": {"kind": "virtual", "workers": workers}}
    found = start(tmp_path / "cut", other, resume=True)
    assert found.described["nodes"] == workers
    assert found.described["resumed"][0]["nodes"] == workers
    assert found.records[:11] == expected.records[:11]
    np.testing.assert_allclose(found.trace["objective"], expected.trace["objective"], rtol=1e-9)
    for column, factor in (("work", 1), ("round", 1), ("bytes", (workers - 1) / 3), ("messages", (workers - 1) / 3)):
        made, wanted = (np.diff(run.trace[column])[10:15] for run in (found, expected))  # before roundoff matters
        np.testing.assert_allclose(made, factor * wanted, err_msg=column)
    assert (np.diff(found.trace["seconds"]) > 0).all()


@pytest.mark.parametrize(
    ("solver", "why"),
    [
        ({"name": "deli-coco"}, "each node has its own model"),
        (setting("sgd")["solver"], "each node has the memory of its error feedback"),
        ({"name": "signsgd", "momentum": 0.5}, "each node has the running mean of its gradients"),
    ],
)
def test_another_number_of_nodes_is_refused_with_the_reason(solver, why, tmp_path, killed):
    tables = {**SGD, "solver": solver}
    cut_short(tmp_path, killed, every(5, tables), 13)
    other = {**tables, "cluster": {"kind": "virtual", "workers": 3}}
    with pytest.raises(InputError, match=f"written by 4 nodes, and this run has 3, but {why}; give overwrite=True"):
        start(tmp_path, other, resume=True)


def test_overwriting_removes_checkpoints_too(tmp_path, killed):
    cut_short(tmp_path, killed, every(10), 18)
    start(tmp_path, overwrite=True)
    assert not (tmp_path / "checkpoint").exists()


def test_a_comparison_goes_on_in_the_middle_of_a_run(tmp_path, killed, monkeypatch):
    monkeypatch.setattr("hpcopt.studies.compare._draw", lambda *_: None)
    two = {key: value for key, value in every(5).items() if key != "solver"}
    two["solvers"] = [{"name": "sgd", "batch": 5}, {"name": "local-sgd", "batch": 5}]
    hpcopt.compare(two, folder=tmp_path / "whole")
    killed(18)
    with pytest.raises(KilledError):  # in the first run
        hpcopt.compare(two, folder=tmp_path / "cut")
    killed(None)
    assert checkpoints.whole(tmp_path / "cut" / "sgd") == [15]
    comparison = hpcopt.compare(two, folder=tmp_path / "cut", resume=True)
    assert [part["iteration"] for part in comparison.runs[0].described["resumed"]] == [15]
    for name in ("sgd", "local-sgd"):
        assert ending(tmp_path / "cut" / name) == ending(tmp_path / "whole" / name)


@pytest.mark.parametrize("trouble", ["full", "vanished", "taken"])
def test_a_checkpoint_that_can_not_be_written_leaves_the_run_and_the_earlier_one(
    trouble, tmp_path, monkeypatch, capsys, killed
):
    start(tmp_path / "whole")
    place = tmp_path / "cut"
    written = hpcopt.runs.keeper.write_plain

    def failing(path, content):
        seal = written(path, content)
        if path.parent.name != "00000005":
            if trouble == "vanished":
                shutil.rmtree(place)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return seal

    monkeypatch.setattr(hpcopt.runs.keeper, "write_plain", failing)
    if trouble == "taken":
        monkeypatch.setattr(hpcopt.runs.recorder.Recorder, "is_replaced", lambda self: len(self.records) > 6)
    if trouble != "vanished":
        cut_short(place, killed, every(5), 18)
        assert checkpoints.whole(place) == [5]
        kept = "the one at iteration 5 is kept"
    else:
        start(place, every(5))
        kept = "there is no earlier one"
    told = capsys.readouterr().err
    what = "another run has begun in this folder" if trouble == "taken" else "No space left on device"
    assert told.count("the checkpoint at iteration") == 1
    assert f"{what}; the run goes on, and {kept}\n" in told
    monkeypatch.undo()
    start(place, resume=True)
    assert ending(place) == ending(tmp_path / "whole")


@pytest.mark.parametrize("name", ["sgd", "dsgd-aau"])
def test_a_signal_is_met_at_the_next_boundary_and_the_run_goes_on_from_there(name, tmp_path, monkeypatch):
    tables = {**SGD, "solver": {"name": name}}
    start(tmp_path / "whole", tables)
    monkeypatch.setattr(hpcopt.runs.keeper, "LOOK", 0.0)
    monkeypatch.setattr(hpcopt.runs.keeper, "is_listening", lambda: True)
    monkeypatch.setattr(hpcopt.runs.execute, "is_listening", lambda: True)
    place, tell = tmp_path / "cut", hpcopt.runs.recorder.Recorder.tell

    def asks(self, record):
        tell(self, record)
        if len(self.records) == 9:
            monkeypatch.setitem(interrupts._asked, 10, 0.0)  # SIGUSR1

    monkeypatch.setattr(hpcopt.runs.recorder.Recorder, "tell", asks)
    with pytest.raises(CheckpointedError, match=r"checkpointed at iteration \d+ in "):
        start(place, tables)
    monkeypatch.undo()
    assert json.loads((place / "run.json").read_text())["result"] is None
    assert len(checkpoints.whole(place)) == 1
    start(place, tables, resume=True)
    assert ending(place) == ending(tmp_path / "whole")


def test_plain_data_come_back_bit_for_bit_and_a_seal_shows_every_change(tmp_path):
    path = tmp_path / "file.npz"
    content = {
        "numbers": [1, -0.0, float("inf"), 0.1, True, None, "é", 2**80],
        "nested": {"empty": {}, "none": [], "array": np.array([[1.5, np.nan], [-0.0, 1e-310]])},
        "kinds": [np.arange(3).astype(kind) for kind in ("u1", "i8", "f4", "?")] + [np.full((), 3.0)],
    }
    seal = write_plain(path, content)
    assert seal == sealed(path)
    found = read_plain(path)
    np.testing.assert_equal(found, content)
    assert found["nested"]["array"].tobytes() == content["nested"]["array"].tobytes()
    assert [array.dtype for array in found["kinds"]] == [array.dtype for array in content["kinds"]]
    for wrong in ({1: 2}, {"": 1}, [object()], np.array([object()])):
        with pytest.raises(TypeError, match="plain data"):
            write_plain(path, wrong)
    assert sealed(path) == seal
    assert not list(tmp_path.glob(".hpcopt-*"))
