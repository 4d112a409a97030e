"""Progress: what a rank does for others, and for its own messages, while it computes or waits.

MPI moves only when it is called, so whoever computes or waits for long pokes now and then. A poke also does the work of
the services of ours that live on messages: the answers of two-sided windows, mailboxes, surveys.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

SPIN = 50e-6  # seconds of waiting without a sleep: what shared memory and a free core answer in
LONGEST = 200e-6  # seconds of a sleep


class Progress:
    """The pokes and the waits of one rank.

    Parameters
    ----------
    probe
        Lets MPI move.
    now
        The clock of the waits that end after some time: the node's, which stands still while it is measured.
    """

    def __init__(self, probe: Callable[[], object], now: Callable[[], float] = time.perf_counter) -> None:
        self._probe = probe
        self._now = now
        self.services: list[Callable[[], None]] = []
        """What is called at each poke; may not wait."""

    def add(self, service: Callable[[], None]) -> None:
        """Call `service` at each poke; it may not wait. All ranks have the same ones."""
        self.services.append(service)

    def poke(self) -> None:
        """Let things move."""
        self._probe()
        for service in self.services:
            service()

    def wait(self, ready: Callable[[], object], seconds: float = math.inf) -> None:
        """Poke until `ready` returns something true, or so many seconds have gone by.

        At first without a pause; then with sleeps that grow, as ranks may outnumber the cores.
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
        """Wait for all ranks of `comm`."""
        self.wait(comm.Ibarrier().Test)

    def meet_if_asked(self, comm: MPI.Comm) -> None:
        """Do so where others may wait for a service: before a collective, since MPI's waiting knows nothing of them."""
        if self.services:
            self.meet(comm)
