"""The state and the transitions of Pathsearch; `hpcopt.solvers.parts.pathsearch` explains them.

    state   header | parent of each node | publication of each node | one bit for each edge
                     GONE: has left        GONE: is not ready         used in this epoch

Parents form a forest whose trees are the components connected by used edges; the smaller root becomes the root of a
union. Edges are numbered from 0; node j's neighbours are neighbours[starts[j] : starts[j+1]], ascending, and the
numbers of the edges to them are the same slice of `edges`. With 128 nodes of 8 neighbours, an arrival is processed in a
few microseconds.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Words
from hpcopt.kernels.cache import kernel, part

ARRIVE, CLOSE, STOP, DETACH = range(4)  # events
GROUP, PENDING, STOPPED = range(1, 4)  # mails
ALL_LINKED, ALL, PIECE, STAR = range(4)  # members of an iteration

HEADER = 8
K, EPOCH, PARTICIPATIONS, ALIVE, PIECES, FEWEST, STOPPING, WAITS = range(HEADER)
GONE = -1

ADDRESS = 2  # words before a mail: the receiving node and the length
INTRODUCTION = 5  # words of a group's mail before its entries
ENTRY = 3  # rank, publication, bits of the weight


@part()
def _root(parents: Words, j: int) -> int:
    while parents[j] != j:
        parents[j] = parents[parents[j]]  # halves the path
        j = parents[j]
    return j


@part()
def _unite(parents: Words, i: int, j: int) -> int:
    """Unite two nodes' trees; return by how much the number of trees decreases."""
    a, b = _root(parents, i), _root(parents, j)
    if a == b:
        return 0
    parents[max(a, b)] = min(a, b)
    return 1


@part()
def _alone(j: int, starts: Words, neighbours: Words, parents: Words) -> bool:
    """Return whether all neighbours of node j have left."""
    for at in range(starts[j], starts[j + 1]):  # noqa: SIM110  # numba inlines a loop
        if parents[neighbours[at]] != GONE:
            return False
    return True


@kernel()
def _finds(
    j: int, by_piece: bool, starts: Words, neighbours: Words, edges: Words, parents: Words, ready: Words, used: Words
) -> bool:
    """Return whether node j is ready and has a new edge to another ready node."""
    if ready[j] == GONE:
        return False
    for at in range(starts[j], starts[j + 1]):
        i, edge = neighbours[at], edges[at]
        if ready[i] == GONE:
            continue
        if by_piece:
            if _root(parents, i) != _root(parents, j):
                return True
        elif (used[edge >> 6] >> (edge & 63)) & 1 == 0:
            return True
    return False


@kernel()
def _closer(
    waited: int,
    events: Words,
    by_piece: bool,
    starts: Words,
    neighbours: Words,
    edges: Words,
    parents: Words,
    ready: Words,
    used: Words,
) -> int:
    """Return a node with a new edge: one whose grace is over, else the lowest arrival, else a waiting one; or GONE."""
    n = ready.size
    if waited != GONE and _finds(waited, by_piece, starts, neighbours, edges, parents, ready, used):
        return waited
    lowest = n
    for event in range(events.shape[0]):
        kind, j, _ = events[event]
        if kind == ARRIVE and j < lowest and _finds(j, by_piece, starts, neighbours, edges, parents, ready, used):
            lowest = j
    if lowest < n:
        return lowest
    for j in range(n):  # after a close or a departure, nodes that found no new edge before may have one
        if _finds(j, by_piece, starts, neighbours, edges, parents, ready, used):
            return j
    return GONE


@part()
def _next_epoch(state: Words, parents: Words, used: Words) -> None:
    """Start a new epoch if the used edges connect everything that the graph of present nodes connects."""
    if state[PIECES] != state[FEWEST]:
        return
    state[EPOCH] += 1
    state[PIECES] = state[ALIVE]
    used[:] = 0
    for j in range(parents.size):
        if parents[j] != GONE:
            parents[j] = j


