"""Pathsearch: no worker waits forever, and every iteration is a proper average."""

from __future__ import annotations

import itertools
from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hpcopt.errors import InputError
from hpcopt.solvers.parts.pathsearch import (
    ARRIVE,
    CLOSE,
    DETACH,
    GROUP,
    MEMBERS,
    PENDING,
    RULES,
    STOP,
    STOPPED,
    Pathsearch,
    Turn,
)
from hpcopt.topology.base import Graph
from hpcopt.topology.weights import weigh
from tests.schedules import play

WAYS = list(itertools.product(RULES, MEMBERS, [False, True], [0, 2]))  # rule, members, grace, departures
SEEDS = st.integers(0, 2**32 - 1)


class Listing:
    """The algorithm implemented with sets and networkx, one iteration at a time."""

    def __init__(self, n, pairs, rule, members, grace):
        self.graph = nx.Graph()
        self.graph.add_nodes_from(range(n))
        self.graph.add_edges_from(pairs.tolist())
        self.rule, self.members, self.grace = rule, members, grace
        self.used = set()
        self.ready = {}
        self.k = self.epoch = self.participations = 0
        self.pending = None
        self.stopped = False

    def joined(self):
        joined = nx.Graph()
        joined.add_nodes_from(self.graph)
        joined.add_edges_from(edge for edge in self.graph.edges if frozenset(edge) in self.used)
        return joined

    def finds(self, j):
        others = [i for i in self.graph[j] if i in self.ready] if j in self.ready else []
        if self.rule == "unseen":
            return any(frozenset((i, j)) not in self.used for i in others)
        return not set(others) <= nx.node_connected_component(self.joined(), j) if others else False

    def end_of_epoch(self):
        if nx.number_connected_components(self.joined()) == nx.number_connected_components(self.graph):
            self.used = set()
            self.epoch += 1

    def chosen(self, closer):
        waiting = self.graph.subgraph(self.ready)
        if self.members == "star":
            return {closer, *waiting[closer]}
        if self.members == "piece":
            return set(nx.node_connected_component(waiting, closer))
        return {j for j in waiting if self.members == "all" or len(waiting[j])}

    def iterate(self, members):
        active = self.graph.subgraph(members)
        self.k += 1
        self.participations += len(active)
        self.used |= {frozenset(edge) for edge in active.edges}
        mails = {}
        for j in sorted(active):
            weights = {i: 1 / (1 + max(active.degree[i], active.degree[j])) for i in sorted(active[j])}
            weights[j] = 1 - sum(weights.values())
            row = [(i, self.ready[i], weights[i]) for i in sorted(weights)]
            mails[j] = (GROUP, self.k, self.epoch, self.participations, row)
        for j in members:
            del self.ready[j]
        self.end_of_epoch()
        return mails

    def leave(self, gone):
        self.graph.remove_nodes_from(gone)
        self.ready = {j: publication for j, publication in self.ready.items() if j not in gone}
        self.end_of_epoch()

    def stop(self):
        told = dict.fromkeys(self.ready, (STOPPED, self.k))
        self.ready, self.pending = {}, None
        return told

    def at_once(self, events):
        arrived = [j for kind, j, _ in events if kind == ARRIVE]
        refused = [j for j in arrived if self.stopped or j not in self.graph]
        mails = dict.fromkeys(refused, (STOPPED, self.k))
        self.ready |= {j: publication for kind, j, publication in events if kind == ARRIVE and j not in refused}
        if gone := {j for kind, j, _ in events if kind == DETACH} & set(self.graph):
            self.leave(gone)
        self.stopped |= any(kind == STOP for kind, _, _ in events)
        if self.stopped:
            return mails | self.stop()
        for j in sorted(self.ready):
            if not self.graph[j]:
                mails |= self.iterate({j})
        over = any(kind == CLOSE and j == self.pending for kind, j, _ in events) or self.pending not in self.ready
        if self.pending is not None and not over:
            return mails
        over = self.pending is not None
        order = [self.pending, *sorted(arrived), *sorted(self.ready)]
        self.pending = None
        while found := [j for j in order if self.finds(j)]:
            if self.grace and not over:
                self.pending = found[0]
                return mails | {found[0]: (PENDING, self.k)}
            mails |= self.iterate(self.chosen(found[0]))
            over = True
        return mails


