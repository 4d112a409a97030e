"""External solvers, from a file or an installed package, without changes to this package."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.registry import Registry
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.outside import load_file
from tests.launch import hpcopt_ranks, python_ranks, requires_mpi

ROOT = Path(__file__).resolve().parents[1]
HALVING = (ROOT / "tests" / "solvers" / "halving.py").read_text()
DATA = '[data]\nsource = "logistic"\nrows = 200\nfeatures = 4\n[stop]\nrounds = 12\n'
MINE = '[solver]\nname = "halving"\nfile = "halving.py"\n'
VIRTUAL = ["--virtual", "3", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a solver's file and a specification; it is not the current folder."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "there" / "halving.py").write_text(HALVING)
    (tmp_path / "there" / "spec.toml").write_text(DATA + MINE)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "there"


def described(out):
    return json.loads((Path(out) / "run.json").read_text())


def halving(**table):
    return {
        "data": {"source": "logistic", "rows": 200, "features": 4},
        "solver": {"name": "halving", **table},
        "cluster": {"kind": "virtual", "workers": 3},
        "stop": {"rounds": 12},
    }


def descent(step, rounds=12):
    """The same with this package's solver."""
    tables = halving() | {"solver": {"name": "sgd", "step_size": step}, "stop": {"rounds": rounds}}
    return hpcopt.run(tables).model.coef


def test_a_specification_names_a_file_beside_it_and_run_json_keeps_its_name_and_digest(folder):
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, "--out", "out"]) == 0
    digest = hashlib.sha256(HALVING.encode()).hexdigest()
    assert described("out")["solver_file"] == {"name": "halving.py", "sha256": digest}
    assert described("out")["specification"]["solver"] == {
        "name": "halving",
        "file": str(folder / "halving.py"),
        "step": 0.5,
    }
    with np.load("out/model.npz") as model:
        np.testing.assert_allclose(model["coef"], descent(0.5), rtol=1e-12)
    assert "halving" not in SOLVERS


def test_a_runs_resolved_specification_repeats_it(folder):
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, "--set", "solver.step=0.3", "--out", "out"]) == 0
    again = hpcopt.run(described("out")["specification"], folder="again")
    with np.load("out/model.npz") as model:
        np.testing.assert_array_equal(again.model.coef, model["coef"])


def test_the_command_line_gives_the_file_to_run_and_compare(folder):
    text = (
        DATA + '[[solvers]]\nname = "halving"\n[[solvers]]\nname = "giant"\n[[solvers]]\nname = "halving"\nstep = 0.1\n'
    )
    (folder / "compare.toml").write_text(text)
    file = ["--solver-file", str(folder / "halving.py")]
    assert main(["compare", str(folder / "compare.toml"), *VIRTUAL, *file, "--out", "out"]) == 0
    from_file = ["solver_file" in described(f"out/{name}") for name in ("giant", "halving", "halving-step=0.1")]
    assert from_file == [False, True, True]
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, "--out", "one"]) == 0
    assert described("one")["result"]["objective"] == described("out/halving")["result"]["objective"]


def test_two_tables_of_one_file_and_two_files_of_one_name_are_compared(folder):
    (folder / "other.py").write_text(HALVING.replace("- self.step", "- 0.5 * self.step"))
    files = [str(folder / name) for name in ("halving.py", "halving.py", "other.py")]
    steps = [0.5, 0.2, 0.4]
    tables = halving()
    del tables["solver"]
    tables["solvers"] = [
        {"name": "halving", "file": file, "step": step} for file, step in zip(files, steps, strict=True)
    ]
    runs = hpcopt.compare(tables).runs
    for run, step in zip(runs, (0.5, 0.2, 0.2), strict=True):
        np.testing.assert_allclose(run.model.coef, descent(step), rtol=1e-12)


def test_a_file_is_executed_once_for_each_content(folder):
    file = folder / "halving.py"
    file.write_text("with open('runs', 'a') as file:\n    file.write('x')\n" + HALVING)
    for _ in range(2):
        hpcopt.run(halving(file=str(file)))
    assert Path("runs").read_text() == "x"
    file.write_text(HALVING.replace("step: float = 0.5", "step: float = 0.25"))
    np.testing.assert_allclose(hpcopt.run(halving(file=str(file))).model.coef, descent(0.25), rtol=1e-12)
    np.testing.assert_allclose(hpcopt.run(halving() | {"solver_file": file}).model.coef, descent(0.25), rtol=1e-12)


