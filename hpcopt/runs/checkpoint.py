"""Snapshots of a run on one node, as plain data, and what is made of them: the state of a solver and the driver's own.

A solver's state holds all of it that survives an iteration; `node.snapshot` holds what the fabric has counted and where
the clock stands, the oracle which point it knows, the driver the rest. Plain is what a file without pickle can hold:
dicts with keys that are strings, lists, numbers, strings, None and arrays of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.solvers.base import Solver, State

Snapshot = dict[str, Any]
"""What a run is on one node after a yield of its solver."""


def _forget(snapshot: Snapshot) -> None:
    """Keep nothing."""


@dataclass(frozen=True)
class Checkpoints:
    """When snapshots of a run are taken, who keeps them, and from which one the run goes on.

    Parameters
    ----------
    is_due
        Told how often the solver has yielded on this node, whether a snapshot is taken then; the same on all nodes.
        None: never.
    keep
        Called with each snapshot, on every node.
    resume
        Go on from what `keep` was given on this node; None begins at the start. All nodes do the same.
    """

    is_due: Callable[[int], bool] | None = None
    keep: Callable[[Snapshot], None] = _forget
    resume: Snapshot | None = None


NO_CHECKPOINTS = Checkpoints()


def meet(node: Node) -> None:
    """Wait for all nodes, as a part of monitoring."""
    with node.monitoring():
        node.world.barrier()


def belonging(node: Node, solver: Solver[Any]) -> Snapshot:
    """Return what a snapshot says of where it belongs."""
    return {"solver": type(solver).name, "rank": node.rank, "size": node.size}


def check_belonging(snapshot: Snapshot, node: Node, solver: Solver[Any]) -> None:
    """Refuse a snapshot of another solver, or of another node."""
    for name, value in belonging(node, solver).items():
        if snapshot.get(name) != value:
            raise InputError(f"resume: the checkpoint has {name} {snapshot.get(name)}, this run has {name} {value}")


def packed(value: Any, where: str) -> Any:
    """Return `value` as plain data, nothing of it shared; `where` is its name in messages.

    Raises
    ------
    TypeError
        For anything but numbers, strings, None, arrays of numbers, and dataclasses, lists, tuples and dicts of such.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return value.copy()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: packed(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value)}
    if isinstance(value, list | tuple):
        return [packed(item, f"{where}[{place}]") for place, item in enumerate(value)]
    raise TypeError(f"{where}: a checkpoint holds numbers, strings, arrays and dataclasses of such; got {value!r}")


def unpacked(kind: Any, plain: Any) -> Any:
    """Return what `packed` was given, an instance of `kind`: a dataclass, or an annotation of one of its fields."""
    alternatives = [kind, *get_args(kind)]  # X | None is one of its arguments
    if isinstance(plain, dict):
        made: Any = next(found for found in alternatives if is_dataclass(found))
        hints = get_type_hints(made)
        return made(**{name: unpacked(hints[name], value) for name, value in plain.items()})
    if isinstance(plain, list):
        lists = next(found for found in alternatives if getattr(found, "__origin__", None) in {list, tuple})
        items = [unpacked(get_args(lists)[0], item) for item in plain]
        return tuple(items) if lists.__origin__ is tuple else items
    return plain.copy() if isinstance(plain, np.ndarray) else plain


def unpacked_state(solver: Solver[Any], plain: Snapshot) -> State:
    """Return the state that `plain` was packed from; its class is the one that the solver names, `Solver[SGDState]`.

    Raises
    ------
    InputError
        If it does not fit that class.
    """
    kind = _state_class(type(solver))
    try:
        state: State = unpacked(kind, plain)
    except (TypeError, KeyError, StopIteration) as error:
        raise InputError(f"resume: the checkpoint holds no {kind.__name__} of this version ({error})") from None
    return state


def _state_class(kind: type[Solver[Any]]) -> type[State]:
    """Return the class of a solver's states: what stands in brackets behind its base, or its base's base."""
    bases = [base for parent in kind.__mro__ for base in vars(parent).get("__orig_bases__", ())]
    named = [name for base in bases for name in get_args(base) if isinstance(name, type) and issubclass(name, State)]
    return named[0] if named else State
