"""The package as it is installed: `make test-wheel` runs these on the wheel, `make test` on the checkout."""

from __future__ import annotations

import json
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest

import hpcopt
from tests.launch import mpiexec, requires_mpi

PROGRAM = Path(sys.executable).with_name("hpcopt")


def test_the_installed_version_is_that_of_the_package():
    assert metadata.version("hpcopt") == hpcopt.__version__


def test_type_checkers_find_the_types():
    assert (resources.files(hpcopt) / "py.typed").is_file()


@pytest.mark.mpi
@requires_mpi
def test_the_console_script_writes_a_specification_and_runs_it_on_ranks(tmp_path):
    done = mpiexec(1, PROGRAM, "init", "my.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = mpiexec(3, PROGRAM, "run", "my.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "runs" / "my" / "run.json").read_text())["nodes"] == 3
