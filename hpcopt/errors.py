"""Errors in the user's input, as opposed to our own mistakes.

An `InputError` carries the one line that the user sees: what was given, where, and what would be right. Any other
exception is a defect of ours and ends the job with a traceback.
"""

from __future__ import annotations

from enum import Enum

_LONGEST = 2000  # characters of a message; its end, which says what would be right, is kept
_END = 800


def in_one_line(message: str) -> str:
    """Return a message that a terminal shows as one line: what cannot be printed is escaped, what is too long is cut.

    Names, paths and values in it come from outside and may hold line breaks or control sequences.
    """
    if not message.isprintable():
        message = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in message)
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - _END]} ... {message[-_END:]}"


def out_of_memory(error: MemoryError) -> str:
    """Return the message about memory that the system did not give: what was asked for, where the error says it."""
    return f"out of memory: {error}" if str(error) else "out of memory"


class Remedy(Enum):
    """What the caller may do instead. The value is the end of the message, for callers from Python.

    The command line replaces it by text with its flags (`hpcopt.cli.options.REMEDIES`): the message itself names keys
    and parameters, never flags.
    """

    FORCE = " (force=True runs it anyway)"
    TOGETHER = " (force=True shows them together anyway, and says how they differ)"
    OVERWRITE = "; give overwrite=True to replace it, or another folder"
    CONTINUE = "; give resume=True to keep its finished runs, overwrite=True to replace it, or another folder"
    CHANGED = "; give overwrite=True as well to run it again, or another folder"
    FOLDER = "; give another output folder"
    FILE = "; give overwrite=True to replace it, or another file"
    RANKS = '; start it without mpiexec, or give kind = "mpi"'
    WORKERS = " (the number of its nodes)"
    COMPARE = "; hpcopt.compare runs several"
    RESUME = "; give resume=True to go on"
    AFRESH = "; give overwrite=True, and not resume=True, to start again, or another folder"


class InputError(ValueError):
    """Bad input; `str(error)` is the one line shown to the user, without a traceback.

    Parameters
    ----------
    message
        What was given, where, and what would be right.
    remedy
        What the caller may do instead.
    """

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        message = in_one_line(message)
        super().__init__(message if remedy is None else message + remedy.value)
        self.message = message
        self.remedy = remedy


class AgreedError(InputError):
    """An `InputError` that all processes of the cluster raise together, after agreement.

    One process reports it and all exit normally, so no process is left waiting in a collective.
    """


class CheckpointedError(AgreedError):
    """A run that was saved and ended because a signal asked for it; all processes raise it together."""


class MissingLibraryError(InputError):
    """A library of an optional extra is not installed; the message names the extra."""
