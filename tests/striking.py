"""Random faults at random moments on real ranks: `make faults`. Not part of the tests, as it takes long.

python -m tests.striking --faults 100 --seed 1 --log faults.jsonl

A run is started, and a signal is sent to one of its ranks or to its launcher, from its first moment to its last. The
job must end in time, with a word, without an orphan; its last checkpoint must be whole; and resumed, it must end with
the trace and the model of the run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpcopt.fabric.processes import about
from hpcopt.results import checkpoints
from tests.launch import SETTINGS, TAG, find_mpiexec, kill_tagged, sweep_shared_memory

SPECIFICATION = """
[data]
source = "logistic"
rows = 400
features = 20
[problem]
l2 = 0.01
[solver]
name = "NAME"
[cluster]
reduction = "ordered"
[stop]
iterations = COUNT
[checkpoint]
every = EVERY
[output]
operations = false
"""
SOLVERS = {"sgd": (8000, 400), "local-sgd": (2500, 200), "deli-coco": (2500, 200)}  # iterations, between checkpoints
SIZES = (2, 2, 3)  # numbers of ranks, of which one is drawn
KINDS = {  # name -> (signal, whom)
    "kill -9 of a rank": (signal.SIGKILL, "rank"),
    "SIGTERM to a rank": (signal.SIGTERM, "rank"),
    "SIGINT to a rank": (signal.SIGINT, "rank"),
    "SIGTERM to the launcher": (signal.SIGTERM, "launcher"),
    "SIGINT to the launcher": (signal.SIGINT, "launcher"),
    "kill -9 of the launcher": (signal.SIGKILL, "launcher"),
    "a rank pauses for a second": (signal.SIGSTOP, "rank"),
    "a rank stops for good": (signal.SIGSTOP, "rank"),
}
MOMENTS = {  # name -> (the file that is awaited, the seconds after it within which the signal is sent)
    "starting": ("spec.toml", 3.0),
    "solving": ("out/trace.jsonl", 1.0),
    "checkpoint": ("out/checkpoint", 0.5),
    "writing": ("out/model.npz", 0.5),
}
PATIENCE = 180.0  # seconds for a run that nobody ends, on a busy machine
LONGEST = 12.0  # seconds until a job must have ended
WATCHDOG = ("--set", "watchdog.after=2", "--set", "watchdog.abort=true")
WORD = re.compile(r"^hpcopt: (error: .*|checkpointed .*)$", re.MULTILINE)


class Job:
    """A run on ranks, with all processes that it has started."""

    def __init__(self, ranks: int, folder: Path, *arguments: str) -> None:
        self.tag = uuid.uuid4().hex
        self.text = folder / "output.txt"
        environment = {**os.environ, **SETTINGS, TAG: self.tag, "TMPDIR": str(folder), "PYTHONPATH": str(Path.cwd())}
        command = [find_mpiexec(), "-n", str(ranks), sys.executable, "-m", "hpcopt", "run", *arguments]
        with self.text.open("ab") as out:  # appended to, like a batch log
            self.launcher = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True,
            )  # fmt: skip

    def processes(self) -> Iterator[tuple[int, dict[bytes, bytes]]]:
        """Yield the processes that have not ended, each with its environment."""
        for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
            raw = about(pid, "environ")
            if f"{TAG}={self.tag}".encode() in raw:
                yield pid, dict(pair.split(b"=", 1) for pair in raw.split(b"\0") if b"=" in pair)  # type: ignore[misc]

    def rank(self, wanted: int) -> int | None:
        """Return the process of a rank, once it is there."""
        for pid, variables in self.processes():
            told = variables.get(b"OMPI_COMM_WORLD_RANK", variables.get(b"PMI_RANK"))
            if told == str(wanted).encode() and b"hpcopt" in about(pid, "cmdline"):
                return pid
        return None

    def wait(self, seconds: float) -> int | None:
        """Wait for all processes to end; return the launcher's exit code, None if some have not ended in time."""
        end = time.monotonic() + seconds
        try:
            code = self.launcher.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        while any(self.processes()):
            if time.monotonic() > end:
                return None
            time.sleep(0.05)
        return code

    def clean(self) -> None:
        """Kill what is left."""
        kill_tagged(self.tag)
        self.launcher.wait()
        sweep_shared_memory()


