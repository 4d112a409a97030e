"""Interrupts: SIGINT, SIGTERM, SIGHUP and SIGUSR1 end the program quickly and with one line, whatever it is doing.

Python runs signal handlers between its own instructions, so a rank that waits inside MPI would never run them, and an
exception from a handler may be lost in a library that is being imported. Therefore a thread is woken instead
(`signal.set_wakeup_fd`). It undoes partial work, reports what is kept, and ends the process.

Work that can be saved and resumed asks for some of the signals (`heeding`): the first one is then only noted, and the
work finds it (`asked`) when it can be saved. A later SIGTERM, and SIGINT at any time, end the program as ever. The same
signal once more within two seconds is an echo: a launcher and a scheduler may both send the one request.

Signals are unaffected until `listen` is called, which only the command line does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_HERALDED = 1.0  # seconds between the herald of a SIGTERM and the signal, at most
_ECHO = 2.0  # seconds in which one request may arrive more than once

_listening: list[signal.Signals] = []
_heeded: list[tuple[signal.Signals, ...]] = []
_asked: dict[int, float] = {}  # signals that have been noted -> when first
_undos: list[Callable[[], object]] = []
_kept: list[Callable[[], str]] = []


class Ending(Protocol):
    """How an interrupted process ends; implemented by the module that knows the job."""

    def patience(self, *, asked_to_end: bool) -> float:
        """Return the seconds to wait before reporting, as another process may report for all."""

    @property
    def herald(self) -> signal.Signals | None:
        """The signal that announces that a SIGTERM is the last signal before SIGKILL; None if none does."""

    def tell(self, line: str, *, by_launcher: bool) -> None:
        """Write a line to the error stream; `by_launcher`: the launcher is about to kill the process."""

    def speaks(self) -> bool:
        """Return whether to report; at most one process of a host does."""

    def place(self) -> str:
        """Return the process's place in the job, such as " on rank 2"; empty if it reports for all."""

    def end(self, code: int) -> NoReturn:
        """End this process, and the job with it."""


def listen(ending: Ending) -> None:
    """Let interrupts end this process from now on; must be called in the main thread.

    A signal that the parent process has set to be ignored (as `nohup` and background jobs of a shell do) stays ignored.
    """
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    _listening.extend([*heard, *([ending.herald] if ending.herald else [])])
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    listen_again()
    threading.Thread(target=_wait, args=(reader, heard, ending), daemon=True).start()


def listen_again() -> None:
    """Install the handlers again, after libraries may have replaced them: UCX replaces that of SIGHUP in MPI_Init."""
    for number in _listening:
        signal.signal(number, _heard)
        signal.siginterrupt(number, False)  # if the signal is only noted, system calls of libraries go on


@contextlib.contextmanager
def undoing(undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` if an interrupt ends the process inside the block."""
    _undos.append(undo)
    try:
        yield
    finally:
        _undos.remove(undo)


@contextlib.contextmanager
def keeping(what: Callable[[], str]) -> Iterator[None]:
    """Let an interrupt inside the block report what is kept; `what` is called at that time."""
    _kept.append(what)
    try:
        yield
    finally:
        _kept.remove(what)


def kept() -> list[str]:
    """Return what is kept if the process ends now, in words."""
    told = []
    for what in _kept.copy():
        with contextlib.suppress(Exception):
            told.append(what())
    return told


def is_listening() -> bool:
    """Return whether signals are handled here, so that a request to save can arrive."""
    return bool(_listening)


@contextlib.contextmanager
def heeding(*numbers: signal.Signals) -> Iterator[None]:
    """Take these signals for requests inside the block: the first of each is noted instead of ending the process."""
    _heeded.append(numbers)
    try:
        yield
    finally:
        _heeded.remove(numbers)


def asked() -> list[str]:
    """Return the names of the signals that were noted."""
    return [signal.Signals(number).name for number in _asked]


def _heard(number: int, frame: object) -> None:
    """Do nothing: the woken thread handles the signal."""


def _is_request(number: int) -> bool:
    """Return whether a signal is to be noted only, and note it.

    The echo of one that was noted is none of its own, even if what it asked for is already done.
    """
    now, first = time.monotonic(), _asked.get(number)
    if first is not None and now - first < _ECHO:
        return True
    if not any(number in numbers for numbers in _heeded):
        return False
    _asked.setdefault(number, now)
    return number != signal.SIGTERM or first is None


def _wait(reader: int, heard: list[signal.Signals], ending: Ending) -> None:
    number, announced = 0, -_HERALDED
    while True:
        number = os.read(reader, 1)[0]
        is_last = number == signal.SIGTERM and time.monotonic() - announced < _HERALDED
        if number in heard and (is_last or not _is_request(number)):
            break
        if number == ending.herald:
            announced = time.monotonic()
    for undo in reversed(_undos.copy()):
        with contextlib.suppress(Exception):  # a failure to undo must not prevent the end
            undo()
    time.sleep(ending.patience(asked_to_end=number != signal.SIGINT))
    line = "; ".join((f"hpcopt: error: interrupted ({signal.Signals(number).name}){ending.place()}", *kept())) + "\n"
    if ending.speaks():
        ending.tell(line, by_launcher=is_last)
    if is_last:
        time.sleep(_HERALDED)  # the launcher ends the job, and has less to say
    ending.end(128 + number)
