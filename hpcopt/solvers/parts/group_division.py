"""Prague's group generator: random groups of workers that average their models, in one global order.

Every worker has a buffer, a queue of the groups it belongs to. A worker that has finished a gradient waits for the
first group in its buffer; if the buffer is empty, it makes a request, and groups are drawn. A group is carried out, and
its members average, when all of them have arrived and it is the oldest in each member's buffer: the global order of the
groups prevents a deadlock of overlapping groups. The oldest group never waits for another one, so all workers make
progress.

Prague (Luo, He, Zhuo, Qian, ASPLOS 2020, arXiv 1909.08029) keeps the buffers in a central process. Here they are a pure
function of a shared state and events (a `fabric.board.Machine`). The paper's listing was not available when this was
written. Our choices are the group sizes if the workers cannot be divided evenly, departures, and that the filter drops
workers behind the requesting one, never those ahead, so that a slow worker still finds a group.

    ARRIVE (j, counter)   j has computed `counter` gradients, and waits
    STOP (j)              all workers that wait or arrive from now on are told STOPPED
    DETACH (j)            j leaves all its groups for good; a group with one member left is dissolved

Simultaneous events form one batch: arrivals first, then departures, then requests of workers with an empty buffer, in
the order of their ranks. A worker gets one answer for each arrival, GROUP or STOPPED. The number of the next group and
the seed determine the draw, so it is the same wherever the state is processed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Words
from hpcopt.checks import at_least
from hpcopt.fabric.board import Mail
from hpcopt.fabric.streams import key
from hpcopt.kernels.pathsearch import ARRIVE, DETACH, GROUP, STOP, STOPPED

__all__ = ["ARRIVE", "DETACH", "GROUP", "STOP", "STOPPED", "Averaging", "GroupDivision"]

_HEADER = 5
_DRAWN, _CARRIED, _PARTICIPATIONS, _STOPPING, _WAITING_GROUPS = range(_HEADER)
_NOBODY = -1
_GONE, _COMPUTING, _WAITING = -1, 0, 1

_Group = tuple[int, list[int]]
"""A group's number, and its members in ascending order."""


@dataclass(frozen=True, eq=False)
class Averaging:
    """The answer to a worker.

    Parameters
    ----------
    kind
        GROUP: its group averages now. STOPPED: its model goes into no average, now or later.
    number
        The group's number, from 0, in the order of drawing; for STOPPED, the number of groups drawn. The remaining
        fields are for GROUP only.
    members
        Shape (m,): the group, ascending; the worker alone if no other was available.
    counters
        Shape (m,): the number of gradients that each member has computed.
    carried
        Number of groups carried out so far, including this one.
    participations
        Number of gradients that went into averages so far, including this group's.
    """

    kind: int
    number: int
    members: NDArray[np.int64]
    counters: NDArray[np.int64]
    carried: int
    participations: int

    @classmethod
    def of(cls, mail: Words) -> Averaging:
        """Decode a mail of `GroupDivision`."""
        kind, number = mail[:2].tolist()
        if kind == STOPPED:
            return cls(kind, number, mail[2:], mail[2:], 0, 0)
        m = int(mail[2])
        carried, participations = mail[3 + 2 * m :].tolist()
        return cls(kind, number, mail[3 : 3 + m], mail[3 + m : 3 + 2 * m], carried, participations)


