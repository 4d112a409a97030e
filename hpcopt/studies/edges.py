"""Whether the best of a grid lies on its edge, beyond which there may be better values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from hpcopt.errors import InputError
from hpcopt.portions import quantity
from hpcopt.results.choice import Contender
from hpcopt.spec.grid import Variant
from hpcopt.spec.solver_tables import build_solver

_STEP = 1e-6  # relative, to a value beyond the edge


def edges(contender: Contender[Any], variants: Sequence[Variant]) -> Iterator[str]:
    """Yield a line for each key of numbers of which the best cell has the smallest or the largest value.

    Only cells that differ from the best one in no other key count, and no key with which they are all as good. A value
    at the end of the parameter's range, such as a momentum of 0, is not on an edge.
    """
    best = next(variant for variant in variants if variant.label == contender.best.label)
    costs = {cell.label: cell.costs[contender.criterion] for cell in contender.cells}
    if costs[best.label] == math.inf:  # then the objective decides
        costs = {cell.label: cell.costs["objective"] for cell in contender.cells}
    for key, value in best.values.items():
        line = [one for one in variants if key in one.values and _without(one, key) == _without(best, key)]
        found = [quantity(one.values[key]) for one in line]
        known = [each for each in found if each is not None]
        if len(known) < len(found) or len({unit for _, unit in known}) > 1:
            continue
        if len({costs[one.label] for one in line}) == 1:
            continue
        numbers, own = [number for number, _ in known], quantity(value)
        assert own is not None, "in the line"
        for end, side, more in ((min(numbers), "smallest", "smaller"), (max(numbers), "largest", "larger")):
            beyond = _beyond(value, own, up=side == "largest")
            if own[0] == end and any(_is_valid(best, key, other) for other in beyond):
                yield f"{contender.label}: the best {key}, {value}, is the {side} of the grid; try {more} ones"


def _without(variant: Variant, key: str) -> dict[str, Any]:
    return {name: value for name, value in variant.values.items() if name != key}


def _beyond(value: Any, own: tuple[float, str], *, up: bool) -> Iterator[Any]:
    """Yield values a little above or below one: a number, and the next integer if it is one."""
    number, unit = own
    sign = 1 if up else -1
    moved = number + sign * _STEP * (abs(number) or 1.0)
    yield f"{moved:.17g}/{unit.removeprefix('1/')}" if unit else moved
    if isinstance(value, int):
        yield value + sign


def _is_valid(variant: Variant, key: str, value: Any) -> bool:
    """Return whether the solver takes another value of a key."""
    table = {**variant.table}
    here, *inner = [table, *key.split(".")]
    for name in inner[:-1]:
        here[name] = {**here[name]}
        here = here[name]
    here[inner[-1]] = value
    try:
        build_solver(table)
    except InputError:
        return False
    return True