def random_graph(rng, n):
    """Return the edges of a connected graph: a tree between a path and a star, plus further edges."""
    spread = rng.choice([1, 2, n])
    names = rng.permutation(n)
    tree = [(j, int(rng.integers(max(0, j - spread), j))) for j in range(1, n)]
    chance = rng.choice([0.0, 0.2, 1.0])
    more = [pair for pair in itertools.combinations(range(n), 2) if rng.random() < chance]
    pairs = {tuple(sorted((int(names[i]), int(names[j])))) for i, j in tree + more}
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


class Pieces:
    """The components connected by a growing set of edges."""

    def __init__(self, n):
        self.of = list(range(n))
        self.count = n

    def join(self, i, j):
        a, b = self.of[i], self.of[j]
        if a != b:
            self.of = [a if piece == b else piece for piece in self.of]
            self.count -= 1


def check_average(rows, ready):
    """Check one iteration's turns, by worker; return each worker's partners."""
    entries = {}
    for j, turn in rows.items():
        ranks, weights = turn.ranks.tolist(), turn.weights.tolist()
        assert ranks == sorted(set(ranks))
        assert [ready[i] for i in ranks] == turn.publications.tolist()
        assert abs(sum(weights) - 1) < 1e-14
        entries |= {(j, i): weight for i, weight in zip(ranks, weights, strict=True)}
    assert all(entries[i, j] == weight for (j, i), weight in entries.items())  # so the columns sum to one too
    return entries


def check_play(n, pairs, way, rng):
    rule, members, grace, departures = way
    search = Pathsearch(n, pairs, rule=rule, members=members, grace=grace)
    edges = {tuple(pair) for pair in pairs.tolist()}
    smallest = 1 / (1 + int(np.bincount(pairs.ravel()).max())) - 1e-15
    longest = len(edges) if rule == "unseen" else n - 1  # iterations of an epoch, at most
    ready, last = {}, [0] * n
    k = epoch = length = participations = 0
    pieces = Pieces(n)
    for events, mails in play(search, rng, n, 4 * n, departures):
        ready |= {j: publication for kind, j, publication in events if kind == ARRIVE}
        turns = [(j, Turn.of(mail)) for j, mail in mails]
        assert {turn.kind for _, turn in turns} <= ({GROUP, PENDING} if grace else {GROUP})
        groups = [(j, turn) for j, turn in turns if turn.kind == GROUP]
        for number, group in itertools.groupby(groups, key=lambda told: told[1].k):
            rows = dict(group)
            k, participations, length = k + 1, participations + len(rows), length + 1
            assert number == k
            assert {turn.participations for turn in rows.values()} == {participations}
            entries = check_average(rows, ready)
            assert {(min(pair), max(pair)) for pair in entries} - edges == {(j, j) for j in rows}
            assert min(entries[j, j] for j in rows) >= smallest
            for j in rows:
                last[j] = k
                del ready[j]  # once per arrival
            if departures:
                continue
            assert k - min(last) <= 2 * longest
            assert {turn.epoch for turn in rows.values()} == {epoch}
            for i, j in entries:
                pieces.join(i, j)
            if pieces.count == 1:
                assert length <= longest
                epoch, length, pieces = epoch + 1, 0, Pieces(n)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_nobody_waits_for_ever_and_every_average_is_one(seed):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        for way in WAYS:
            n = int(rng.integers(2, 17))
            check_play(n, random_graph(rng, n), way, rng)


@given(SEEDS, st.sampled_from(WAYS))
@settings(max_examples=100, deadline=None)
def test_it_does_what_the_listing_says(seed, way):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 13))
    pairs = random_graph(rng, n)
    rule, members, grace, departures = way
    search = Pathsearch(n, pairs, rule=rule, members=members, grace=grace)
    listing = Listing(n, pairs, rule, members, grace)
    longest = len(pairs) - nx.edge_connectivity(listing.graph) + 1 if rule == "unseen" else n - 1
    lengths = Counter()
    for events, mails in play(search, rng, n, 12 * n, departures):
        said = {j: turn_as_listed(mail) for j, mail in mails}
        assert said == listing.at_once(events)
        lengths.update({told[1]: told[2] for told in said.values() if told[0] == GROUP}.values())
    assert departures or max(lengths.values(), default=0) <= longest


def turn_as_listed(mail):
    turn = Turn.of(mail)
    if turn.kind != GROUP:
        return turn.kind, turn.k
    row = list(zip(turn.ranks.tolist(), turn.publications.tolist(), turn.weights.tolist(), strict=True))
    return turn.kind, turn.k, turn.epoch, turn.participations, row


