"""docs/add_a_solver.md: its solver and commands, taken from the page as printed, do what it says."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "add_a_solver.md").read_text()
SECTION = PAGE[PAGE.index("## Your own, without a fork") : PAGE.index("### Where a solver comes from")]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as the page assumes it."""
    folder = tmp_path_factory.mktemp("own")
    (code,), (specification,) = blocks("python"), blocks("toml")
    (folder / "barzilai_borwein.py").write_text(code)
    (folder / "own_solver.toml").write_text(specification)
    return folder


@pytest.fixture(scope="module")
def said(folder):
    """The output of each of the page's commands, in order."""
    printed = {}
    for command in blocks("bash"):
        program, *arguments = shlex.split(command)
        assert program == "hpcopt"
        done = subprocess.run(
            [sys.executable, "-m", "hpcopt", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed[arguments[0]] = done.stdout
    return printed


def test_the_suite_says_of_the_solver_what_the_page_shows(said):
    (shown,) = blocks("text")
    assert said["check"] == shown
    assert "FAILS" not in shown


def test_show_tells_the_solvers_parameters_and_paper(said):
    assert said["show"].startswith("barzilai-borwein (solver)\n")
    assert 'step_size = "auto"' in said["show"]
    assert "Paper: Barzilai and Borwein 1988" in said["show"]


def test_the_comparison_ends_in_the_rounds_and_the_picture_that_the_page_names(folder, said):
    with (folder / "runs" / "own_solver" / "compare.csv").open() as file:
        rows = {row["solver"]: row for row in csv.DictReader(file)}
    own, known = (rows[name]["rounds"] for name in ("barzilai-borwein", "lbfgs"))
    assert f"reaches the target in {own} rounds and L-BFGS in {known}" in SECTION
    assert rows["sgd"]["reached"] == "false"
    assert "`runs/own_solver/compare.png`" in SECTION
    assert "picture: runs/own_solver/compare.png" in said["compare"]
    assert (folder / "runs" / "own_solver" / "compare.png").exists()