class GroupDivision:
    """The generator: a `fabric.board.Machine`.

    There are never more waiting groups than workers, since a worker makes a request only with an empty buffer.
    A worker must not arrive again before it has received GROUP or STOPPED.

    Parameters
    ----------
    n
        Number of workers, at least 1.
    size
        Size of a group, at least 2; all workers if there are fewer.
    seed
        Seed of the draws.
    division
        Which workers are grouped at a request. True: all workers with an empty buffer are divided into groups as equal
        as possible and no larger than `size`, so no two waiting groups overlap; a worker that would be alone, other
        than the requesting one, is left out. False: the requesting worker and others drawn from all.
    slack
        Only workers are drawn that have computed at most this many gradients fewer than the requesting one; negative:
        no limit.

    Raises
    ------
    InputError
        If `size` is below 2.
    """

    def __init__(self, n: int, size: int, *, seed: int, division: bool = True, slack: int = -1) -> None:
        at_least(2, group_size=size)
        self.n = n
        self.size = min(size, n)
        self.seed = seed
        self.division = division
        self.slack = slack
        self.words = _HEADER + 2 * n + n * (1 + self.size)
        self.mail = 5 + 2 * self.size

    def begin(self, state: Words) -> None:
        state[_HEADER + 2 * self.n :] = _NOBODY

    def apply(self, state: Words, events: Words) -> list[Mail]:
        counters, status, groups = self._unpack(state)
        mails: list[Mail] = []
        brought = events.tolist()
        for kind, j, counter in brought:  # process all arrivals first
            if kind == ARRIVE and (state[_STOPPING] or status[j] == _GONE):
                mails.append(_stopped(j, state))
            elif kind == ARRIVE:
                counters[j], status[j] = counter, _WAITING
        before = groups
        for kind, j, _ in brought:
            if kind == STOP:
                state[_STOPPING] = 1
            elif kind == DETACH:
                status[j] = _GONE
                groups = _without(groups, j)
        waiting = {j for j, does in enumerate(status.tolist()) if does == _WAITING}
        if state[_STOPPING]:
            mails += [_stopped(j, state) for j in sorted(waiting)]
            status[list(waiting)] = _COMPUTING
            groups = []
        else:
            groups = self._with_drawn(state, counters, status, waiting, groups)
            groups = _carry_out(state, counters, status, waiting, groups, mails)
        if groups != before:
            self._pack(state, groups)
        return mails

    def _unpack(self, state: Words) -> tuple[Words, Words, list[_Group]]:
        """Return views of the counters and of each worker's activity, and the waiting groups, oldest first."""
        counters, status = state[_HEADER : _HEADER + 2 * self.n].reshape(2, self.n)
        rows = self._table(state)[: state[_WAITING_GROUPS]].tolist()
        groups = [(number, [j for j in row if j != _NOBODY] if row[-1] == _NOBODY else row) for number, *row in rows]
        return counters, status, groups

    def _pack(self, state: Words, groups: list[_Group]) -> None:
        table = self._table(state)
        table[len(groups) : state[_WAITING_GROUPS]] = _NOBODY
        state[_WAITING_GROUPS] = len(groups)
        if groups:
            table[: len(groups)] = [
                [number, *members, *[_NOBODY] * (self.size - len(members))] for number, members in groups
            ]

    def _table(self, state: Words) -> Words:
        return state[_HEADER + 2 * self.n :].reshape(self.n, 1 + self.size)

    def _with_drawn(
        self, state: Words, counters: Words, status: Words, waiting: set[int], groups: list[_Group]
    ) -> list[_Group]:
        """Return the groups, followed by those drawn for all workers that wait with an empty buffer."""
        grouped = {j for _, members in groups for j in members}
        drawn: list[_Group] = []
        for j in sorted(waiting - grouped):
            if j in grouped:  # by an earlier draw
                continue
            drawable = status != _GONE
            if self.slack >= 0:
                drawable &= counters >= counters[j] - self.slack
            if self.division:
                drawable[list(grouped)] = False
            drawable[j] = False
            number = int(state[_DRAWN])
            rng = np.random.Generator(np.random.Philox(key=key(self.seed, self.n, number)))  # no worker has rank n
            others = rng.permutation(np.flatnonzero(drawable)).tolist()
            for members in self._divided([j, *others]):
                drawn.append((number, sorted(members)))
                grouped.update(members)
                number += 1
            state[_DRAWN] = number
        return groups + drawn

    def _divided(self, workers: list[int]) -> list[list[int]]:
        """Divide the drawn workers into groups; the first one made the request."""
        if not self.division:
            return [workers[: self.size]]
        count = -(-len(workers) // self.size)
        small, larger = divmod(len(workers), count)
        ends = [small * group + min(group, larger) for group in range(count + 1)]
        parts = [workers[first:last] for first, last in pairwise(ends)]
        return [part for place, part in enumerate(parts) if place == 0 or len(part) > 1]


def _without(groups: list[_Group], j: int) -> list[_Group]:
    """Return the groups without worker j; groups with one member left are dissolved."""
    rest = [(number, [i for i in members if i != j], len(members)) for number, members in groups]
    return [(number, members) for number, members, before in rest if len(members) > 1 or len(members) == before]


def _carry_out(
    state: Words, counters: Words, status: Words, waiting: set[int], groups: list[_Group], mails: list[Mail]
) -> list[_Group]:
    """Carry out the groups that are ready, oldest first; return those that still wait.

    Removes from `waiting` the workers that average, and those that are in an older waiting group. One pass over the
    groups is enough: a worker that has averaged computes next, so none of its later groups can be ready.
    """
    rest: list[_Group] = []
    for number, members in groups:
        turn = waiting.issuperset(members)
        waiting.difference_update(members)
        if not turn:
            rest.append((number, members))
            continue
        status[members] = _COMPUTING
        state[_CARRIED] += 1
        state[_PARTICIPATIONS] += len(members)
        words = [GROUP, number, len(members), *members, *counters[members].tolist()]
        told = np.array([*words, state[_CARRIED], state[_PARTICIPATIONS]], dtype=np.int64)
        mails += [(j, told.copy()) for j in members]
    return rest


def _stopped(j: int, state: Words) -> Mail:
    return j, np.array([STOPPED, state[_DRAWN]], dtype=np.int64)
