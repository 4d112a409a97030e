"""Solvers from outside this package: from files of one's own.

A file is executed once for each content that it has had, as a module of its own; what it registers then exists as the
solvers of this package do. Of all files only those that were asked for last are known: a run depends on what its
specification names, not on what the process has loaded before.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from hpcopt.errors import InputError
from hpcopt.solvers.base import SOLVERS, Solver

Kind = type[Solver[Any]]


@dataclass(frozen=True)
class SolverFile:
    """A file that registers solvers.

    Attributes
    ----------
    path
        As it was given.
    sha256
        Of its content, in hexadecimal.
    kinds
        The solvers' classes by name.
    """

    path: str
    sha256: str
    kinds: dict[str, Kind]


_executed: dict[Path, SolverFile] = {}  # by the resolved path: its newest content
_known: dict[str, SolverFile] = {}  # by the names in SOLVERS that files have brought


def load_files(paths: Iterable[str | Path]) -> list[SolverFile]:
    """Make the solvers of these files known, and those of no other file; a file that has changed is loaded anew.

    Raises
    ------
    InputError
        In one line with file and line: no such file, no valid Python, an exception while it is executed, nothing
        registered, a name that is there already, a class that is no solver.
    """
    SOLVERS.forget(_known)
    _known.clear()
    files = [_loaded(path) for path in dict.fromkeys(map(Path, paths))]
    for file in files:
        for name, kind in file.kinds.items():
            if name in _known and _known[name].kinds[name] is not kind:
                raise InputError(f"{file.path}: solver '{name}' is there already (in {_known[name].path})")
            if name not in _known:
                SOLVERS.enter(name, kind)
                _known[name] = file
    return files


def file_of(name: str) -> SolverFile | None:
    """Return the file that brought the solver of that name; None for those of this package and of others."""
    return _known.get(name)


def line_in(path: str, error: BaseException) -> str:
    """Return ", line 7", the innermost line of the file `path` that `error` came through; "" if through none."""
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f", line {lines[-1]}" if lines else ""


def told(error: BaseException) -> str:
    """Return what an exception says, in one line, with its type unless it is meant for a person."""
    text = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _loaded(path: Path) -> SolverFile:
    """Return what the file registers, executed unless this content was executed before."""
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a Python file that registers a solver") from None
    digest, place = hashlib.sha256(source).hexdigest(), path.resolve()
    if place not in _executed or _executed[place].sha256 != digest:
        _executed[place] = SolverFile(str(path), digest, _kinds(source, str(path), f"{path.stem}_{digest[:12]}"))
    return replace(_executed[place], path=str(path))


def _kinds(source: bytes, path: str, module_name: str) -> dict[str, Kind]:
    """Execute the file as a module of that name; return what it registers, which is not yet known by that."""
    module = ModuleType(module_name)
    module.__file__ = path
    sys.modules[module_name] = module  # where dataclasses and msgspec look annotations up
    try:
        with SOLVERS.aside() as kinds:
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(f"{path}{line_in(path, error)}: {told(error)}") from None
    if not kinds:
        raise InputError(f'{path}: registers no solver; expected a class with @register("its-name") above it')
    for name, kind in kinds.items():
        fault = _fault(kind)
        if fault:
            raise InputError(f"{path}: '{name}' {fault}")
    return kinds


def _fault(kind: Any) -> str | None:
    """Return why what was registered is no solver, None if it is one."""
    if not isinstance(kind, type) or not issubclass(kind, Solver):
        return "is no solver; expected a class that derives from Solver"
    lacking = sorted(getattr(kind, "__abstractmethods__", ()))
    if lacking:
        return f"lacks {', '.join(lacking)}"
    if not hasattr(kind, "__dataclass_fields__"):
        return "is no dataclass; put @dataclass(frozen=True, kw_only=True) between @register and the class"
    return None