@kernel()
def _choose(closer: int, members: int, starts: Words, neighbours: Words, ready: Words) -> Words:
    """Return 0 for each node that takes part in the closer's iteration, and GONE for the others."""
    n = ready.size
    taken = np.full(n, GONE)
    if members in {ALL, ALL_LINKED}:
        for j in range(n):
            if ready[j] == GONE:
                continue
            linked = members == ALL
            for at in range(starts[j], starts[j + 1]):
                linked |= ready[neighbours[at]] != GONE
            if linked:
                taken[j] = 0
        return taken
    taken[closer] = 0
    found, last = np.empty(n, dtype=np.int64), 1  # breadth-first search, with one step for a star
    found[0] = closer
    at_node = 0
    while at_node < last:
        j = found[at_node]
        at_node += 1
        for at in range(starts[j], starts[j + 1]):
            i = neighbours[at]
            if ready[i] != GONE and taken[i] == GONE:
                taken[i] = 0
                found[last] = i
                last += 1
        if members == STAR:
            break
    return taken


@part()
def _tell(kind: int, j: int, k: int, out: Words, end: int) -> int:
    """Write a mail of two words to node j; return the new end of the mails."""
    out[end], out[end + 1], out[end + 2], out[end + 3] = j, 2, kind, k
    return end + ADDRESS + 2


@part()
def _use_edges(
    state: Words, degrees: Words, starts: Words, neighbours: Words, edges: Words, parents: Words, used: Words
) -> None:
    """Count each node's edges among the nodes whose `degrees` is not GONE, and mark these edges as used."""
    for j in range(degrees.size):
        if degrees[j] == GONE:
            continue
        for at in range(starts[j], starts[j + 1]):
            i, edge = neighbours[at], edges[at]
            if degrees[i] == GONE:
                continue
            degrees[j] += 1
            if j < i:
                used[edge >> 6] |= np.int64(1) << (edge & 63)
                state[PIECES] -= _unite(parents, i, j)


@part()
def _introduce(
    state: Words, j: int, degrees: Words, starts: Words, neighbours: Words, ready: Words, out: Words, end: int
) -> int:
    """Write to node j its partners and their weights; return the new end of the mails."""
    weights = out.view(np.float64)  # a view of the same words
    out[end], out[end + 1] = j, INTRODUCTION + ENTRY * (degrees[j] + 1)
    end += ADDRESS
    out[end], out[end + 1], out[end + 2] = GROUP, state[K], state[EPOCH]
    out[end + 3], out[end + 4] = state[PARTICIPATIONS], degrees[j] + 1
    entry = end + INTRODUCTION
    own, others = GONE, 0.0
    for at in range(starts[j], starts[j + 1]):
        i = neighbours[at]
        if degrees[i] == GONE:
            continue
        if own == GONE and i > j:
            own = entry
            entry += ENTRY
        weight = 1.0 / (1.0 + max(degrees[i], degrees[j]))
        others += weight
        out[entry], out[entry + 1], weights[entry + 2] = i, ready[i], weight
        entry += ENTRY
    if own == GONE:
        own = entry
        entry += ENTRY
    out[own], out[own + 1], weights[own + 2] = j, ready[j], 1.0 - others
    return entry


@kernel()
def _iterate(
    state: Words,
    taken: Words,
    starts: Words,
    neighbours: Words,
    edges: Words,
    parents: Words,
    ready: Words,
    used: Words,
    out: Words,
    end: int,
) -> int:
    """Complete an iteration of the nodes whose `taken` is 0, and overwrite it; return the new end of the mails."""
    n = ready.size
    state[K] += 1
    for j in range(n):
        state[PARTICIPATIONS] += taken[j] != GONE
    _use_edges(state, taken, starts, neighbours, edges, parents, used)
    for j in range(n):
        if taken[j] != GONE:
            end = _introduce(state, j, taken, starts, neighbours, ready, out, end)
    for j in range(n):
        if taken[j] != GONE:
            ready[j] = GONE
    _next_epoch(state, parents, used)
    return end


@kernel()
def _rejoin(state: Words, starts: Words, neighbours: Words, edges: Words, parents: Words, used: Words) -> None:
    """Recompute the components of the present nodes: those by used edges, and those by all edges."""
    n = parents.size
    whole = np.empty(n, dtype=np.int64)
    for j in range(n):
        whole[j] = j
        if parents[j] != GONE:
            parents[j] = j
    state[PIECES] = state[FEWEST] = state[ALIVE]
    for j in range(n):
        if parents[j] == GONE:
            continue
        for at in range(starts[j], starts[j + 1]):
            i, edge = neighbours[at], edges[at]
            if i < j or parents[i] == GONE:
                continue
            state[FEWEST] -= _unite(whole, i, j)
            if (used[edge >> 6] >> (edge & 63)) & 1:
                state[PIECES] -= _unite(parents, i, j)


