"""The house: imports run downward, and only the fabric knows MPI."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hpcopt

ROOT = Path(hpcopt.__file__).parent
FLOORS = [  # from the top down; a room may import those below it and, in its own files, itself
    {"cli"},
    {"scaling"},
    {"studies", "bench", "conformance", "batch", "calibration"},
    {"runs"},
    {"spec"},
    {"results", "models"},
    {"data", "solvers"},
    {"problems", "compression"},
    {"fabric"},
    {"kernels", "topology"},
    {"annotations"},
    {"checks", "registry"},
    {"stored"},
    {"capacity", "outputs"},
    {"arrays", "errors", "files", "portions", "version"},
    {"interrupts"},
]
LEVEL = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
INNER = {  # a room's own rooms, and which of them, "" for its files, each may import; join.py opens them
    "fabric": {
        "": {""},
        "wall": {"", "wall"},
        "mpi": {"", "wall", "mpi"},
        "virtual": {"", "virtual"},
        "join": {"", "wall", "mpi"},
    },
}
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # which may be a room


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    room = room_of(path)
    if room not in LEVEL:
        assert room in {"__init__", "__main__"}
        return
    for name in imports(path):
        assert name != "hpcopt", f"{path} imports the whole package, which stands above all rooms"
        if name.startswith("hpcopt."):
            other = name.split(".")[1]
            assert other == room or LEVEL[other] > LEVEL[room], f"{path} imports {name}"


def inner_room(room, parts):
    first = parts[0].removesuffix(".py")
    return first if first in INNER[room] else ""


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room_of(path) in INNER], ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_inside_a_room_run_one_way(path):
    room = room_of(path)
    here = inner_room(room, path.relative_to(ROOT / room).parts)
    for name in imports(path):
        if name.startswith(f"hpcopt.{room}."):
            assert inner_room(room, name.split(".")[2:]) in INNER[room][here], f"{path} imports {name}"


def files_imported(path, files):
    """Yield which of `files` are imported; a file taken out of its package is not the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield from [name for name in (f"{node.module}.{alias.name}", node.module) if name in files][:1]


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("room", sorted({room_of(path) for path in MODULES} & set(LEVEL)))
def test_no_file_of_a_room_imports_itself_by_way_of_others(room):
    """Imports for the type checker, and those inside functions, count as well."""
    files = {module_of(path): path for path in MODULES if room_of(path) == room}
    graph = {module: set(files_imported(path, files)) for module, path in files.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_fabric_imports_mpi_and_only_launch_reads_the_environment(path):
    if room_of(path) != "fabric":
        assert not any(name.split(".")[0] == "mpi4py" for name in imports(path))
    if "os.environ" in path.read_text() or "os.getenv" in path.read_text():
        assert path.relative_to(ROOT).as_posix() == "fabric/launch.py"


def length(function):
    """Return the lines of a function without its docstring."""
    first = function.body[0]
    lines = function.end_lineno - function.lineno + 1
    return lines - (first.end_lineno - first.lineno + 1) if ast.get_docstring(function) else lines


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short_enough_to_be_read_at_once(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    assert {function.name for function in functions if length(function) > 50} == set()


@pytest.mark.parametrize("heavy", ["sklearn", "matplotlib", "networkx", "rich", "mpi4py.MPI"])
def test_solving_imports_nothing_heavy(heavy):
    needed = "hpcopt.solvers, hpcopt.fabric.virtual.cluster, hpcopt.runs.driver"
    program = f"import sys, {needed}\nsys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_public_names_are_there():
    for name in hpcopt.__all__:
        assert getattr(hpcopt, name)
    with pytest.raises(AttributeError, match="no attribute 'solve'"):
        hpcopt.solve  # noqa: B018
