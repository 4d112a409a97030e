from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from hpcopt.data.partition import Rule, assign, chosen_sizes, spread
from hpcopt.errors import InputError

LABELS = np.random.default_rng(0).integers(0, 4, size=200).astype(float)


def sizes_of(assignment, nodes):
    return np.bincount(assignment.owner, minlength=nodes)


def by(rule, n, nodes, seed=0, **changes):
    given_rule = {
        "by-label": {"labels": LABELS[:n]},
        "dirichlet": {"labels": LABELS[:n], "alpha": 0.1},
        "unequal": {"fractions": np.arange(1.0, nodes + 1)},
    }
    return assign(rule, n, nodes, seed, **{**given_rule.get(rule, {}), **changes})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(get_args(Rule)), st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**63))
def test_every_row_has_one_place_on_one_node_and_no_node_is_empty(rule, n, nodes, seed):
    nodes = min(n, nodes)
    assignment = by(rule, n, nodes, seed)
    sizes = sizes_of(assignment, nodes)
    assert sizes.min() >= 1
    assert len(sizes) == nodes
    places = {(int(o), int(p)) for o, p in zip(assignment.owner, assignment.place, strict=True)}
    assert places == {(node, place) for node in range(nodes) for place in range(sizes[node])}


@pytest.mark.parametrize("rule", ["shuffled", "contiguous", "by-label"])
@pytest.mark.parametrize("nodes", [1, 3, 7, 199, 200])
def test_equal_shards_differ_by_at_most_one_row(rule, nodes):
    sizes = sizes_of(by(rule, 200, nodes), nodes)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("rule", ["shuffled", "dirichlet", "unequal"])
def test_a_seed_fixes_the_partition_and_another_gives_another(rule):
    first, again, other = by(rule, 200, 5, 1), by(rule, 200, 5, 1), by(rule, 200, 5, 2)
    assert_array_equal(first.owner, again.owner)
    assert_array_equal(first.place, again.place)
    assert (first.owner != other.owner).any()


