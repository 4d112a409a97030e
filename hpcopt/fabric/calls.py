"""What a thread is doing, told from its Python stack: the operation of the fabric that it is in, and the stack itself.

Nothing is noted while a run goes on; the stack is read when somebody asks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, get_args

from hpcopt.fabric.board import Board
from hpcopt.fabric.group import Group
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.seam import Kind
from hpcopt.fabric.window import Window

BEFORE = "before "
_DEEPEST = 8  # frames of a stack that are told
_THINGS = {Board: "board", Group: "group", Mailbox: "mailbox", Neighbourhood: "neighbourhood", Window: "window"}
_KINDS = frozenset(get_args(Kind))
_SENT = ("x", "message", "parts")  # names of the arguments that are sent
_ROOM = Path(__file__).parent


def operation(thread: int) -> str:
    """Return the operation of the fabric that a thread is in, in words; "before ..." if an observer holds it up.

    Empty if it is in none.
    """
    before = ""
    for frame in _frames(thread):
        name = frame.f_code.co_name
        if Path(frame.f_code.co_filename).parent != _ROOM:
            continue
        if name == "_begin":
            before = BEFORE
        elif name in _KINDS:
            thing = frame.f_locals.get("self")
            if isinstance(thing, tuple(_THINGS)):
                return before + _words(name, thing, frame.f_locals)
    return ""


def stack(thread: int) -> str:
    """Return the Python stack of a thread in one line, the innermost call first."""
    frames = [f"{Path(f.f_code.co_filename).name}:{f.f_lineno} {f.f_code.co_name}" for f in _frames(thread)]
    return " < ".join([*frames[:_DEEPEST], *(["..."] if len(frames) > _DEEPEST else [])])


def _frames(thread: int) -> Iterator[FrameType]:
    """Yield the frames of a thread, the innermost first."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _words(kind: str, thing: object, variables: dict[str, Any]) -> str:
    name = kind.replace("_", " ")
    sent = next((variables[name] for name in _SENT if name in variables), None)
    size = getattr(sent, "size", None)
    if size is not None:
        name += f" of {size} {'bytes' if getattr(sent, 'itemsize', 8) == 1 else 'numbers'}"
    root = variables.get("root")
    if kind in {"broadcast", "broadcast_varying"}:
        name += f" from {root}"
    elif kind in {"reduce", "gather", "gather_varying"}:
        name += f" to {root}"
    if isinstance(thing, Group):
        return f"{name} in a group of {thing.size}"
    if isinstance(thing, Neighbourhood):
        return f"{name} with neighbours {', '.join(map(str, thing.sources))}"
    return f"{name} of a {next(word for sort, word in _THINGS.items() if isinstance(thing, sort))}"
