"""Reading a run's folder: a value of a wrong type gives a one-line error with the file and the line or key."""

from __future__ import annotations

import json

import pytest

from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.results import folder as folders

LINE = (
    '{"round": 0, "iteration": 0, "seconds": 0.0, "clock": "virtual", "bytes": 0, "messages": 0, "work": 0.0, '
    '"objective": 0.7, "grad_norm": 0.1}\n'
)
DESCRIBED = {
    "label": "giant",
    "problem": "a problem",
    "specification": {"stop": {"target": 0.5}},
    "nodes": 2,
    "seed": 0,
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / folders.RUN).write_text(json.dumps(DESCRIBED))
    (tmp_path / folders.TRACE).write_text(LINE * 2)
    (tmp_path / folders.EDGES).write_text("sender,receiver,bytes\n0,1,800\n1,0,800\n")
    (tmp_path / folders.TIMELINE).write_text("node,kind,begin,end\n0,compute,0,1\n1,wait,0.5,1\n")
    return tmp_path


def test_a_sound_folder_is_read(folder):
    described, records = folders.read(folder)
    assert described == {**DESCRIBED, "result": None}
    assert [record.objective for record in records] == [0.7, 0.7]
    assert folders.read_edges(folder, 2).tolist() == [[0, 1, 800], [1, 0, 800]]
    assert folders.read_timeline(folder).tolist() == [[0, 0, 0, 1], [1, 1, 0.5, 1]]


def test_a_folder_of_a_version_before_has_its_topology_under_its_former_name(folder):
    (folder / folders.RUN).write_text(json.dumps({**DESCRIBED, "network": "ring, 2 nodes"}))
    assert folders.read(folder)[0] == {**DESCRIBED, "topology": "ring, 2 nodes", "result": None}


RUNS = {
    "[": "run.json: damaged: column 2: Expecting value",
    "[1]": "run.json: damaged: expected a table",
    "[" * 100_000: "run.json: damaged: maximum recursion depth",
    "1" * 5000: "run.json: damaged: Exceeds the limit",
    "{}": "run.json: damaged: label: missing; expected text",
    json.dumps({**DESCRIBED, "result": {}}): "run.json: damaged: result.status: missing; expected one of ",
    json.dumps({**DESCRIBED, "result": {"status": "round"}}): 'run.json: damaged: result.status: expected one of "',
    json.dumps(
        {**DESCRIBED, "phases": {"read": None}}
    ): "run.json: damaged: phases: one of its entries is wrong: expected `float`, got `null`",
    json.dumps(
        {**DESCRIBED, "result": {"status": "rounds", "objective": "low"}}
    ): 'run.json: damaged: result.objective: expected a number, got "low"',
    json.dumps({**DESCRIBED, "label": 3}): "run.json: damaged: label: expected text, got 3",
    json.dumps(
        {**DESCRIBED, "nodes": "two"}
    ): 'run.json: damaged: nodes: expected an integer >= 1 and < 2.14748e+09, got "two"',
    json.dumps({**DESCRIBED, "specification": 3}): "run.json: damaged: specification: expected a table",
    json.dumps({**DESCRIBED, "specification": {"stop": []}}): "run.json: damaged: specification.stop: expected a table",
    json.dumps(
        {**DESCRIBED, "specification": {"stop": {"target": {}}}}
    ): "specification.stop.target: expected exactly one of the keys suboptimality and relative",
    json.dumps(
        {**DESCRIBED, "specification": {"stop": {"target_on": "x"}}}
    ): "specification.stop.target_on: expected one",
    json.dumps({**DESCRIBED, "specification": {"data": {"path": 3}}}): "specification.data.path: expected text, got 3",
    json.dumps({**DESCRIBED, "cluster": "virtual", "specification": {"cluster": {"workers": 3}}}): "nodes: 2, but",
    json.dumps({**DESCRIBED, "result": 7}): "run.json: damaged: result: expected a table, got 7",
}


