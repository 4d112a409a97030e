"""Workers that finish gradients at random times, driven by the mails of a board's machine."""

from __future__ import annotations

import heapq

import numpy as np

from hpcopt.solvers.parts.pathsearch import ARRIVE, CLOSE, DETACH, PENDING


def play(machine, rng, n, arrivals, departures):
    """Let workers compute at different speeds for a given number of arrivals; yield the events and the mails.

    Some of them leave; those that are told PENDING close a little later. Fails on a deadlock.
    """
    state = np.zeros(machine.words, dtype=np.int64)
    machine.begin(state)
    whole = rng.random() < 0.5  # times that often coincide
    pace = rng.integers(1, 4, n) if whole else rng.choice([1.0, 1.0, 5.0, 50.0], n)
    due = [(float(pace[j]), j, ARRIVE) for j in range(n)]
    leaving = rng.permutation(n)[: min(departures, n - 1)].tolist()
    due += [(float(rng.integers(1, 20)), j, DETACH) for j in leaving]
    heapq.heapify(due)
    publications = [0] * n
    gone = set()
    noise = iter(rng.uniform(0.9, 1.1, 20 * arrivals).tolist())
    while arrivals > 0:
        assert due, "everybody waits"
        now = due[0][0]
        events = []
        while due and due[0][0] == now:
            _, j, kind = heapq.heappop(due)
            if j in gone:
                continue
            if kind == DETACH:
                gone.add(j)
                events = [event for event in events if event[1] != j]
            if kind == ARRIVE:
                publications[j] += 1
                arrivals -= 1
            events.append((kind, j, publications[j] - 1))
        if not events:
            continue
        mails = machine.apply(state, np.array(events, dtype=np.int64))
        yield events, mails
        for j, mail in mails:
            assert len(mail) <= machine.mail
            wait = 0.5 if mail[0] == PENDING else float(pace[j]) * (1.0 if whole else next(noise))
            heapq.heappush(due, (now + wait, j, CLOSE if mail[0] == PENDING else ARRIVE))
    assert len(gone) < n