def test_list_and_show_know_the_file(folder, capsys):
    file = ["--solver-file", str(folder / "halving.py")]
    assert main(["list", "solvers", *file]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted([*SOLVERS, "halving"])
    assert main(["show", "halving", *file]) == 0
    said = capsys.readouterr().out
    assert "step = 0.5" in said
    assert "Paper: Cauchy 1847" in said
    assert main(["show", "halving"]) == 1


def test_fit_takes_the_file_and_the_solvers_defaults_for_it(folder):
    X = np.random.default_rng(0).standard_normal((80, 4))
    np.savez("data.npz", X=X, y=np.sign(X @ [1.0, 2.0, 3.0, 4.0] + 1.0))
    arguments = ["fit", "data.npz", "--l2", "0.1", "--quiet", "-o", "model.npz", "--set", "stop.rounds=5"]
    assert main([*arguments, "--solver", "halving", "--solver-file", str(folder / "halving.py")]) == 0
    own = np.load("model.npz")["coef"]
    assert main([*arguments, "--solver", "sgd", "--set", "solver.step_size=0.75"]) == 0
    np.testing.assert_allclose(own, np.load("model.npz")["coef"], rtol=1e-12)


GOSSIP = '''
from dataclasses import dataclass
from hpcopt.solvers.base import register
from hpcopt.solvers.dgd import DGD

@register("own-dgd")
@dataclass(frozen=True, kw_only=True)
class OwnDGD(DGD):
    """DGD by another name."""
'''


def test_a_run_is_drawn_again_where_nobody_knows_its_solver(folder, capsys):
    (folder / "gossip.py").write_text(GOSSIP)
    arguments = ["--solver-file", str(folder / "gossip.py"), "--set", "solver.name=own-dgd", "--out", "out"]
    (folder / "spec.toml").write_text(DATA + "[solver]\n")
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, *arguments]) == 0
    (folder / "gossip.py").unlink()
    for name in ("topology.png", "convergence.png"):
        Path("out", name).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "hpcopt", "plot", "out"],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["out/convergence.png", "out/topology.png"]
    assert all(Path(picture).exists() for picture in done.stdout.split())


FLAG = "--solver-file: "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--set", "solver.file=away.py"], "--set solver.file=away.py: away.py: no such file"),
        (["--set", "solver.file=3"], "--set solver.file=3: expected the path of a Python file, got 3"),
        (
            ["--set", "solver.name=giant"],
            "--set solver.name=giant: 'giant' is not in THERE/halving.py, which",
        ),
        (["--set", "solver.stop=1"], "--set solver.stop=1: unknown key; did you mean 'step'?"),
        (["--solver-file", "THERE/other.py"], FLAG + "no table names a solver of THERE/other.py, which has other"),
        (["--solver-file", "away.py"], FLAG + "away.py: no such file"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(folder, capsys, change, message):
    (folder / "other.py").write_text(HALVING.replace('"halving"', '"other"'))
    change = [word.replace("THERE", str(folder)) for word in change]
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, *change, "--out", "out"]) == 1
    told = capsys.readouterr().err
    message = message.replace("THERE", str(folder))
    assert told.startswith(f"hpcopt: error: {message}")
    assert told.count("\n") == 1
    assert not Path("out").exists()


def test_what_a_file_raises_is_told_with_the_specifications_line_and_its_own(folder, capsys):
    (folder / "halving.py").write_text(HALVING + "1 / 0\n")
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, "--out", "out"]) == 1
    line = len(HALVING.splitlines()) + 1
    file = folder / "halving.py"
    told = f"{folder / 'spec.toml'}, line 9: solver.file: {file}, line {line}: ZeroDivisionError: division by zero\n"
    assert capsys.readouterr().err == f"hpcopt: error: {told}"


