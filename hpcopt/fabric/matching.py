"""Debugging: before each collective operation, its members compare what they are about to do.

Members that enter different operations would wait for each other forever, or, worse, exchange messages that belong to
different operations. With this observer they end with an error that names what each of them does, and where. It costs
one more collective of short texts for each operation, which is neither counted nor observed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

from hpcopt.errors import InputError
from hpcopt.fabric.group import Group
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.seam import Observer, OfGroups, OfNeighbourhoods, Operation

_ROOTED = frozenset({"reduce", "broadcast", "broadcast_varying", "gather", "gather_varying"})
_OF_ONE_SIZE = frozenset({"sum", "reduce", "max", "broadcast", "gather", "exchange"})
_COLLECTIVE = frozenset((*get_args(OfGroups), *get_args(OfNeighbourhoods)))
_ROOM = Path(__file__).parent


class Matching(Observer):
    """Compares the operations of one node with those of the others.

    Parameters
    ----------
    rank
        The node.
    """

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def begin(self, op: Operation) -> None:
        thing = op.thing
        if op.kind not in _COLLECTIVE or not isinstance(thing, (Group, Neighbourhood)):
            return
        own = _words(op)
        text = f"{own}\0{_place()}".encode()
        told = {self._rank: text, **thing.compare(text)}
        seen = {rank: text.decode(errors="replace").partition("\0") for rank, text in told.items()}
        if all(words == own for words, _, _ in seen.values()):
            return
        alike: dict[str, list[int]] = {}
        for rank, (words, _, place) in sorted(seen.items()):
            alike.setdefault(f"{words} at {place}", []).append(rank)
        in_order = sorted(alike.items(), key=lambda item: min(item[1]))
        words = "; ".join(f"{_ranks(ranks)} in {what}" for what, ranks in in_order)
        raise InputError(f"the ranks are in different operations: {words}")


def _words(op: Operation) -> str:
    words = op.kind.replace("_", " ")
    if op.kind in _OF_ONE_SIZE:
        words += f" of {max(op.sent, op.received)} bytes"
    return f"{words} with root {op.peers[op.peer]}" if op.kind in _ROOTED else words


def _place() -> str:
    """Return the place in the program that calls the fabric."""
    frame = sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).parent == _ROOM:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _ranks(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