def test_contiguous_shards_are_runs_of_the_file():
    assert_array_equal(assign("contiguous", 7, 3, 0).owner, [0, 0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("rule", ["contiguous", "by-label", "dirichlet"])
def test_rows_keep_the_order_of_the_file_within_a_shard(rule):
    assignment = by(rule, 200, 5)
    for node in range(5):
        assert_array_equal(assignment.place[assignment.owner == node], np.arange((assignment.owner == node).sum()))


def test_shards_by_label_hold_runs_of_the_sorted_labels():
    owner = by("by-label", 200, 10).owner
    highest = [LABELS[owner == node].max() for node in range(10)]
    lowest = [LABELS[owner == node].min() for node in range(10)]
    assert all(high <= low for high, low in zip(highest[:-1], lowest[1:], strict=True))


def test_a_small_alpha_gives_most_of_a_class_to_one_node_and_a_large_alpha_divides_it_evenly():
    def largest_share(alpha):
        owner = by("dirichlet", 200, 5, alpha=alpha).owner
        shares = np.array([np.bincount(owner[k == LABELS], minlength=5) for k in np.arange(4)], dtype=float)
        return np.mean(shares.max(axis=1) / shares.sum(axis=1))

    assert largest_share(0.01) > 0.9
    assert largest_share(1e4) < 0.25


@pytest.mark.parametrize(
    ("n", "fractions", "sizes"),
    [
        (10, [1, 1, 2], [3, 2, 5]),  # 2.5, 2.5, 5: the remaining row goes to the first of equal remainders
        (10, [0.5, 0.3, 0.2], [5, 3, 2]),
        (10, [5, 3, 2], [5, 3, 2]),
        (10, [1, 1e-9, 1e-9], [8, 1, 1]),
        (3, [1, 1e-9, 1e-9], [1, 1, 1]),
    ],
)
def test_unequal_shards_have_the_sizes_of_the_largest_remainder_rule_and_at_least_one_row(n, fractions, sizes):
    assert_array_equal(chosen_sizes(n, 3, fractions), sizes)
    assert_array_equal(sizes_of(assign("unequal", n, 3, 0, fractions=fractions), 3), sizes)


def test_fewer_test_rows_than_nodes_leave_some_nodes_without():
    assert_array_equal(sizes_of(spread(2, 4), 4), [1, 1, 0, 0])


@pytest.mark.parametrize("rule", get_args(Rule))
def test_more_nodes_than_rows_are_refused_with_the_largest_number_that_works(rule):
    with pytest.raises(InputError, match=r"200 nodes but 150 rows: an empty shard .*; use at most 150 nodes"):
        by(rule, 150, 200)


@pytest.mark.parametrize(
    ("rule", "changes", "message"),
    [
        ("by-label", {"labels": None}, "data.partition: 'by-label' requires labels"),
        ("dirichlet", {"alpha": None}, "data.alpha: 'dirichlet' needs a number above 0, got None"),
        ("dirichlet", {"alpha": 0.0}, "data.alpha: 'dirichlet' needs a number above 0, got 0.0"),
        ("dirichlet", {"alpha": float("nan")}, "data.alpha: 'dirichlet' needs a number above 0, got nan"),
        ("unequal", {"fractions": None}, "data.fractions: one for each of the 3 nodes, got none"),
        ("unequal", {"fractions": [1.0, 2.0]}, "data.fractions: one for each of the 3 nodes, got 2"),
        ("unequal", {"fractions": [1.0, 2.0, 0.0]}, "data.fractions: positive numbers only, got"),
        ("unequal", {"fractions": [1.0, 2.0, float("inf")]}, "data.fractions: positive numbers only, got"),
    ],
)
def test_a_missing_or_wrong_parameter_of_a_rule_is_refused_by_its_key(rule, changes, message):
    with pytest.raises(InputError) as refused:
        by(rule, 50, 3, **changes)
    assert str(refused.value).startswith(message)


def test_dirichlet_refuses_real_targets():
    with pytest.raises(InputError, match="2000 different labels are too many"):
        assign("dirichlet", 2000, 3, 0, labels=np.arange(2000.0), alpha=1.0)


def test_one_row_is_told_in_the_singular():
    with pytest.raises(InputError, match=r"^3 nodes but 1 row: an empty shard .*; use at most 1 node$"):
        assign("shuffled", 1, 3, seed=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(2, 12), st.data())
def test_nodes_hold_so_many_labels_each_and_no_row_is_lost(nodes, classes, data):
    fewest = max(1, -(-classes // nodes))
    per_node = data.draw(st.integers(min(fewest, classes), classes))
    counts = data.draw(st.lists(st.integers(nodes, 5 * nodes), min_size=classes, max_size=classes))
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(classes), counts)).astype(float)
    assignment = assign("by-label", len(labels), nodes, 3, labels=labels, labels_per_node=per_node)
    assert [len(np.unique(labels[assignment.owner == node])) for node in range(nodes)] == [per_node] * nodes
    assert sizes_of(assignment, nodes).sum() == len(labels)


@pytest.mark.parametrize(("nodes", "per_node"), [(64, 5), (10, 2), (16, 1), (7, 10), (333, 3)])
def test_shards_of_a_few_labels_are_equal_where_the_labels_allow_it(nodes, per_node):
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(10.0), 2048) if per_node > 1 else np.repeat(np.arange(16.0), 1000)
    odd = rng.integers(0, 10, 20480).astype(float) if per_node > 1 else labels
    for given_labels in (labels, odd):
        sizes = sizes_of(
            assign("by-label", len(given_labels), nodes, 0, labels=given_labels, labels_per_node=per_node), nodes
        )
        assert sizes.max() - sizes.min() <= 1


def test_which_labels_a_node_holds_is_drawn():
    labels = np.repeat(np.arange(10.0), 200)
    holdings = [
        tuple(np.unique(labels[assign("by-label", 2000, 40, seed, labels=labels, labels_per_node=3).owner == 0]))
        for seed in range(8)
    ]
    assert len(set(holdings)) > 1


@pytest.mark.parametrize(
    ("nodes", "per_node", "message"),
    [
        (4, 11, "data.labels_per_node: between 1 and the 10 labels, got 11"),
        (4, 0, "data.labels_per_node: between 1 and the 10 labels, got 0"),
        (4, 2, "4 nodes with 2 labels each cannot hold all 10 labels; at least 3, got 2"),
        (25, 5, "the labels have too few rows for 25 nodes with 5 labels each"),
    ],
)
def test_labels_that_cannot_go_round_are_told(nodes, per_node, message):
    with pytest.raises(InputError, match=message):
        assign("by-label", 100, nodes, 0, labels=np.arange(100.0) % 10, labels_per_node=per_node)
