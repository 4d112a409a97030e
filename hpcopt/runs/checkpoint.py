"""Snapshots of a run on one node as plain data, and their conversion from and to solver states.

A solver's state holds everything that it keeps between iterations; `node.snapshot` holds the counts of the fabric and
the clock, the oracle's snapshot its current point, and the driver's the rest. Plain data can be stored in a file
without pickle: dicts with string keys, lists, numbers, strings, None and arrays of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.solvers.base import Solver, State

Snapshot = dict[str, Any]
"""The state of a run on one node after a yield of its solver."""


def _forget(snapshot: Snapshot) -> None:
    """Discard a snapshot."""


@dataclass(frozen=True)
class Checkpoints:
    """When snapshots of a run are taken, where they go, and from which one the run resumes.

    Parameters
    ----------
    is_due
        Called after each yield of the solver on this node with the iteration, returns whether a snapshot is taken; of
        a solver in rounds the same on all nodes. None: never.
    keep
        Called with each snapshot, on every node.
    resume
        The snapshot from which to resume, as passed to `keep` on this node; None: start from the beginning. All nodes
        must do the same.
    at_end
        Whether a snapshot is also taken when a stop rule ends the run, so that it can go on with a larger budget.
    follow
        Called at the beginning of an asynchronous run on virtual nodes, on every node, with a function that returns
        the node's snapshot at any time; None: each node takes its own.
    """

    is_due: Callable[[int], bool] | None = None
    keep: Callable[[Snapshot], None] = _forget
    resume: Snapshot | None = None
    at_end: bool = False
    follow: Callable[[Callable[[], Snapshot]], None] | None = None


NO_CHECKPOINTS = Checkpoints()


def meet(node: Node) -> None:
    """Wait for all nodes, booked as monitoring."""
    with node.monitoring():
        node.world.barrier()


def level(node: Node, state: State) -> None:
    """Let the common counters of the nodes' states be the largest of any, when all have stopped; collective."""
    with node.monitoring():
        common = node.world.max(np.array([0.0, *(float(getattr(state, name)) for name in state.COMMON)]))
    for name, value in zip(state.COMMON, common[1:].tolist(), strict=True):
        setattr(state, name, int(value))


def belonging(node: Node, solver: Solver[Any]) -> Snapshot:
    """Return the entries of a snapshot that identify its solver and node."""
    return {"solver": type(solver).name, "rank": node.rank, "size": node.size}


def check_belonging(snapshot: Snapshot, node: Node, solver: Solver[Any]) -> None:
    """Raise an error for a snapshot of another solver or node."""
    for name, value in belonging(node, solver).items():
        if snapshot.get(name) != value:
            raise InputError(f"resume: the checkpoint has {name} {snapshot.get(name)}, this run has {name} {value}")


def packed(value: Any, where: str) -> Any:
    """Return `value` as plain data, copied completely; `where` is its name in messages.

    Raises
    ------
    TypeError
        For anything but numbers, strings, None, arrays of numbers, and dataclasses, lists, tuples and dicts of such;
        keys are strings.
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
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: packed(item, f"{where}.{name}") for name, item in value.items()}
    raise TypeError(f"{where}: a checkpoint holds numbers, strings, arrays and dataclasses of such; got {value!r}")


def unpacked(kind: Any, plain: Any) -> Any:
    """Reverse `packed`: return an instance of `kind`, a dataclass or the annotation of one of its fields."""
    alternatives = [kind, *get_args(kind)]  # X | None is one of its arguments
    if isinstance(plain, dict):
        made: Any = next(found for found in alternatives if is_dataclass(found) or get_origin(found) is dict)
        if get_origin(made) is dict:
            return {name: unpacked(get_args(made)[1], value) for name, value in plain.items()}
        hints = get_type_hints(made)
        return made(**{name: unpacked(hints[name], value) for name, value in plain.items()})
    if isinstance(plain, list):
        lists = next(found for found in alternatives if get_origin(found) in {list, tuple})
        items = [unpacked(get_args(lists)[0], item) for item in plain]
        return tuple(items) if get_origin(lists) is tuple else items
    return plain.copy() if isinstance(plain, np.ndarray) else plain


def unpacked_state(solver: Solver[Any], plain: Snapshot) -> State:
    """Return the state from which `plain` was packed; its class is the solver's type argument, `Solver[SGDState]`.

    Raises
    ------
    InputError
        If `plain` does not fit that class.
    """
    kind = _state_class(type(solver))
    try:
        state: State = unpacked(kind, plain)
    except (TypeError, KeyError, StopIteration) as error:
        raise InputError(f"resume: the checkpoint holds no {kind.__name__} of this version ({error})") from None
    return state


def _state_class(kind: type[Solver[Any]]) -> type[State]:
    """Return the class of a solver's states: the type argument of its base, or of its base's base."""
    bases = [base for parent in kind.__mro__ for base in vars(parent).get("__orig_bases__", ())]
    named = [name for base in bases for name in get_args(base) if isinstance(name, type) and issubclass(name, State)]
    return named[0] if named else State
