"""Prague's group generator: groups form, overlap without deadlock, and exclude workers that are too slow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.errors import InputError
from hpcopt.solvers.parts.group_division import ARRIVE, DETACH, GROUP, STOP, STOPPED, Averaging, GroupDivision
from tests.schedules import play


def start(n, size, **options):
    generator = GroupDivision(n, size, **{"seed": 0} | options)
    state = np.zeros(generator.words, dtype=np.int64)
    generator.begin(state)

    def bring(*events):
        return {j: Averaging.of(mail) for j, mail in generator.apply(state, np.array(events, dtype=np.int64))}

    return bring


def arrivals(*ranks, counter=1):
    return [(ARRIVE, j, counter) for j in ranks]


def groups(turns):
    return {turn.number: turn.members.tolist() for turn in turns.values()}


@pytest.mark.parametrize("departures", [0, 2])
@pytest.mark.parametrize("slack", [-1, 0, 3])
@pytest.mark.parametrize("division", [True, False])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_nobody_waits_for_ever_and_groups_go_in_one_order(division, slack, departures, seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 17))
    size = int(rng.integers(2, 6))
    generator = GroupDivision(n, size, seed=seed, division=division, slack=slack)
    arrived, last = {}, [-1] * n
    carried = participations = 0
    for events, mails in play(generator, rng, n, 6 * n, departures):
        arrived |= {j: counter for kind, j, counter in events if kind == ARRIVE}
        for j in (j for kind, j, _ in events if kind == DETACH):
            arrived.pop(j, None)
        turns = [(j, Averaging.of(mail)) for j, mail in mails]
        for number, told in itertools.groupby(turns, key=lambda turn: turn[1].number):
            members, turn = zip(*told, strict=True)
            carried, participations = carried + 1, participations + len(members)
            for of_member in turn:
                assert of_member.kind == GROUP
                assert of_member.members.tolist() == sorted(members)
                assert of_member.counters.tolist() == [arrived[j] for j in sorted(members)]
                assert (of_member.carried, of_member.participations) == (carried, participations)
            assert len(members) <= size
            for j in members:
                assert last[j] < number  # the oldest first
                last[j] = number
                del arrived[j]  # once per arrival


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_who_has_an_empty_buffer_is_in_at_most_one_of_the_groups(seed):
    bring = start(12, 4, seed=seed)
    order = np.random.default_rng(seed).permutation(12).tolist()
    told = {}
    for j in order:
        told |= groups(bring(*arrivals(j)))
    assert sorted(j for members in told.values() for j in members) == list(range(12))
    assert {len(members) for members in told.values()} == {4}


@pytest.mark.parametrize(
    ("n", "size", "sizes"),
    [(8, 4, [4, 4]), (10, 4, [3, 3, 4]), (5, 4, [2, 3]), (3, 4, [3]), (5, 2, [1, 2, 2]), (1, 2, [1])],
)
def test_all_at_once_are_divided_evenly(n, size, sizes):
    turns = start(n, size)(*arrivals(*range(n)))
    assert set(turns) == set(range(n))
    assert sorted(map(len, groups(turns).values())) == sizes


@pytest.mark.parametrize("seed", range(6))
def test_who_would_be_alone_is_left_out_until_it_asks(seed):
    bring = start(3, 2, seed=seed)
    assert not bring(*arrivals(0))  # with 1 or 2
    told = groups(bring(*arrivals(1)))
    if told == {0: [0, 1]}:
        assert not bring(*arrivals(2))  # with one of them, again
    else:
        assert told == {1: [1]}
        assert groups(bring(*arrivals(2))) == {0: [0, 2]}


@pytest.mark.parametrize("division", [True, False])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_group_goes_as_soon_as_all_are_there_and_no_older_one_needs_them(division, seed):
    generator = GroupDivision(8, 3, seed=seed, division=division)
    arrived, carried, moments = set(), {}, []
    for events, mails in play(generator, np.random.default_rng(seed), 8, 60, 0):
        arrived |= {j for _, j, _ in events}
        carried |= groups({j: Averaging.of(mail) for j, mail in mails})
        arrived -= {j for j, _ in mails}
        moments.append((frozenset(arrived), len(carried)))
    order = list(carried)
    for waiting, count in moments:
        needed = set()
        for number in itertools.takewhile(carried.__contains__, itertools.count()):
            if number not in order[:count]:
                assert needed & set(carried[number]) or not waiting.issuperset(carried[number])
                needed |= set(carried[number])


def test_each_pair_comes_together_as_often():
    together = np.zeros((6, 6))
    for seed in range(300):
        for members in groups(start(6, 3, seed=seed)(*arrivals(*range(6)))).values():
            together[np.ix_(members, members)] += 1
    pairs = together[np.triu_indices(6, 1)] / 300
    assert abs(pairs - 0.4).max() < 0.1  # 3.5 standard deviations


def test_the_seed_and_the_number_of_the_group_decide():
    assert groups(start(8, 4, seed=1)(*arrivals(*range(8)))) == groups(start(8, 4, seed=1)(*arrivals(*range(8))))
    drawn = {str(groups(start(8, 4, seed=seed)(*arrivals(*range(8))))) for seed in range(10)}
    assert len(drawn) > 5
    bring = start(8, 4, seed=1)
    rounds = {str(sorted(groups(bring(*arrivals(*range(8)))).values())) for _ in range(10)}
    assert len(rounds) > 5


@pytest.mark.parametrize("division", [True, False])
def test_who_is_too_slow_is_not_drawn_but_finds_company(division):
    bring = start(6, 2, division=division, slack=3)
    free = range(5)  # 5 has computed nothing yet
    for counter in range(10, 40):
        turns = bring(*arrivals(*free, counter=counter))
        free = sorted(turns)
        assert all(5 not in members for members in groups(turns).values())
    assert not bring(*arrivals(5))  # with a worker ahead of it that has not arrived
    for counter in range(40, 50):
        turns = bring(*arrivals(*free, counter=counter))
        free = sorted(set(turns) - {5})
        if 5 in turns:
            assert len(turns[5].members) == 2
            return
    pytest.fail("5 was left alone")


def test_without_the_filter_the_slow_are_waited_for():
    bring = start(6, 6)
    assert not bring(*arrivals(*range(5), counter=10))
    assert len(bring(*arrivals(5))) == 6


def test_those_whom_others_leave_go_on():
    bring = start(4, 4)
    assert not bring(*arrivals(0, 1, 2))
    turns = bring((DETACH, 3, 0))
    assert groups(turns) == {0: [0, 1, 2]}
    bring(*arrivals(0))
    bring((DETACH, 1, 0))
    turns = bring((DETACH, 2, 0))  # 0's group is dissolved, and it makes a new request
    assert list(groups(turns).values()) == [[0]]
    assert bring(*arrivals(1))[1].kind == STOPPED


def test_who_waits_and_who_comes_later_is_told_of_the_stop():
    bring = start(3, 3)
    bring(*arrivals(0, 1))
    assert {j: turn.kind for j, turn in bring((STOP, 2, 0)).items()} == {0: STOPPED, 1: STOPPED}
    assert bring(*arrivals(2))[2].kind == STOPPED


def test_a_group_of_one_is_refused():
    with pytest.raises(InputError, match="group_size: at least 2, got 1"):
        GroupDivision(4, 1, seed=0)
