"""The progress engine of a rank: it serves other ranks and its own messages while the rank computes or waits.

MPI makes progress only when it is called, so a rank that computes or waits for long polls it now and then, by `poke`. A
poll also serves our own message-based services: two-sided windows, mailboxes, surveys.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

SPIN = 50e-6  # seconds of busy waiting: long enough for an answer through shared memory by a free core
LONGEST = 200e-6  # longest sleep in seconds


class Progress:
    """The polls and the waits of one rank.

    Parameters
    ----------
    probe
        Makes a cheap MPI call, so that MPI makes progress.
    now
        The clock for time-outs: the node's, which is stopped during monitoring.
    """

    def __init__(self, probe: Callable[[], object], now: Callable[[], float] = time.perf_counter) -> None:
        self._probe = probe
        self._now = now
        self.services: list[Callable[[], None]] = []
        """Services called at each poll; they must not block."""

    def add(self, service: Callable[[], None]) -> None:
        """Call `service` at each poll; it must not block. All ranks add the same services."""
        self.services.append(service)

    def poke(self) -> None:
        """Poll MPI and all services."""
        self._probe()
        for service in self.services:
            service()

    def wait(self, ready: Callable[[], object], seconds: float = math.inf) -> None:
        """Poll until `ready` returns a true value, or until `seconds` have passed.

        Busily at first, then with growing sleeps, as there may be more ranks than cores.
        """
        began = self._now()
        while not ready():
            self.poke()
            waited = self._now() - began
            if waited >= seconds:
                return
            if waited < SPIN:
                os.sched_yield()
            else:
                time.sleep(min(waited / 4, LONGEST))

    def meet(self, comm: MPI.Comm) -> None:
        """Wait for all ranks of `comm`, polling meanwhile."""
        self.wait(comm.Ibarrier().Test)

    def meet_if_asked(self, comm: MPI.Comm) -> None:
        """Call `meet` if there are services: before a collective, since a blocking MPI call would not serve them."""
        if self.services:
            self.meet(comm)
