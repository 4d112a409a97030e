"""External solvers: those registered by a file outside this package.

A file is executed as a module, once for each version of its contents. The solvers it registers are kept apart from
those of this package and are found only through the file's name, so that a run depends on its specification and not on
what the process has loaded before.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from hpcopt.errors import InputError
from hpcopt.files import open_file
from hpcopt.registry import Registry
from hpcopt.solvers.base import SOLVERS, Solver

Kind = type[Solver[Any]]
LONGEST_TOLD = 300  # most characters of an exception's text in a message


@dataclass(frozen=True)
class SolverFile:
    """A file that registers solvers.

    Attributes
    ----------
    path
        The path as given.
    sha256
        Hash of its contents, in hexadecimal.
    solvers
        The solvers that it registers.
    """

    path: str
    sha256: str
    solvers: Registry[Kind]


_executed: dict[Path, SolverFile] = {}  # resolved path -> its latest version
_file_of: dict[Kind, SolverFile] = {}


def load_file(path: str | Path) -> SolverFile:
    """Return the solvers that the Python file `path` registers; a changed file is executed again.

    Raises
    ------
    InputError
        In one line with file and line number, if the file does not exist, is invalid Python, raises an exception,
        registers nothing, uses the name of a solver of this package, or registers a class that is not a solver.
    """
    path = Path(path)
    try:
        with open_file(path) as opened:
            source = opened.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a Python file that registers a solver") from None
    digest, place = hashlib.sha256(source).hexdigest(), path.resolve()
    if place not in _executed or _executed[place].sha256 != digest:
        file = SolverFile(str(path), digest, _registered(source, str(path), f"{path.stem}_{digest[:12]}"))
        _executed[place] = file
        _file_of.update({file.solvers[name]: file for name in file.solvers})
    return replace(_executed[place], path=str(path))


def file_of(kind: Kind) -> SolverFile | None:
    """Return the file that a solver's class was loaded from; None for those of installed packages."""
    return _file_of.get(kind)


def line_in(path: str, error: BaseException) -> str:
    """Return the innermost line of the file `path` in the traceback of `error`, as ", line 7"; "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f", line {lines[-1]}" if lines else ""


def told(error: BaseException) -> str:
    """Return an exception's text in one printable line, with its type unless it is an `InputError`."""
    try:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception as another:  # a user's exception that cannot be printed
        said = f"(its text: {type(another).__name__})"
    text = "".join(c if c.isprintable() else "?" for c in " ".join(said.split()))
    text = text if len(text) <= LONGEST_TOLD else f"{text[:LONGEST_TOLD]}..."
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _registered(source: bytes, path: str, module_name: str) -> Registry[Kind]:
    """Execute the file as a module of that name; return the solvers that it registers."""
    module = ModuleType(module_name)
    module.__file__ = path
    sys.modules[module_name] = module  # dataclasses and msgspec look up annotations there
    try:
        with SOLVERS.aside(module_name) as solvers:
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise InputError(f"{path}{line_in(path, error)}: {told(error)}") from None
    if not len(solvers):
        raise InputError(f'{path}: registers no solver; expected a class with @register("its-name") above it')
    for name in solvers:
        fault = _fault(solvers[name])
        if fault:
            raise InputError(f"{path}: '{name}' {fault}")
    return solvers


def _fault(kind: Any) -> str | None:
    """Return why the registered object is not a solver, None if it is one."""
    if not isinstance(kind, type) or not issubclass(kind, Solver):
        return "is not a solver; expected a subclass of Solver"
    lacking = sorted(getattr(kind, "__abstractmethods__", ()))
    if lacking:
        return f"does not define {', '.join(lacking)}"
    if not hasattr(kind, "__dataclass_fields__"):
        return "is not a dataclass; put @dataclass(frozen=True, kw_only=True) between @register and the class"
    return None