@part()
def _arrive(state: Words, events: Words, parents: Words, ready: Words, out: Words) -> int:
    """Make all arriving nodes ready, or tell them STOPPED; return the end of the mails."""
    end = 0
    for event in range(events.shape[0]):
        kind, j, publication = events[event]
        if kind == ARRIVE and (state[STOPPING] != 0 or parents[j] == GONE):
            end = _tell(STOPPED, j, state[K], out, end)
        elif kind == ARRIVE:
            ready[j] = publication
    return end


@part()
def _leave(state: Words, events: Words, parents: Words, ready: Words) -> bool:
    """Remove departing nodes, and note a stop; return whether any node left."""
    left = False
    for event in range(events.shape[0]):
        kind, j, _ = events[event]
        if kind == STOP:
            state[STOPPING] = 1
        elif kind == DETACH and parents[j] != GONE:
            parents[j] = ready[j] = GONE
            state[ALIVE] -= 1
            left = True
    return left


@part()
def _closes(j: int, events: Words) -> bool:
    """Return whether the events end the grace of node j."""
    for event in range(events.shape[0]):  # noqa: SIM110  # numba inlines a loop
        if events[event, 0] == CLOSE and events[event, 1] == j:
            return True
    return False


@part()
def _stop(state: Words, ready: Words, out: Words, end: int) -> int:
    """Tell all ready nodes STOPPED; return the new end of the mails."""
    state[WAITS] = GONE
    for j in range(ready.size):
        if ready[j] != GONE:
            end = _tell(STOPPED, j, state[K], out, end)
            ready[j] = GONE
    return end


@kernel()
def begin(state: Words, starts: Words, neighbours: Words, edges: Words) -> int:
    """Write the initial state into a zeroed array; return the number of components of the graph."""
    n = starts.size - 1
    parents = state[HEADER : HEADER + n]
    for j in range(n):
        parents[j] = j
    state[HEADER + n : HEADER + 2 * n] = GONE
    state[ALIVE] = n
    state[WAITS] = GONE
    _rejoin(state, starts, neighbours, edges, parents, state[HEADER + 2 * n :])
    return int(state[FEWEST])


@kernel()
def apply(
    state: Words,
    events: Words,
    by_piece: bool,
    members: int,
    grace: bool,
    starts: Words,
    neighbours: Words,
    edges: Words,
    out: Words,
) -> int:
    """Apply simultaneous events, shape (m, 3), to `state`, and write the mails to `out` one after another.

    Returns
    -------
    int
        The end of the mails. Each mail is preceded by two words: the receiving node and the length.
    """
    n = starts.size - 1
    parents = state[HEADER : HEADER + n]
    ready = state[HEADER + n : HEADER + 2 * n]
    used = state[HEADER + 2 * n :]
    end = _arrive(state, events, parents, ready, out)
    if _leave(state, events, parents, ready):
        _rejoin(state, starts, neighbours, edges, parents, used)
        _next_epoch(state, parents, used)
    if state[STOPPING] != 0:
        return _stop(state, ready, out, end)
    for j in range(n):
        if ready[j] != GONE and _alone(j, starts, neighbours, parents):
            taken = np.full(n, GONE)
            taken[j] = 0
            end = _iterate(state, taken, starts, neighbours, edges, parents, ready, used, out, end)
    waited = state[WAITS]
    over = waited != GONE and (ready[waited] == GONE or _closes(waited, events))  # it left, is alone, or closes
    if waited != GONE and not over:
        return end
    state[WAITS] = GONE
    while True:
        closer = _closer(waited, events, by_piece, starts, neighbours, edges, parents, ready, used)
        if closer == GONE:
            return end
        if grace and not over:
            state[WAITS] = closer
            return _tell(PENDING, closer, state[K], out, end)
        taken = _choose(closer, members, starts, neighbours, ready)
        end = _iterate(state, taken, starts, neighbours, edges, parents, ready, used, out, end)
        over = True  # the remaining nodes have been waiting
