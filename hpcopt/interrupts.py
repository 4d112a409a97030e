"""Ended at any moment: SIGINT and SIGTERM end the program soon and with one line, whatever it is doing.

Python runs handlers of signals between its own instructions: a rank that waits in MPI for another would never come to
them, and an exception that a handler raises may be lost in a library that is being imported. So a thread is woken
instead (`signal.set_wakeup_fd`), which undoes what is half done, says what is kept, and ends the process.

Nothing happens to signals until `listen` is called, which only the command line does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_undos: list[Callable[[], object]] = []
_kept: list[Callable[[], str]] = []


class Ending(Protocol):
    """How a process that was interrupted ends; implemented by what knows of the job."""

    def patience(self, *, asked_to_end: bool) -> float:
        """Return for how many seconds to wait before saying anything, as another process may speak for all."""

    def place(self) -> str:
        """Return which process of the job this one is, " (on rank 2)", nothing where it speaks for all."""

    def end(self, code: int) -> NoReturn:
        """End this process, and the job with it."""


def listen(ending: Ending) -> None:
    """Let an interrupt end this process from now on; to be called in the main thread.

    A signal that whoever started the process wants ignored (as `nohup` and a shell's background do) stays ignored.
    """
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in heard:
        signal.signal(number, _heard)
    threading.Thread(target=_wait, args=(reader, heard, ending), daemon=True).start()


@contextlib.contextmanager
def undoing(undo: Callable[[], object]) -> Iterator[None]:
    """Have `undo` called if an interrupt ends the process meanwhile."""
    _undos.append(undo)
    try:
        yield
    finally:
        _undos.remove(undo)


@contextlib.contextmanager
def keeping(what: Callable[[], str]) -> Iterator[None]:
    """Have an interrupt meanwhile say what it leaves, which `what` returns when it is asked then."""
    _kept.append(what)
    try:
        yield
    finally:
        _kept.remove(what)


def _heard(number: int, frame: object) -> None:
    """Do nothing: the thread that was woken does it."""


def _wait(reader: int, heard: list[signal.Signals], ending: Ending) -> None:
    number = 0
    while number not in heard:
        number = os.read(reader, 1)[0]
    for undo in reversed(_undos.copy()):
        with contextlib.suppress(Exception):  # what can't be undone must not keep the program from its end
            undo()
    time.sleep(ending.patience(asked_to_end=number == signal.SIGTERM))
    line = f"hpcopt: error: interrupted ({signal.Signals(number).name}){ending.place()}"
    for what in _kept.copy():
        with contextlib.suppress(Exception):
            line += f"; {what()}"
    line += "\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode(errors="backslashreplace"))  # past Python's own buffers, whose lock others may hold
    ending.end(128 + number)