def test_solvers_of_modules_that_a_file_imports_stay_with_them(folder, monkeypatch):
    (folder / "a_library.py").write_text(HALVING.replace('"halving"', '"library-halving"'))
    (folder / "halving.py").write_text("import a_library\n" + HALVING)
    monkeypatch.syspath_prepend(str(folder))
    try:
        assert list(load_file(folder / "halving.py").solvers) == ["halving"]
        assert "library-halving" in SOLVERS
    finally:
        SOLVERS._entries.pop("library-halving", None)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Simulate an installed package whose entry points provide solvers."""

    def install(name, points, **modules):
        site = tmp_path / "site"
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text("[hpcopt.solvers]\n" + "\n".join(points) + "\n")
        for module, text in modules.items():
            (site / f"{module}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", f"{site}:{ROOT}")

    return install


def hpcopt_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hpcopt", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_an_installed_packages_solver_is_known_by_its_name(folder, package):
    package("halvings", ["halving = halvings"], halvings=HALVING)
    (folder / "spec.toml").write_text(DATA + '[solver]\nname = "halving"\n')
    done = hpcopt_command("run", str(folder / "spec.toml"), *VIRTUAL, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert described("out")["solver_package"] == "halvings 1.2"
    listed = hpcopt_command("list", "solvers")
    assert "halving " in listed.stdout
    assert listed.stderr == ""


def test_a_broken_package_is_named_and_stops_nobody_who_does_not_need_it(folder, package):
    clash = HALVING.replace("halving", "giant")
    package("broken", ["mine = nowhere", "giant = clash", "yours = empty"], empty="", clash=clash)
    package("halvings", ["halving = halvings"], halvings=HALVING)
    (folder / "spec.toml").write_text(DATA + '[solver]\nname = "halving"\n')
    assert hpcopt_command("run", str(folder / "spec.toml"), *VIRTUAL, "--out", "out").returncode == 0
    reason = "solver 'mine' of package broken 1.2 can't be loaded: ModuleNotFoundError: No module named 'nowhere'"
    for arguments in (["run", str(folder / "spec.toml"), "--set", "solver.name=mine", "--out", "no"], ["show", "mine"]):
        done = hpcopt_command(*arguments)
        assert done.returncode == 1
        assert done.stderr.endswith(f"{reason}\n")
        assert done.stderr.count("\n") == 1
    taken = "solver 'giant' is already registered (in hpcopt.solvers.giant)"
    listed = hpcopt_command("list", "solvers")
    assert listed.returncode == 0
    assert listed.stdout.count("halving") == 1
    assert listed.stderr.splitlines() == [
        f"hpcopt: {reason}",
        f"hpcopt: solver 'giant' of package broken 1.2 can't be loaded: {taken}; take another name",
        "hpcopt: entry point 'yours' of package broken 1.2 registers no solver",
    ]


def test_plain_runs_do_not_look_for_packages(folder, package):
    package("loud", ["loud = loud"], loud="print('loaded')\n" + HALVING)
    (folder / "spec.toml").write_text(DATA + '[solver]\nname = "giant"\n')
    assert hpcopt_command("run", str(folder / "spec.toml"), *VIRTUAL, "--out", "out").stdout == ""
    assert "loaded" in hpcopt_command("list", "solvers").stdout


def test_an_unknown_name_is_told_with_the_nearest_one():
    registry = Registry("solver", group="no.such.group")
    registry.register("halving")(type("Halving", (), {}))
    with pytest.raises(InputError, match=r"unknown solver 'halvin'; did you mean 'halving'\? \(known: halving\)"):
        registry["halvin"]


@pytest.mark.mpi
@requires_mpi
def test_every_rank_loads_the_file(folder):
    done = hpcopt_ranks(3, "run", folder / "spec.toml", "--set", 'cluster.reduction="ordered"', "--out", "out")
    assert done.returncode == 0, done.stderr
    assert described("out")["nodes"] == 3
    assert main(["run", str(folder / "spec.toml"), *VIRTUAL, "--out", "virtual"]) == 0
    with np.load("out/model.npz") as ranks, np.load("virtual/model.npz") as virtual:
        np.testing.assert_array_equal(ranks["coef"], virtual["coef"])


@pytest.mark.mpi
@requires_mpi
def test_a_file_that_fails_is_told_once_for_all_ranks(folder):
    (folder / "halving.py").write_text(HALVING + "1 / 0\n")
    done = hpcopt_ranks(3, "run", folder / "spec.toml", "--out", "out")
    assert done.returncode == 1
    assert done.stderr.count("ZeroDivisionError: division by zero") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("fault", [" ", "1 / 0\n"])
def test_ranks_with_different_files_are_refused(folder, fault):
    for rank in range(3):
        (folder / f"{rank}").mkdir()
        shutil.copy(folder / "halving.py", folder / f"{rank}" / "halving.py")
    (folder / "2" / "halving.py").write_text(HALVING + fault)
    program = (
        "import os, sys\n"
        "from mpi4py import MPI\n"
        "from hpcopt.cli.main import main\n"
        f"os.chdir(os.path.join({str(folder)!r}, str(MPI.COMM_WORLD.rank)))\n"
        "sys.exit(main(['run', '../spec.toml', '--out', '../out']))\n"
    )
    done = python_ranks(3, program, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    wanted = "rank 2 has read a different halving.py than rank 0: is it the same file?"
    assert done.stderr.count(wanted if fault == " " else "division by zero (on rank 2 of 3)") == 1
    assert not (folder / "out").exists()
