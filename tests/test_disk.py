"""A disk that is full for a while, or to the end: what was written before stays, and nothing partial is left."""

from __future__ import annotations

import errno
import json

import pytest

import hpcopt
from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.checked import records
from hpcopt.results.trace_file import TraceFile
from hpcopt.runs import execute, leaving, recorder

SPECIFICATION = {
    "data": {"source": "logistic", "rows": 60, "features": 3},
    "solver": {"name": "sgd"},
    "stop": {"iterations": 40},
    "output": {"record_every": 1},
    "checkpoint": {"every": 10},
    "cluster": {"kind": "virtual", "workers": 2},
}


@pytest.fixture
def full(monkeypatch):
    """Return a function: from that record of a trace on, the disk is full."""

    def fill(at, *, once=False):
        append = TraceFile.append

        def failing(file, record):
            if record.iteration == at or (record.iteration > at and not once):
                file._file.write(b'{"half": ')
                raise OSError(errno.ENOSPC, "No space left on device", str(file.path))
            append(file, record)

        monkeypatch.setattr(TraceFile, "append", failing)

    return fill


def trace_of(out):
    return (out / "trace.jsonl").read_text()


@pytest.fixture
def peaceful(tmp_path):
    hpcopt.run(SPECIFICATION, folder=tmp_path / "peaceful")
    return trace_of(tmp_path / "peaceful")


def test_a_trace_is_made_whole_at_the_end_if_there_is_room_by_then(full, peaceful, tmp_path, capsys):
    full(25, once=True)
    hpcopt.run(SPECIFICATION, folder=tmp_path / "out")
    assert trace_of(tmp_path / "out") == peaceful
    path = tmp_path / "out" / "trace.jsonl"
    why = "No space left on device; the trace is written at the end, if that is possible then"
    assert capsys.readouterr().err == f"hpcopt: {path}: {why}\n"


def test_a_part_of_a_trace_is_not_left_beside_a_result(full, tmp_path, monkeypatch, capsys):
    def nowhere(folder, records):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "trace.jsonl"))

    full(25)
    monkeypatch.setattr(leaving.folders, "write_trace", nowhere)
    monkeypatch.setattr(recorder, "write_trace", nowhere)
    run = hpcopt.run(SPECIFICATION, folder=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["result"] == run.result
    assert not (tmp_path / "out" / "trace.jsonl").exists()
    assert "trace.jsonl not written: No space left on device" in capsys.readouterr().err
    with pytest.raises(InputError, match="the run is finished, but its trace is missing"):
        hpcopt.run(SPECIFICATION, folder=tmp_path / "out", resume=True)


def test_a_run_whose_disk_was_full_goes_on_from_its_checkpoint(full, peaceful, tmp_path, monkeypatch):
    """The trace is tried again at each checkpoint."""

    def dies(*arguments, **options):
        raise RuntimeError(arguments, options)

    out = tmp_path / "out"
    monkeypatch.setattr(execute, "leave_result", dies)
    full(25)
    with pytest.raises(RuntimeError):
        hpcopt.run(SPECIFICATION, folder=out)
    assert trace_of(out) == peaceful
    assert json.loads((out / folders.RUN).read_text())["result"] is None
    monkeypatch.undo()
    hpcopt.run(SPECIFICATION, folder=out, resume=True)
    assert trace_of(out) == peaceful


def test_a_trace_that_stops_keeps_its_whole_records(peaceful, tmp_path):
    (tmp_path / "out").mkdir()
    first, second, *_ = records(tmp_path / "peaceful" / "trace.jsonl")
    file = TraceFile(tmp_path / "out")
    file.open(goes_on=False)
    file.append(first)
    file.append(second)
    file._file.write(b'{"half": ')
    file._file.flush()
    file.stop()
    assert trace_of(tmp_path / "out") == "".join(peaceful.splitlines(keepends=True)[:2])
    assert not file.is_replaced()
    file.remove()
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_trace_is_named(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(execute, "leave_result", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hpcopt.run(SPECIFICATION, folder=out)
    (out / "trace.jsonl").unlink()
    with pytest.raises(InputError, match=r"trace.jsonl: missing; the checkpoint needs its first \d+ records"):
        hpcopt.run(SPECIFICATION, folder=out, resume=True)
