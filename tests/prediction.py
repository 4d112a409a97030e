"""Predicted against measured: seconds of runs on the virtual cluster with a calibration, and on the ranks calibrated.

    python -m tests.prediction measure FOLDER [--ranks 2] [--repeats 5]    every synchronous solver on ranks
    python -m tests.prediction measure FOLDER --hosts 4 --rate 100mbit     on network namespaces; needs root
    python -m tests.prediction measure FOLDER --held-out                   on problems that the model was not made with
    python -m tests.prediction table FOLDER...    predicts the same runs; a table, prediction.csv, prediction.png

All runs make a fixed number of iterations. They are made in turns, a calibration before each turn, and medians over the
turns are compared, since other programs on the machine disturb some turns more than others. Measuring into a folder
again adds turns.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import hpcopt
from hpcopt.solvers import SOLVERS

Problems = dict[str, dict[str, Any]]
PROBLEMS: Problems = {
    "dense": {"loss": "logistic", "data": {"source": "logistic", "rows": 40_000, "features": 100}},
    "sparse": {"loss": "logistic", "data": {"source": "logistic", "rows": 20_000, "features": 2_000, "density": 0.01}},
}
HELD_OUT: Problems = {  # to judge the model by, not to make it with
    "dense": {"loss": "squared", "data": {"source": "least-squares", "rows": 60_000, "features": 30}},
    "sparse": {
        "loss": "squared-hinge",
        "data": {"source": "logistic", "rows": 50_000, "features": 500, "density": 0.02},
    },
}
ITERATIONS = {
    "one-shot": 1,
    "local-newton": 8,
    "multilevel-local-newton": 8,
    "giant": 8,
    "newton-cg": 6,
    "lbfgs": 30,
    "prox-lbfgs": 20,
}
MANY = 150  # iterations of the others
STEP = 0.05
OWN = {  # parameters without a default that suits all problems
    "sgd": {"batch": 32},
    "local-sgd": {"local_steps": 10, "batch": 32},
    "choco-gossip": {"step_size": 0},
}
ROOT = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}  # the ranks' program is of this package
GOAL, MISS = 0.15, 0.25
PATIENCE = 3600  # seconds


class Turns(NamedTuple):
    """How often the runs are made, whether after quick calibrations, and of which problems."""

    repeats: int
    quick: bool
    problems: Problems


def specifications(problems: Problems) -> dict[str, dict[str, Any]]:
    """Return name -> specification of the runs of all synchronous solvers, on the ranks of a job."""
    specs = {}
    for problem, given in problems.items():
        for name in SOLVERS:
            needs = SOLVERS[name].needs
            if needs.pace == "own":
                continue
            table: dict[str, Any] = {"name": name, **OWN.get(name, {})}
            if "step_size" in SOLVERS[name].__dataclass_fields__:
                table.setdefault("step_size", STEP)
            cluster: dict[str, Any] = {"hubs": {}} if needs.topology == "hubs" else {}
            specs[f"{name}, {problem}"] = {
                "data": given["data"],
                "problem": {"loss": given["loss"], "l2": "1/n"},
                "solver": table,
                "cluster": cluster,
                "stop": {"iterations": ITERATIONS.get(name, MANY)},
                "output": {"record_every": 0},
            }
    return specs


def predicted(spec: dict[str, Any], ranks: int, calibration: Path) -> float:
    """Return the seconds of the run on the virtual cluster."""
    cluster = {**spec["cluster"], "kind": "virtual", "workers": ranks, "calibration": str(calibration)}
    return float(hpcopt.run({**spec, "cluster": cluster}).result["seconds"])


@contextmanager
def unlimited() -> Iterator[None]:
    """Let real-time processes have all of a core, instead of 95 % of each second and then nothing for 50 ms."""
    limit = Path("/proc/sys/kernel/sched_rt_runtime_us")
    if os.geteuid() or not limit.exists():
        yield
        return
    before = limit.read_text()
    limit.write_text("-1")
    try:
        yield
    finally:
        limit.write_text(before)


def measure(folder: Path, ranks: int, turns: Turns) -> None:
    """Make the runs on ranks of this machine; write everything to `folder`."""
    from tests.launch import mpiexec

    written = prepare(folder, ranks, turns)
    with unlimited():
        done = mpiexec(ranks, *_command(written, folder, turns), timeout=PATIENCE, env=ROOT)
    print(done.stdout + done.stderr)


def measure_on_hosts(folder: Path, hosts: int, rate: str, turns: Turns) -> None:
    """Make the runs on network namespaces as hosts, one rank on each, whose links have a limited rate."""
    if os.geteuid() or shutil.which("ip") is None:
        raise SystemExit("network namespaces need root and iproute2: nothing measured")
    written = prepare(folder, hosts, turns)
    script = str(Path(__file__).parent / "hosts.sh")
    subprocess.run([script, "up", str(hosts), rate], check=True)
    try:
        command = _command(written, folder, turns)
        with unlimited():
            run = [script, "run", sys.prefix, *command]
            subprocess.run(run, check=True, timeout=PATIENCE, env={**os.environ, **ROOT})
    finally:
        subprocess.run([script, "down"], check=True)


def _command(written: Path, folder: Path, turns: Turns) -> list[str]:
    program = Path(__file__).parent / "ranks" / "prediction.py"
    arguments = [sys.executable, "-m", "mpi4py", program, written, turns.repeats, folder]
    return [*map(str, arguments), *(["quick"] if turns.quick else [])]


def prepare(folder: Path, ranks: int, turns: Turns) -> Path:
    """Write the specifications to `folder`; return their file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("specifications", specifications(turns.problems)), ("place", {"ranks": ranks})):
        file = folder / f"{name}.json"
        if file.exists() and json.loads(file.read_text()) != content:
            raise SystemExit(f"{file}: of other runs than these; name another folder")
        file.write_text(json.dumps(content))
    return folder / "specifications.json"