def main() -> None:
    """Strike, and print a table; the exit code is 1 if anything has gone wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="a file for a line of JSON about each fault")
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored, also by what is started
    rng = random.Random(asked.seed)
    told: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="faults") as scratch:
        peaceful: dict[tuple[str, int], list[object]] = {}
        for number in range(asked.faults):
            kind = list(KINDS)[number % len(KINDS)]
            name, ranks = rng.choice(list(SOLVERS)), rng.choice(SIZES)
            if (name, ranks) not in peaceful:
                peaceful[name, ranks] = undisturbed(Path(scratch), name, ranks)
            struck = strike(rng, Path(scratch), kind, name, ranks, peaceful[name, ranks])
            told.append(struck)
            line = json.dumps({"number": number, **struck})
            print(line, flush=True)
            if asked.log is not None:
                with asked.log.open("a") as log:
                    log.write(line + "\n")
    print(table(told))
    raise SystemExit(any(one["wrong"] for one in told))


def undisturbed(scratch: Path, name: str, ranks: int) -> list[object]:
    """Make a run that nobody disturbs; return what it ends with."""
    folder = scratch / f"{name}-{ranks}"
    folder.mkdir()
    job = Job(ranks, folder, *arguments(folder, name))
    code = job.wait(PATIENCE)
    job.clean()
    if code != 0:
        raise SystemExit(f"undisturbed, {name} on {ranks} ranks ends with {code}:\n{job.text.read_text()}")
    return ending(folder / "out")


def arguments(folder: Path, name: str) -> list[str]:
    """Return the arguments of a run in a folder, whose specification is written there."""
    iterations, every = SOLVERS[name]
    file = folder / "spec.toml"
    file.write_text(SPECIFICATION.replace("NAME", name).replace("COUNT", str(iterations)).replace("EVERY", str(every)))
    return [str(file), "--out", str(folder / "out")]


def ending(out: Path) -> list[object]:
    """Return what a run has ended with, but for seconds: its trace and its model."""
    records = [json.loads(line) for line in (out / "trace.jsonl").read_text().splitlines()]
    with np.load(out / "model.npz") as model:
        arrays = {name: model[name].tobytes().hex() for name in model.files if model[name].dtype.kind == "f"}
    return [[{key: value for key, value in record.items() if key != "seconds"} for record in records], arrays]


def strike(
    rng: random.Random, scratch: Path, kind: str, name: str, ranks: int, peaceful: list[object]
) -> dict[str, object]:
    """Make a run, strike at a random moment, resume it; return what has happened."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    number, whom = KINDS[kind]
    stays = kind == "a rank stops for good"
    job = Job(ranks, folder, *arguments(folder, name), *(WATCHDOG if stays else ()))
    told: dict[str, object] = {"kind": kind, "solver": name, "ranks": ranks, "wrong": []}
    wrong: list[str] = told["wrong"]  # type: ignore[assignment]
    try:
        moment = "checkpoint" if stays else rng.choice(list(MOMENTS))  # the watchdog watches iterations only
        awaited, longest = MOMENTS[moment]
        while not (folder / awaited).exists() and job.launcher.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, longest))
        victim = rng.randrange(ranks)
        pid = job.launcher.pid if whom == "launcher" else job.rank(victim)
        told["phase"] = phase_of(folder / "out", there=pid is not None, over=job.launcher.poll() is not None)
        at = time.monotonic()
        if pid is not None and job.launcher.poll() is None:
            os.kill(pid, number)
            if kind.endswith("second"):
                time.sleep(1.0)
                os.kill(pid, signal.SIGCONT)
        pauses = kind.endswith("second") or (told["phase"] in {"over", "launch"} and whom == "rank")
        told["code"] = code = job.wait(PATIENCE if pauses else LONGEST)
        told["seconds"] = round(time.monotonic() - at, 2)
        if code is None:
            left = [about(pid, "cmdline")[:80].decode() for pid, _ in job.processes()]
            wrong.append(f"processes are left: {left}")
    except ProcessLookupError:
        told["code"] = job.wait(PATIENCE)
    finally:
        job.clean()
    text = job.text.read_text(errors="replace")
    told["words"] = [word[0] for word in WORD.finditer(text)]
    told["kept"] = kept = checkpoints.whole(folder / "out")
    if "Traceback" in text:
        wrong.append("a traceback")
    again = Job(ranks, folder, *arguments(folder, name), "--resume")
    code = again.wait(PATIENCE)
    again.clean()
    if code != 0:
        wrong.append(f"resumed from {kept[-1:]}, it ends with {code}: {again.text.read_text(errors='replace')[-600:]}")
    elif ending(folder / "out") != peaceful:
        wrong.append("resumed, it ends differently")
    shutil.rmtree(folder)
    return told


def phase_of(out: Path, *, there: bool, over: bool) -> str:
    """Return where a run is, by what is in its folder."""
    if over:
        return "over"
    if not there:
        return "launch"
    if (out / "model.npz").exists():
        return "writing"
    return "solving" if (out / "trace.jsonl").exists() else "starting"


def table(told: list[dict[str, object]]) -> str:
    """Return the table of what has happened, in Markdown."""
    lines = [
        "| fault | number | starting, solving, writing, after the end | longest end | with a word | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        those = [one for one in told if one["kind"] == kind]
        phases = Counter(one.get("phase", "over") for one in those)
        counts = ", ".join(
            str(sum(phases[phase] for phase in group))
            for group in (("launch", "starting"), ("solving",), ("writing",), ("over",))
        )
        during = [one for one in those if one.get("phase") not in {"over", "launch"}]
        longest = max((float(str(one.get("seconds", 0.0))) for one in during), default=0.0)
        words = sum(1 for one in during if one["words"])
        bad = sum(1 for one in those if one["wrong"])
        lines.append(f"| {kind} | {len(those)} | {counts} | {longest:.1f} s | {words} of {len(during)} | {bad} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
