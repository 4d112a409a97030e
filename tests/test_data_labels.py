from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hpcopt.data.labels import ChosenClasses, choose_classes, classes_of, refuse_unknown, relabelled
from hpcopt.data.table import Part, Table
from hpcopt.errors import InputError
from hpcopt.problems.targets import Targets
from tests.fake_group import messages_on_processes, on_processes


def dealt(y, group):
    """The rows of one process when they are assigned like chunks of a text file: every size-th."""
    rows = np.arange(group.rank, len(y), group.size)
    return Part(Table(rows[:, None].astype(float), np.asarray(y, dtype=float)[rows]), rows, len(y))


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1), (1, 2), (-3.5, 7)])
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_the_larger_of_two_labels_is_plus_one(labels, processes):
    y = np.array(labels, dtype=float)[[0, 0, 1, 0, 1]]

    def work(group):
        part = dealt(y, group)
        classes = classes_of(part.table.y, Targets.SIGNS, group, "data")
        return classes, relabelled(part, classes, Targets.SIGNS).table.y

    for rank, (classes, signs) in enumerate(on_processes(processes, work)):
        assert_array_equal(classes, labels)
        assert_array_equal(signs, np.array([-1, -1, 1, -1, 1])[rank::processes])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([4, 4, 4, 4], "data: every label is 4; a loss of classes needs at least two values"),
        ([1, 2, 3, 1], "data: labels take more than two values (1, 2, 3); name two groups of them with data.classes"),
        (np.arange(50) / 4, "data: labels take more than two values (0, 0.25, 0.5, 0.75, 1, ...); name two groups"),
    ],
)
@pytest.mark.parametrize("processes", [1, 3])
def test_labels_that_are_not_two_values_are_refused_alike_on_all_processes(y, message, processes):
    told = messages_on_processes(
        processes, lambda group: classes_of(dealt(y, group).table.y, Targets.SIGNS, group, "data")
    )
    assert len(set(told)) == 1
    assert told[0].startswith(message)


def test_too_many_labels_are_told_with_the_way_to_real_targets():
    (told,) = messages_on_processes(1, lambda group: classes_of(np.arange(9.0), Targets.SIGNS, group, "data"))
    assert "data.classes = {positive = [...], negative = [...]}" in told
    assert 'problem.loss = "softmax" or "squared"' in told


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_labels_of_many_values_become_their_places_in_order_on_all_processes(processes):
    y = np.array([7.0, -1.0, 2.5, 2.5, 7.0, 3.0, -1.0])

    def work(group):
        part = dealt(y, group)
        classes = classes_of(part.table.y, Targets.CLASSES, group, "data")
        return classes, relabelled(part, classes, Targets.CLASSES).table.y

    for rank, (classes, places) in enumerate(on_processes(processes, work)):
        assert_array_equal(classes, [-1.0, 2.5, 3.0, 7.0])
        assert_array_equal(places, np.array([3, 0, 1, 1, 3, 2, 0])[rank::processes])


@pytest.mark.parametrize("processes", [1, 3])
def test_real_numbers_are_no_classes(processes):
    y = np.random.default_rng(0).standard_normal(2000)
    told = messages_on_processes(
        processes, lambda group: classes_of(dealt(y, group).table.y, Targets.CLASSES, group, "data")
    )
    assert len(set(told)) == 1
    assert told[0].startswith("data: labels take more than 1000 values (")


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_chosen_classes_keep_their_rows_in_the_order_of_the_file(processes):
    y = np.array([3, 0, 7, 1, 3, 9, 0, 7, 7])
    chosen = ChosenClasses(positive=(7, 3), negative=(0,))
    parts = on_processes(
        processes, lambda group: choose_classes(dealt(y, group), chosen, group, "data", all_present=True)
    )
    X, signs = np.empty(7), np.empty(7)
    for part in parts:
        X[part.rows], signs[part.rows] = part.table.X[:, 0], part.table.y
    assert {part.total for part in parts} == {7}
    assert_array_equal(X, [0, 1, 2, 4, 6, 7, 8])
    assert_array_equal(signs, [1, -1, 1, 1, -1, 1, 1])


@pytest.mark.parametrize("processes", [1, 3])
def test_a_chosen_class_that_no_row_has_is_refused(processes):
    chosen = ChosenClasses(positive=(1, 5), negative=(2, 8))
    told = messages_on_processes(
        processes, lambda group: choose_classes(dealt([1, 2, 3, 4], group), chosen, group, "data", all_present=True)
    )
    assert told == ["data: data.classes names 5, 8, but no row has that label"] * processes


def test_a_test_set_may_lack_a_chosen_class_but_not_all_of_them():
    chosen = ChosenClasses(positive=(1,), negative=(2,))

    def choose(y):
        return lambda group: choose_classes(dealt(y, group), chosen, group, "test", all_present=False)

    assert on_processes(1, choose([1, 1, 3]))[0].total == 2
    assert messages_on_processes(1, choose([3, 3])) == ["test: data.classes names 1, 2, but no row has that label"]


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ((), (1,), "data.classes.positive: at least one class, got none"),
        ((1,), (), "data.classes.negative: at least one class, got none"),
        ((1, 2), (2, 3), "data.classes: 2 cannot be positive and negative at once"),
    ],
)
def test_groups_of_classes_that_are_empty_or_overlap_are_refused(positive, negative, message):
    with pytest.raises(InputError, match=message):
        ChosenClasses(positive, negative)


@pytest.mark.parametrize("processes", [1, 3])
def test_a_test_label_unknown_to_training_is_refused_by_its_first_row(processes):
    told = messages_on_processes(
        processes,
        lambda group: refuse_unknown(
            dealt([1, 0, 0, 2, 3], group), np.array([0.0, 1.0]), group, "test.txt", "train.txt"
        ),
    )
    assert told == ["test.txt: row 3 (counted from 0) has the label 2; train.txt has 0, 1"] * processes
