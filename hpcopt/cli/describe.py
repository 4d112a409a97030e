"""`hpcopt list KIND` and `hpcopt show NAME`: what there is, read from the registries."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hpcopt.cli.options import SolverFile
from hpcopt.errors import InputError
from hpcopt.registry import Registry, nearest


def registries(solver_file: Path | None = None) -> dict[str, Registry[Any]]:
    """Return every registry by the plural of its kind."""
    from hpcopt.compression import COMPRESSORS
    from hpcopt.problems.losses import LOSSES
    from hpcopt.problems.models import MODELS
    from hpcopt.problems.penalties import PENALTIES
    from hpcopt.solvers import SOLVERS
    from hpcopt.solvers.outside import load_file
    from hpcopt.topology import TOPOLOGIES

    return {
        "solvers": SOLVERS if solver_file is None else SOLVERS.with_those_of(load_file(solver_file).solvers),
        "compressors": COMPRESSORS,
        "topologies": TOPOLOGIES,
        "models": MODELS,
        "losses": LOSSES,
        "penalties": PENALTIES,
    }


def list_(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="solvers, compressors, topologies, models, losses or penalties.")
    ],
    solver_file: SolverFile = None,
) -> int:
    """List the names of one kind with a line each."""
    known = registries(solver_file)
    if kind not in known:
        raise InputError(f"unknown kind '{kind}'{nearest(kind, known)} (known: {', '.join(known)})")
    width = max(map(len, known[kind]))
    for name in known[kind]:
        print(f"{name:<{width}}  {_summary(known[kind][name])}")
    for fault in known[kind].broken.values():
        print(f"hpcopt: {fault}", file=sys.stderr)
    return 0


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of any kind.")], solver_file: SolverFile = None
) -> int:
    """Show a name's parameters, defaults, paper."""
    known = registries(solver_file)
    for registry in known.values():
        if name in registry:
            _show(registry.kind, registry[name])
            return 0
        if name in registry.broken:
            raise InputError(registry.broken[name])
    names = [name for registry in known.values() for name in registry]
    raise InputError(f"unknown name '{name}'{nearest(name, names)} (see: hpcopt list solvers)")


def _summary(entry: type) -> str:
    return (inspect.getdoc(entry) or "").splitlines()[0]


def _show(kind: str, entry: Any) -> None:
    print(f"{entry.name} ({kind})\n")
    print(inspect.getdoc(entry))
    if dataclasses.is_dataclass(entry) and dataclasses.fields(entry):
        print("\nDefaults\n--------")
        for field in dataclasses.fields(entry):
            required = field.default is dataclasses.MISSING
            print(f"{field.name}: required" if required else f"{field.name} = {_shown(field.default)}")
    needs = getattr(entry, "needs", None)
    said = {
        "Needs": needs and needs.words(),
        "Paper": getattr(entry, "paper", None),
        "Floor": getattr(entry, "floor", None),
    }
    for word, value in said.items():
        if value:
            print(f"\n{word}: {value}")


def _shown(value: Any) -> str:
    if dataclasses.is_dataclass(value):
        named = [f'name = "{value.name}"'] if hasattr(value, "name") else []
        inner = [f"{f.name} = {_shown(getattr(value, f.name))}" for f in dataclasses.fields(value)]
        return f"{{ {', '.join([*named, *inner])} }}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value!r}"