def start(n, pairs, **options):
    search = Pathsearch(n, np.array(pairs, dtype=np.int64), **options)
    state = np.zeros(search.words, dtype=np.int64)
    search.begin(state)

    def bring(*events):
        return {j: Turn.of(mail) for j, mail in search.apply(state, np.array([[*e, 0][:3] for e in events]))}

    return bring


def arrivals(*ranks):
    return [(ARRIVE, j) for j in ranks]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("members", ["all_linked", "all", "piece"])
def test_workers_of_equal_speed_mix_by_the_metropolis_matrix_of_the_graph(rule, members):
    pairs = random_graph(np.random.default_rng(1), 12)
    W = weigh(Graph(12, pairs), "metropolis").toarray()
    bring = start(12, pairs, rule=rule, members=members)
    for k in range(1, 4):
        turns = bring(*arrivals(*range(12)))
        M = np.zeros((12, 12))
        for j, turn in turns.items():
            M[j, turn.ranks] = turn.weights
            assert (turn.k, turn.epoch, turn.participations) == (k, k - 1, 12 * k)
        assert_allclose(M, W, rtol=0, atol=1e-15)


def test_all_with_all_are_their_mean():
    turns = start(5, list(itertools.combinations(range(5), 2)))(*arrivals(*range(5)))
    assert len(turns) == 5
    for turn in turns.values():
        assert_allclose(turn.weights, np.full(5, 0.2), rtol=1e-15)


def test_two_workers_go_in_pairs_at_any_speeds():
    bring = start(2, [(0, 1)])
    for k in range(1, 10):
        assert not bring((ARRIVE, k % 2, k))
        turns = bring((ARRIVE, 1 - k % 2, k))
        assert {
            j: (t.k, t.epoch, t.publications.tolist(), t.weights.tolist()) for j, t in turns.items()
        } == dict.fromkeys([0, 1], (k, k - 1, [k, k], [0.5, 0.5]))


def test_a_worker_alone_goes_on_at_once():
    bring = start(1, np.empty((0, 2)))
    for k in range(1, 4):
        (turn,) = bring((ARRIVE, 0, k)).values()
        assert (turn.kind, turn.k, turn.ranks.tolist(), turn.publications.tolist()) == (GROUP, k, [0], [k])
        assert turn.weights.tolist() == [1.0]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_a_straggler_stops_the_others_only_when_its_edges_alone_are_new(rule, seed):
    rng = np.random.default_rng(seed)
    n, straggler = 8, 3
    pairs = random_graph(rng, n)
    degree = int((pairs == straggler).sum())
    bring = start(n, pairs, rule=rule)
    free = [j for j in range(n) if j != straggler]
    for _ in range(4):  # steps of the straggler's
        first = last = None
        for _ in range(100 * n):
            if not free:
                break
            turns = bring((ARRIVE, free.pop(int(rng.integers(len(free))))))
            free += turns
            for turn in turns.values():
                first, last = turn.k if first is None else first, turn.k
        assert not free  # at the end all wait, without an iteration
        assert first is None or last - first + 1 <= 2 * (len(pairs) - degree)
        if rule == "unseen" and degree < len(pairs):
            assert first is not None
        free += bring((ARRIVE, straggler))
        assert straggler in free
        free.remove(straggler)


def test_who_stays_without_a_ready_neighbour_waits_or_goes_on_unmixed():
    path = [(0, 1), (1, 2), (2, 3), (3, 4)]
    for members, expected in {"all_linked": {3, 4}, "all": {1, 3, 4}, "piece": {3, 4}, "star": {3, 4}}.items():
        bring = start(5, path, members=members)
        assert not bring((ARRIVE, 1))
        assert not bring((ARRIVE, 3))
        turns = bring((ARRIVE, 4))
        assert set(turns) == expected, members
        assert 1 not in turns or turns[1].weights.tolist() == [1.0]


def test_members_of_one_instant():
    path = [(0, 1), (1, 2), (3, 4), (2, 3)]  # 2 computes: two pieces are ready
    groups = {"all_linked": [{0, 1, 3, 4}], "piece": [{0, 1}, {3, 4}], "star": [{0, 1}, {3, 4}]}
    for members, expected in groups.items():
        turns = start(5, path, members=members)(*arrivals(4, 3, 1, 0))
        assert [{j for j, t in turns.items() if t.k == k + 1} for k in range(len(expected))] == expected
    turns = start(5, path, members="star")(*arrivals(0, 1, 2, 3, 4))  # 0 closes with 1; then 2 with 3; 4 finds none
    assert {j: turn.k for j, turn in turns.items()} == {0: 1, 1: 1, 2: 2, 3: 2}