def compared(folder: Path) -> list[dict[str, Any]]:
    """Return a row for each run: name, predicted and measured seconds, and the error."""
    specs = json.loads((folder / "specifications.json").read_text())
    seen = json.loads((folder / "measured.json").read_text())
    ranks = json.loads((folder / "place.json").read_text())["ranks"]
    calibrations = sorted(folder.glob("calibration-*.toml"))
    rows = []
    for name, spec in specs.items():
        ours = statistics.median(predicted(spec, ranks, each) for each in calibrations)
        real = statistics.median(seen[name])
        solver, problem = name.split(", ")
        row = {"place": folder.name, "solver": solver, "problem": problem, "predicted": ours, "measured": real}
        rows.append({**row, "least": min(seen[name]), "most": max(seen[name]), "error": ours / real - 1.0})
    return rows


def table(folders: list[Path]) -> None:
    """Print the comparison, and write it to prediction.csv and prediction.png in the first folder."""
    rows = [row for folder in folders for row in compared(folder)]
    for row in rows:
        mark = "" if abs(row["error"]) <= MISS else "  <--"
        print(
            f"{row['place']:12} {row['solver']:28} {row['problem']:7} {1e3 * row['predicted']:9.2f} ms"
            f" {1e3 * row['measured']:9.2f} ms ({1e3 * row['least']:.2f} ... {1e3 * row['most']:.2f})"
            f" {100 * row['error']:+6.1f} %{mark}"
        )
    for folder in folders:
        errors = [abs(row["error"]) for row in rows if row["place"] == folder.name]
        missed = sum(error > MISS for error in errors)
        print(
            f"{folder.name}: median error {100 * statistics.median(errors):.1f} %, {missed} of {len(errors)} over 25 %"
        )
    with (folders[0] / "prediction.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, folders[0] / "prediction.png")


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw predicted against measured seconds, with bands of 15 and 25 percent."""
    figure = Figure(figsize=(6, 5.4), layout="constrained")
    axes = figure.subplots()
    seen = [row["measured"] for row in rows] + [row["predicted"] for row in rows]
    ends = np.array([min(seen) / 1.5, max(seen) * 1.5])
    for width, shade in ((MISS, "0.93"), (GOAL, "0.85")):
        axes.fill_between(ends, ends * (1 - width), ends * (1 + width), color=shade, linewidth=0)
    axes.plot(ends, ends, color="0.4", linewidth=1)
    for place, marker in zip(dict.fromkeys(row["place"] for row in rows), "os^Dv", strict=False):
        own = [row for row in rows if row["place"] == place]
        axes.plot(*zip(*((row["measured"], row["predicted"]) for row in own), strict=True), marker, ms=4, label=place)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured seconds", ylabel="predicted seconds")
    axes.legend(title="bands: 15 % and 25 %")
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--ranks", type=int, default=2)
    measuring.add_argument("--repeats", type=int, default=5)
    measuring.add_argument("--hosts", type=int, default=0)
    measuring.add_argument("--rate", default="100mbit")
    measuring.add_argument("--quick", action="store_true")
    measuring.add_argument("--held-out", action="store_true")
    telling = verbs.add_parser("table")
    telling.add_argument("folders", type=Path, nargs="+")
    given = parser.parse_args()
    if given.verb == "table":
        table(given.folders)
        return
    turns = Turns(given.repeats, given.quick, HELD_OUT if given.held_out else PROBLEMS)
    if given.hosts:
        measure_on_hosts(given.folder, given.hosts, given.rate, turns)
    else:
        measure(given.folder, given.ranks, turns)


if __name__ == "__main__":
    main()
