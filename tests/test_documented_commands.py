"""README and the pages: every command and every Python example runs as printed, page by page.

A page's blocks run in order, in a folder that contains the studies and the files that the page assumes (`BROUGHT`).
Commands that cannot run here are in `INSTEAD`, with a replacement check. A block is a file if the paragraph before it
names one of its kind, the last one named. Shown output is compared without its numbers.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import shlex
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_breast_cancer

from hpcopt.cli.main import main
from hpcopt.errors import InputError
from hpcopt.runs.start import reading
from tests.launch import hpcopt_ranks, requires_mpi

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

BROUGHT = {  # page -> the reader's files
    "checkpoints.md": ["my.toml"],
    "clusters.md": ["my.toml"],
    "data.md": ["t10k-images-idx3-ubyte.gz", "words.txt", "more_words.txt"],
    "operations.md": ["my.toml"],
    "study.md": ["mine.svm"],
    "slurm.md": ["my.toml", "runs/my"],
    "quickstart.md": ["train.svm.bz2", "test.svm.bz2"],
    "trace.md": ["my.toml", "runs/my"],
}
INSTEAD = [  # command -> replacement check; the first match counts
    (r"\. \.venv/bin/activate", "nothing"),
    (r"(apt install|MPICC=mpicc\S* \S*pip install|pre-commit install) ?.*", "nothing"),  # changes the machine
    (r"mpiexec -n 7 hpcopt run hubs.toml", "virtual"),  # two dedicated hubs and five workers
    (r"make .*", "target"),
    (r"pytest .*", "collected"),
    (r"sbatch .*", "submitted"),
    (r"hpcopt submit .*", "dry"),
    (r"(squeue|scancel|tail) .*", "nothing"),  # about a job
    (r"hpcopt compare jobs/studies/local_newton.toml .*", "read"),  # a download, and a study
    (r"hpcopt (bench|calibrate) .*", "help"),
    (r"hpcopt check .*", "help"),  # test_documented_solver runs it
]
SHORTER = {"compare": ["--set", "stop.rounds=3"]}  # verb -> options added on ranks; one process runs all rounds
RANKS = re.compile(r"(?:\.venv/bin/)?mpiexec -n (?P<ranks>\d+) (?:\.venv/bin/)?hpcopt (?P<arguments>.*)")
MOST = 4  # ranks that are started here
MAKES = re.compile(r"hpcopt init .*|python -c .*")  # files for the commands on ranks
BLOCK = re.compile(r"^```(?P<language>[a-z]+)\n(?P<text>.*?)^```$|^```\{.*?^```$", re.MULTILINE | re.DOTALL)
FILES = {language: re.compile(rf"`(\w+\.{suffix})`") for language, suffix in {"python": "py", "toml": "toml"}.items()}


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, text, line, and file name if it is a file."""

    language: str
    text: str
    line: int
    file: str | None


def blocks(page):
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found["language"]:
            before = text[: found.start()].rstrip().rpartition("\n\n")[2]
            named = FILES[found["language"]].findall(before) if found["language"] in FILES else []
            line = text[: found.start()].count("\n") + 1
            yield Block(found["language"], found["text"], line, named[-1] if named else None)


def commands(block):
    """Yield the commands of a block, each with its shown output."""
    if block.language == "bash":
        for line in block.text.replace("\\\n", " ").splitlines():
            command = line.partition("  #")[0].strip()
            if command and not command.startswith("#"):
                yield command, ""
    elif block.language == "console":
        for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = piece.partition("\n")
            yield command, output


def on_ranks(page):
    """Return the commands on ranks of a page."""
    found = [RANKS.fullmatch(command) for block in blocks(page) for command, _ in commands(block)]
    return [(int(ranks["ranks"]), ranks["arguments"]) for ranks in found if ranks and int(ranks["ranks"]) <= MOST]


def bring(name, folder):
    path = folder / name
    if name == "my.toml":
        assert main(["init", name]) == 0
    elif name == "runs/my":
        assert main(["run", "my.toml"]) == 0
    elif name.endswith(".svm.bz2"):
        import bz2

        X, y = load_breast_cancer(return_X_y=True)
        with bz2.open(path, "wb") as file:
            dump_svmlight_file(X / X.max(axis=0), y, file)
    elif name == "mine.svm":
        dump_svmlight_file(*load_breast_cancer(return_X_y=True), str(path))
    elif name.endswith("words.txt"):
        path.write_text("+1 price:2.5 red 17:0.3\n-1 price:0.7 18446744073709551615\n")
    else:  # images and their labels
        labels = (np.arange(400) * 7 % 10).astype(np.uint8)
        images = np.random.default_rng(0).integers(0, 99, (400, 6, 6)).astype(np.uint8)
        images[np.arange(400), labels % 6, 0] = 255
        path.write_bytes(gzip.compress(struct.pack(">4i", 2051, *images.shape) + images.tobytes()))
        beside = path.with_name(name.replace("images-idx3", "labels-idx1"))
        beside.write_bytes(gzip.compress(struct.pack(">2i", 2049, 400) + labels.tobytes()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder in which the commands run, with the studies as in a checkout."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hpcopt"])
    return tmp_path


