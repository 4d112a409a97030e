"""Failing together: an error found on one process is raised on all of them and reported once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hpcopt.errors import AgreedError, InputError, Remedy, out_of_memory
from hpcopt.fabric.group import Group


@contextmanager
def agreed(group: Group, *, one_tells: bool = False) -> Iterator[None]:
    """Wrap local work that may find bad input: either all members succeed, or all raise the same error.

    The body must not contain a collective operation of `group`.

    Parameters
    ----------
    one_tells
        Whether only one member checks; the message then omits its rank, which is of no interest.

    Raises
    ------
    AgreedError
        On every member, with the message of the lowest rank that failed (and the failed ranks, if only some failed).
    """
    message, remedy = "", None
    try:
        yield
    except InputError as error:
        message, remedy = error.message, error.remedy
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except MemoryError as error:
        message = out_of_memory(error)
    _raise_together(group, message, remedy, one_tells=one_tells)


def _raise_together(group: Group, message: str, remedy: Remedy | None, *, one_tells: bool) -> None:
    if group.size == 1:
        if message:
            raise AgreedError(message, remedy)
        return
    group.pause()
    own = f"{message}\0{remedy.name if remedy else ''}" if message else ""
    told = [
        bytes(m).decode(errors="surrogateescape")
        for m in group.allgather(np.frombuffer(own.encode(errors="surrogateescape"), dtype=np.uint8))
    ]
    failed = [rank for rank, text in enumerate(told) if text]
    if failed:
        where = "" if one_tells or len(failed) == group.size else f" (on {_ranks(failed)} of {group.size})"
        text, _, name = told[failed[0]].rpartition("\0")
        raise AgreedError(text + where, Remedy[name] if name else None)


def _ranks(ranks: list[int]) -> str:
    shown = ", ".join(map(str, ranks[:4])) + (", ..." if len(ranks) > 4 else "")
    return f"rank {shown}" if len(ranks) == 1 else f"ranks {shown}"
