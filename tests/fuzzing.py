"""Fuzzing: valid files with random byte changes are read; a result or an InputError is right, all else a defect.

    python -m tests.fuzzing [MUTATIONS] [SEED]     so many of each kind; `make fuzz`

Seeds are fixed: mutation i of a kind is always the same. A limit on the address space (`resource.RLIMIT_AS`, the
current size plus `SPARE_BYTES`) bounds memory, so code that trusts a damaged size gets a MemoryError. The time is
checked after a file has been read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, save_npz

from hpcopt.data import read_table
from hpcopt.errors import InputError
from hpcopt.models.model import Model, load
from hpcopt.problems.models import Affine
from hpcopt.problems.table import _read_start
from hpcopt.results import folder as folders
from hpcopt.spec.specification import read_specification
from hpcopt.topology.edge_list import read

SPARE_BYTES = 1 << 30
SECONDS = 10  # that one file may take
RNG = np.random.default_rng(0)
X = np.round(RNG.standard_normal((12, 5)), 3)
Y = np.where(X[:, 0] > 0, 1.0, -1.0)
TEXT = b"".join(
    b"%d %s # row\n"
    % (label, b" ".join(b"%d:%g" % (column + 1, value) for column, value in enumerate(row) if column % 2))
    for label, row in zip(Y, X, strict=True)
)
TOKENS = [
    *(b"nan", b"inf", b"-1", b"0", b"1e999", b"99999999999", b"2147483647", b"1_0", b":", b" ", b"\n", b"\0", b"\xff"),
    *(b"{", b"}", b"[", b"]", b'"', b"'", b",", b"null", b"true", b"()", b"#", b"qid:1", b"4294967295", b"\xff" * 8),
]
"""Typical damaged numbers, words and brackets."""


def saved(save: Callable[[io.BytesIO], None]) -> bytes:
    """Return what `save` writes into a file."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def idx(array: np.ndarray) -> bytes:
    """Return an array of bytes as an IDX file."""
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype("u1").tobytes()


def sparse() -> bytes:
    """Return a CSR matrix and targets as an archive."""
    members = np.load(io.BytesIO(saved(lambda file: save_npz(file, csr_array(X), compressed=False))))
    return saved(lambda file: np.savez(file, **members, y=Y))


def model() -> bytes:
    """Return the file of a model of hidden layers, trained on two groups of classes."""
    made = Model(
        coef=np.ones((2, 3)),
        intercept=np.zeros(2),
        loss="softmax",
        classes=np.array([0.0, 1.0]),
        meta={"solver": "sgd", "zero_based": None, "positive": [1.0], "negative": [0.0]},
        hidden=(Affine(np.ones((3, 5)), np.zeros(3)),),
        activation="relu",
        family="mlp",
    )
    with tempfile.TemporaryDirectory() as place:
        made.save(Path(place) / "model.npz")
        return (Path(place) / "model.npz").read_bytes()


SPECIFICATION = b"""seed = 3
[data]
source = "logistic"
rows = 100
partition = "shuffled"
test_fraction = 0.2
[problem]
loss = "logistic"
l2 = "1/n"
[solver]
name = "deli-coco"
step_size = 0.1
compressor = { name = "top-k", fraction = 0.1 }
[cluster]
kind = "virtual"
workers = 4
topology = { name = "ring" }
stragglers = { probability = 0.1, slowdown = 10.0 }
[stop]
rounds = 10
target = 0.5
[output]
record_every = 2
"""
RUN = b"""{
 "label": "giant", "problem": "logistic, 100 rows x 20 features on 4 virtual nodes",
 "specification": {"seed": 0, "stop": {"rounds": 5, "target": 0.5, "target_on": "objective"},
  "problem": {"start": "zeros", "l2": "1/n"}, "data": {"path": "a.svm"}, "cluster": {"workers": 4}},
 "data": {"rows": 100, "features": 20}, "seed": 0, "cluster": "virtual", "nodes": 4, "clock": "virtual", "result": null
}
"""
RECORD = (
    b'{"round": 1, "iteration": 1, "seconds": 0.5, "clock": "virtual", "bytes": 800, "messages": 6, "work": 1.0, '
    b'"objective": 0.69, "grad_norm": null, "test_accuracy": 0.5, "consensus": 1e-3, "edge_bytes": 80}\n'
)


@dataclass(frozen=True)
class Kind:
    """Files of a kind: their name, a valid one, and its reader."""

    name: str
    sound: bytes
    read: Callable[[Path], object]


def read_run(path: Path) -> object:
    """Read the folder of a run with one damaged file."""
    for name, content in ((folders.RUN, RUN), (folders.TRACE, RECORD * 3)):
        if path.name != name:
            path.with_name(name).write_bytes(content)
    return folders.read(path.parent)


