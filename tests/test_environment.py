"""Locale, encodings and sizes: the environment of a run is not trusted."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hpcopt
from tests.launch import hpcopt_ranks, requires_mpi

ROOT = Path(hpcopt.__file__).parent
SPECIFICATION = """
[data]
source = "logistic"
rows = 60
features = 3
[stop]
rounds = 3
[[solvers]]
name = "sgd"
label = "Änderung → 改"
[[solvers]]
name = "giant"
"""


def without_encoding(path):
    """Yield the lines of a file that open text files without an encoding; members of an archive are bytes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        text = name in {"read_text", "write_text"} or (
            name == "open" and any(mode in {"w", "r", "a"} for mode in modes)
        )
        said = {keyword.arg for keyword in node.keywords}
        if text and owner not in {"os", "members"} and "encoding" not in said:
            yield node.lineno


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_opened_with_an_encoding(path):
    assert list(without_encoding(path)) == []


LOCALES = {
    "ascii streams": {"PYTHONIOENCODING": "ascii"},
    "a C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("name", LOCALES)
def test_letters_of_any_kind_pass_any_locale(tmp_path, name):
    (tmp_path / "spec.toml").write_text(SPECIFICATION, encoding="utf-8")
    folder = os.fsencode(tmp_path) + b"/\xffout-\xc3\xa9"  # not UTF-8, then an e with an accent
    command = [sys.executable, "-m", "hpcopt", "compare", tmp_path / "spec.toml", "--virtual", "2", "--out", folder]
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent), **LOCALES[name]}
    done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"nderung" in done.stdout
    out = Path(os.fsdecode(folder))
    runs = json.loads((out / "compare.json").read_text(encoding="utf-8"))["runs"]
    assert [json.loads((out / run["folder"] / "run.json").read_text(encoding="utf-8"))["label"] for run in runs] == [
        "Änderung → 改",
        "giant",
    ]
    assert "Änderung → 改" in (out / "compare.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{spec}", "--virtual", "1000000000"],
        ["run", "{spec}", "--set", "cluster.workers=1000000000"],
        ["topology", "ring", "--nodes", "1000000000"],
    ],
)
def test_more_nodes_than_memory_holds_are_refused_in_one_line(tmp_path, capsys, arguments):
    from hpcopt.cli.main import main

    spec = tmp_path / "spec.toml"
    spec.write_text(SPECIFICATION.partition("[[")[0] + '[solver]\nname = "dgd"\n', encoding="utf-8")
    assert main([argument.format(spec=spec) for argument in arguments]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "1,000,000,000 nodes take" in told


@pytest.mark.mpi
@requires_mpi
def test_more_ranks_than_cores_are_told_and_recorded(tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(SPECIFICATION.partition("[[")[0] + '[solver]\nname = "sgd"\n', encoding="utf-8")
    core = min(os.sched_getaffinity(0))
    program = f"import os\nos.sched_setaffinity(0, [{core}])\nfrom hpcopt.cli.main import console\nconsole()"
    from tests.launch import mpiexec

    arguments = ["run", spec, "--out", tmp_path / "out"]
    done = mpiexec(2, sys.executable, "-c", program, *arguments, env={"PYTHONPATH": str(ROOT.parent)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("oversubscribed: 2 ranks on 1 core;") == 1
    assert json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["oversubscribed"] is True
    done = hpcopt_ranks(1, *arguments, "--overwrite")
    assert "oversubscribed" not in done.stdout
    assert json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))["oversubscribed"] is False