def test_a_departure_may_end_the_epoch_for_those_who_wait():
    bring = start(3, [(0, 1), (1, 2)])
    assert set(bring(*arrivals(0, 1))) == {0, 1}
    assert not bring(*arrivals(0, 1))  # their edge is used, so both wait for 2
    turns = bring((DETACH, 2))
    assert {j: (turn.k, turn.epoch) for j, turn in turns.items()} == {0: (2, 1), 1: (2, 1)}
    assert not bring((DETACH, 2))
    for epoch in range(2, 4):
        turns = bring(*arrivals(0, 1))
        assert {j: turn.epoch for j, turn in turns.items()} == {0: epoch, 1: epoch}


def test_whom_all_neighbours_leave_goes_on_alone():
    bring = start(3, [(0, 1), (1, 2)], grace=True)
    assert not bring((ARRIVE, 0, 5))
    turns = bring((DETACH, 1))
    assert {j: (turn.kind, turn.publications.tolist()) for j, turn in turns.items()} == {0: (GROUP, [5])}
    assert set(bring((ARRIVE, 2), (ARRIVE, 0))) == {0, 2}
    assert {j: turn.kind for j, turn in bring((ARRIVE, 1)).items()} == {1: STOPPED}


def test_grace_collects_those_who_come_in_time():
    bring = start(4, [(0, 1), (1, 2), (2, 3)], grace=True)
    assert not bring((ARRIVE, 1))
    turns = bring((ARRIVE, 2))
    assert {j: (turn.kind, turn.k) for j, turn in turns.items()} == {2: (PENDING, 0)}
    assert not bring((ARRIVE, 0))
    assert not bring((CLOSE, 1))  # not its own to close
    assert not bring((ARRIVE, 3))
    turns = bring((CLOSE, 2))
    assert {turn.kind for turn in turns.values()} == {GROUP}
    assert set(turns) == {0, 1, 2, 3}
    assert not bring((CLOSE, 2))


def test_who_leaves_in_its_grace_closes():
    bring = start(4, [(0, 1), (1, 2), (2, 3)], grace=True)
    bring((ARRIVE, 0))
    assert {j: turn.kind for j, turn in bring((ARRIVE, 1)).items()} == {1: PENDING}
    bring((ARRIVE, 2))
    assert not bring((DETACH, 0))  # the edge of 1 and 2 is still new
    bring((ARRIVE, 3))
    assert set(bring((DETACH, 1))) == {2, 3}
    bring((ARRIVE, 2))
    assert not bring((CLOSE, 1))


def test_a_grace_that_nothing_is_left_of_ends_without_a_group():
    bring = start(4, [(0, 1), (1, 2), (2, 3)], grace=True)
    bring((ARRIVE, 0))
    assert {j: turn.kind for j, turn in bring((ARRIVE, 1)).items()} == {1: PENDING}
    assert not bring((DETACH, 0))
    assert not bring((CLOSE, 1))
    assert {j: turn.kind for j, turn in bring((ARRIVE, 2)).items()} == {2: PENDING}


def test_who_waits_and_who_comes_later_is_told_of_the_stop():
    bring = start(4, [(0, 1), (1, 2), (2, 3)], grace=True)
    bring(*arrivals(0, 1))
    turns = bring((STOP, 3))
    assert {j: (turn.kind, turn.k) for j, turn in turns.items()} == {0: (STOPPED, 0), 1: (STOPPED, 0)}
    assert not bring((CLOSE, 0))
    assert {j: turn.kind for j, turn in bring(*arrivals(2, 3)).items()} == {2: STOPPED, 3: STOPPED}


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(InputError, match=r"rule: one of unseen, component; got 'seen'"):
        start(2, [(0, 1)], rule="seen")
    with pytest.raises(InputError, match=r"members: one of all_linked, all, piece, star; got 'few'"):
        start(2, [(0, 1)], members="few")
    with pytest.raises(InputError, match="connected graph; this one has 2 components"):
        start(4, [(0, 1), (2, 3)])
    with pytest.raises(InputError, match="each edge given once"):
        start(2, [(0, 1), (1, 0)])