KINDS = {
    "text": Kind("a.svm", TEXT, read_table),
    "gzip": Kind("a.svm.gz", gzip.compress(TEXT, mtime=0) * 2, read_table),
    "bzip2": Kind("a.svm.bz2", bz2.compress(TEXT) * 2, read_table),
    "xz": Kind("a.svm.xz", lzma.compress(TEXT) * 2, read_table),
    "npy": Kind("a.npy", saved(lambda file: np.save(file, X)), read_table),
    "npz": Kind("a.npz", saved(lambda file: np.savez(file, X=X, y=Y)), read_table),
    "npz, compressed": Kind("a.npz", saved(lambda file: np.savez_compressed(file, X=X.T.copy().T, y=Y)), read_table),
    "npz, sparse": Kind("a.npz", sparse(), read_table),
    "idx": Kind("a-images-idx3-ubyte", idx(np.arange(24).reshape(4, 3, 2)), read_table),
    "idx, gzip": Kind(
        "a-images-idx3-ubyte.gz", gzip.compress(idx(np.arange(24).reshape(4, 3, 2)), mtime=0), read_table
    ),
    "model": Kind("model.npz", model(), load),
    "specification": Kind("a.toml", SPECIFICATION, read_specification),
    "run.json": Kind(folders.RUN, RUN, read_run),
    "trace.jsonl": Kind(folders.TRACE, RECORD * 3, read_run),
    "edges.csv": Kind(
        folders.EDGES, b"sender,receiver,bytes\n0,1,800\n1,0,800\n", lambda path: folders.read_edges(path.parent, 2)
    ),
    "timeline.csv": Kind(
        folders.TIMELINE,
        b"node,kind,begin,end\n0,compute,0,0.5\n1,wait,1e-3,0.25\n",
        lambda path: folders.read_timeline(path.parent),
    ),
    "start": Kind("w0.npy", saved(lambda file: np.save(file, X[0])), lambda path: _read_start(path, 5)),
    "edge list": Kind(
        "edges.txt", b"# a ring\n0 1 0.5\n1 2 0.25\n2 0 1e-1\n", lambda path: read(path, 3, directed=False)
    ),
    "compare.json": Kind(
        folders.INDEX,
        b'{"runs": ["giant", {"folder": "sgd/batch=4/seed=1", "solver": "sgd", "label": "sgd batch=4", '
        b'"values": {"batch": 4}, "seed": 1}], "best": "rounds"}\n',
        lambda path: folders.listed(path.parent),
    ),
}


def mutations(sound: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Yield files with one to four changes: bits flipped, bytes set, removed or doubled, or a token inserted."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        content = bytearray(sound)
        for _ in range(rng.integers(1, 5)):
            place = int(rng.integers(0, len(content) + 1))
            length = int(rng.integers(1, 9))
            match rng.integers(0, 7):
                case 0 if place < len(content):
                    content[place] ^= 1 << int(rng.integers(0, 8))
                case 1:
                    content[place : place + 1] = rng.bytes(1)
                case 2:
                    del content[place : place + length]
                case 3:
                    content[place:place] = content[place : place + length]
                case 4:
                    content[place:place] = TOKENS[int(rng.integers(0, len(TOKENS)))]
                case 5:
                    token = TOKENS[int(rng.integers(0, len(TOKENS)))]
                    content[place : place + len(token)] = token
                case 6 if rng.integers(0, 4) == 0:
                    del content[place:]
        yield bytes(content)


def resealed(kind: Kind, count: int, seed: int) -> Iterator[bytes]:
    """Yield archives with damaged members but correct checksums, which flipped bits would not give."""
    with zipfile.ZipFile(io.BytesIO(kind.sound)) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    names = sorted(members)
    for number in range(count):
        bad = names[number % len(names)]
        (damaged,) = mutations(members[bad], seed + number, 1)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as again:
            for name in names:
                again.writestr(name, damaged if name == bad else members[name])
        yield file.getvalue()


@contextmanager
def bounded() -> Iterator[None]:
    """Limit the process's address space to its current size plus `SPARE_BYTES`."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + SPARE_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def outcome(kind: Kind, content: bytes, place: Path) -> str:
    """Return "read", "refused", or the traceback of an unexpected exception."""
    path = place / kind.name
    path.write_bytes(content)
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kind.read(path)
        end = "read"
    except InputError as error:
        told = str(error)
        end = "refused" if told and told.isprintable() else f"refused in other than one line: {told!r}"
    except Exception:
        return traceback.format_exc()
    taken = time.perf_counter() - begin
    return end if taken < SECONDS else f"{end}, but took {taken:.0f} s"


def fuzz(name: str, count: int, seed: int = 0) -> tuple[dict[str, int], list[str]]:
    """Return the numbers of damaged files read and refused, and the defects found with others."""
    kind = KINDS[name]
    outcomes = {"read": 0, "refused": 0}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        assert outcome(kind, kind.sound, Path(place)) == "read"
        files = [*mutations(kind.sound, seed, count)]
        if kind.name.endswith(".npz"):
            files += resealed(kind, count, seed)
        with bounded():
            for number, content in enumerate(files):
                end = outcome(kind, content, Path(place))
                if end in outcomes:
                    outcomes[end] += 1
                else:
                    wrong.append(f"{name}, file {number}, seed {seed}:\n{end}")
    return outcomes, wrong


def main(arguments: list[str]) -> int:
    """Damage files of every kind; report the results."""
    count = int(arguments[0]) if arguments else 2000
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    failed = 0
    for name in KINDS:
        outcomes, wrong = fuzz(name, count, seed)
        failed += len(wrong)
        told = ", ".join(f"{number} {end}" for end, number in outcomes.items())
        print(f"{name}: {told}, {len(wrong)} defects", flush=True)
        for text in wrong[:3]:
            print(text, flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