def hpcopt(arguments):
    """Run the program in this process; return its exit code and output."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(arguments)
    return code, said.getvalue()


def read_only(arguments):
    """Read the specification of a command with its overrides; nothing is run."""

    def start(spec, *, overrides, folder, **_):
        reading(spec, overrides, folder, many=arguments[0] == "compare")
        raise InputError("read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpcopt.runs.start.run", start)
        patch.setattr("hpcopt.studies.compare.compare", start)
        code, said = hpcopt(arguments)
    assert (code, said) == (1, "hpcopt: error: read\n")


def check_instead(how, words):
    if how == "target":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE) or words[1].startswith("mpi-")
    elif how == "collected":
        done = subprocess.run(
            [sys.executable, "-m", *words, "--collect-only", "-p", "no:cacheprovider"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
    elif how == "submitted":
        script = next(place for place, word in enumerate(words) if word.endswith(".sbatch"))
        assert Path(words[script]).exists()
        read_only(words[script + 1 :])
    elif how == "dry":
        assert hpcopt([*words[1:], "--dry-run"])[0] == 0
    elif how == "read":
        read_only(words[1:])
    elif how == "virtual":
        assert hpcopt([*words[words.index("hpcopt") + 1 :], "--virtual", "5"])[0] == 0
    elif how == "help":
        assert hpcopt([words[1], "--help"])[0] == 0


def carry_out(command, shown):
    how = next((how for pattern, how in INSTEAD if re.fullmatch(pattern, command)), None)
    words = shlex.split(command)
    if how is not None:
        check_instead(how, words)
        return
    alone = RANKS.fullmatch(command)
    if alone:
        words = ["hpcopt", *shlex.split(alone["arguments"])]
    if words[0] == "python":
        done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    assert words[0].rpartition("/")[2] == "hpcopt", f"{command}: neither run nor in INSTEAD"
    code, said = hpcopt(words[1:])
    refused = shown.startswith("hpcopt: error: ")
    assert code == int(refused), f"{command}: {said}"
    lines = [loosened(line) for line in said.splitlines()]
    for line in shown.splitlines():
        assert loosened(line) in lines, f"{command} shows\n{line}\nand says\n{said}"


def loosened(line):
    return re.sub(r"-?\d[\d,.e+-]*", "N", " ".join(line.split()))


def carry_out_python(block, names):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(block.text, "page", "exec"), names)
    shown = re.findall(r"^print\(.*\)  # (\S.*)$", block.text, re.MULTILINE)
    for line, wanted in zip(said.getvalue().splitlines(), shown, strict=True):
        assert line.startswith(wanted.removesuffix("..."))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_does_what_the_page_says(page, folder):
    for name in BROUGHT.get(page.name, []):
        bring(name, folder)
    names = {}
    for block in blocks(page):
        place = f"{page.name}, line {block.line}"
        try:
            if block.file is not None:
                Path(block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                carry_out_python(block, names)
            for command, shown in commands(block):
                carry_out(command, shown)
        except Exception as error:
            raise AssertionError(f"{place}: {error}") from error


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("page", [page for page in PAGES if on_ranks(page)], ids=lambda page: page.name)
def test_commands_on_ranks_run_on_that_many(page, folder):
    for name in BROUGHT.get(page.name, []):
        bring(name, folder)
    for block in blocks(page):
        if block.file is not None:
            Path(block.file).write_text(block.text, encoding="utf-8")
        for command, _ in commands(block):
            if MAKES.fullmatch(command):
                carry_out(command, "")
    before = [known for other in PAGES[: PAGES.index(page)] for known in on_ranks(other)]
    before += [(ranks, re.sub(r" --out \S+", "", arguments)) for ranks, arguments in before]
    for ranks, arguments in on_ranks(page):
        if (ranks, arguments) not in before:
            words = shlex.split(arguments)
            done = hpcopt_ranks(ranks, *words, *SHORTER.get(words[0], []), cwd=folder, timeout=120)
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
