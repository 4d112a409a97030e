"""The library's messages name keys and parameters; only the command line names flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.cli.options import REMEDIES
from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.agreement import agreed
from tests.fake_group import on_processes

ROOT = Path(hpcopt.__file__).parent
LIBRARY = [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] != "cli"]
FLAG = re.compile(r"(?<![\w-])(--[a-z]+|-o)\b")
OTHERS = ("--set", "--array", "--mpi")  # the texts of the user's overrides; a flag of srun
PROGRAMS = {  # file -> arguments of a program that it starts: Vowpal Wabbit, git, SLURM, launchers, hpcopt itself
    "plain_learners.py": ("--adaptive", "--loss", "--l", "--noconstant", "--quiet", "--cache"),
    "environment.py": ("--no", "--always", "--dirty", "--abbrev", "--exclude"),
    "bash.py": (
        *("--bind", "--cpus", "--format", "--jobs", "--kill", "--nodes", "--noheader", "--ntasks"),
        *("--oversubscribe", "--unbuffered"),
    ),
    "profile.py": ("--mem",),
    "script.py": ("--nodes", "--ntasks"),
    "submission.py": ("--out", "--resume"),
    "commands.py": ("--out", "--overwrite", "--quiet"),
    "queue.py": ("--format", "--jobs", "--noheader", "--parsable", "--states"),
}


def messages(path: Path):
    """Yield all strings in a file that are not docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_of_the_library_names_a_flag_of_the_command_line(path):
    named = [flag for text in messages(path) for flag in FLAG.findall(text)]
    assert set(named) <= {*OTHERS, *PROGRAMS.get(path.name, ())}


@pytest.mark.parametrize("remedy", list(Remedy), ids=lambda remedy: remedy.name)
def test_the_command_line_ends_every_remedy_in_its_own_words(remedy, capsys, monkeypatch):
    def refuse(*_, **__):
        raise InputError("no", remedy)

    monkeypatch.setattr("hpcopt.runs.start.run", refuse)
    assert main(["run", "spec.toml"]) == 1
    assert capsys.readouterr().err == f"hpcopt: error: no{REMEDIES[remedy]}\n"
    assert "--" in REMEDIES[remedy] or "hpcopt " in REMEDIES[remedy]
    assert str(InputError("no", remedy)) == f"no{remedy.value}"
    assert "--" not in remedy.value


@pytest.mark.parametrize("failing", [[1], [0, 1, 2]])
def test_all_processes_agree_on_the_remedy_too(failing):
    def fail(group):
        with agreed(group):
            if group.rank in failing:
                raise InputError(f"no {group.rank}", Remedy.FORCE)

    def body(group):
        with pytest.raises(InputError) as caught:
            fail(group)
        return caught.value.message, caught.value.remedy

    where = "" if len(failing) == 3 else " (on rank 1 of 3)"
    assert on_processes(3, body) == [(f"no {failing[0]}{where}", Remedy.FORCE)] * 3