@pytest.mark.parametrize("content", RUNS, ids=range(len(RUNS)))
def test_what_a_run_does_not_write_is_told_with_file_and_key(folder, capsys, content):
    (folder / folders.RUN).write_text(content)
    assert main(["plot", str(folder)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"hpcopt: error: {folder}")
    assert RUNS[content] in told
    assert told.count("\n") == 1


def test_bytes_that_are_no_text_are_told_with_their_place(folder):
    (folder / folders.RUN).write_bytes(b'{"label": "\xff"}')
    with pytest.raises(InputError, match=r"run.json: damaged: not UTF-8 text \(byte 11\)"):
        folders.read(folder)


LINES = {
    LINE.replace("0.7", '"a word"'): 'objective: expected a number, got "a word"',
    LINE.replace('"round": 0', '"round": {}'): "round: expected an integer, got a table",
    LINE.replace('"round": 0', '"round": null'): "round: expected an integer, got nan",
    LINE.replace('"bytes": 0', '"bytes": ' + "9" * 400): "bytes: out of range",
    LINE.replace('"virtual"', "3"): "clock: expected text, got 3",
    LINE.replace("0.1}", '0.1, "consensus": []}'): "consensus: expected a number, got []",
    "{\n": "damaged: column 2: Expecting property name",
    "\n": "damaged: column 1: Expecting value",
    "[" * 100_000 + "\n": "damaged: maximum recursion depth",
}


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_of_the_trace_that_is_no_record_is_told_with_its_number(folder, line):
    (folder / folders.TRACE).write_text(LINE + line + LINE)
    with pytest.raises(InputError) as raised:
        folders.read(folder)
    assert str(raised.value).startswith(f"{folder / folders.TRACE}, line 2: {LINES[line]}")


@pytest.mark.parametrize(
    "line", ["0,1", "0,1,x", "0,1,1_0", "0,2,8", "-1,0,8", "0,1,-8", "0,1,8,9", "0,1,1e400", "#0,1,8"]
)
def test_a_line_that_is_no_edge_is_told_with_its_number(folder, line):
    (folder / folders.EDGES).write_text(f"sender,receiver,bytes\n0,1,800\n{line}\n")
    with pytest.raises(InputError, match=r"edges\.csv: damaged.*line 3"):
        folders.read_edges(folder, 2)


@pytest.mark.parametrize(
    "line", ["0,compute,0", "0,dance,0,1", "x,wait,0,1", "0,wait,2,1", "0,wait,0,inf", "0,wait,nan,1", "0,wait,0,1 # c"]
)
def test_a_line_that_is_no_span_is_told_with_its_number(folder, line):
    (folder / folders.TIMELINE).write_text(f"node,kind,begin,end\n0,wait,0,1\n{line}\n")
    with pytest.raises(InputError, match=r"timeline\.csv: damaged.*line 3"):
        folders.read_timeline(folder)


@pytest.mark.parametrize("name", [folders.EDGES, folders.TIMELINE])
def test_a_table_with_another_first_line_is_refused(folder, name):
    (folder / name).write_text("0,1,2\n")
    with pytest.raises(InputError, match=f'{name}: damaged: its first line is "0,1,2"; expected'):
        folders.read_edges(folder, 2) if name == folders.EDGES else folders.read_timeline(folder)


@pytest.mark.parametrize(
    "runs", ["3", "[3]", '["a/../b"]', '["a//b"]', '[".."]', '["."]', '[""]', '["/etc"]', "null", '["a\\u0000"]']
)
def test_a_list_of_runs_names_folders_inside_its_own_and_nothing_else(tmp_path, runs):
    (tmp_path / folders.INDEX).write_text(f'{{"runs": {runs}}}')
    with pytest.raises(InputError, match=r"compare\.json: damaged: runs"):
        folders.listed(tmp_path)


def test_a_list_of_runs_cannot_make_anything_outside_be_removed(tmp_path):
    inner = tmp_path / "comparison"
    inner.mkdir()
    (tmp_path / folders.MODEL).write_text("mine")
    (inner / folders.INDEX).write_text('{"runs": [".."]}')
    folders.clear(inner)
    assert not (inner / folders.INDEX).exists()
    assert (tmp_path / folders.MODEL).read_text() == "mine"
