"""Error feedback and public copies: what is lost in one message is sent later, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.compression.low_rank import LowRank
from hpcopt.compression.memory import ErrorFeedback, PublicCopy
from hpcopt.compression.random_k import RandomK
from hpcopt.compression.top_k import TopK

D = 200
COMPRESSOR = pytest.mark.parametrize("compressor", [TopK(fraction=0.05), RandomK(fraction=0.1), LowRank()], ids=str)
WRAPPER = pytest.mark.parametrize("wrapper", [ErrorFeedback, PublicCopy])
BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])


def decoded(compressor, message):
    return compressor.decode(message, np.empty(D))


@COMPRESSOR
def test_with_error_feedback_what_was_sent_and_what_is_kept_make_up_all_that_was_given(compressor):
    rng = np.random.default_rng(0)
    feedback = ErrorFeedback(compressor, np.zeros(D))
    given, sent = np.zeros(D), np.zeros(D)
    for step in range(100):
        g = rng.standard_normal(D)
        given += g
        sent += decoded(compressor, feedback.send(g, step))
    np.testing.assert_allclose(sent + feedback.memory, given, atol=1e-6 * np.abs(given).max())


@COMPRESSOR
def test_the_memory_of_error_feedback_stays_bounded(compressor):
    feedback = ErrorFeedback(compressor, np.zeros(D))
    delta = compressor.contraction(D)
    g = np.random.default_rng(1).standard_normal(D)
    g /= np.linalg.norm(g)  # always the same, so that the unsent part accumulates
    squares = []
    for step in range(400):
        feedback.send(g, step)
        squares.append(feedback.memory @ feedback.memory)
    assert np.mean(squares) <= 4.0 * (1.0 - delta) / delta**2  # Karimireddy et al., Lemma 3, with ||p|| = 1


@COMPRESSOR
def test_the_public_copy_of_a_constant_goes_to_it_at_the_declared_rate(compressor):
    x = np.random.default_rng(2).standard_normal(D)
    public = PublicCopy(compressor, np.zeros(D))
    steps = int(2.0 / compressor.contraction(D))
    for step in range(steps):
        public.send(x, step)
    left = np.sum((x - public.copy) ** 2) / np.sum(x**2)
    assert left <= 1.2 * (1.0 - compressor.contraction(D)) ** steps  # random compressors satisfy it only on average


@COMPRESSOR
def test_the_copy_moves_by_the_messages_alone_so_that_all_hold_the_same(compressor):
    rng = np.random.default_rng(3)
    public, elsewhere = PublicCopy(compressor, np.zeros(D)), np.zeros(D)
    for step in range(30):
        message = public.send(rng.standard_normal(D), step)
        elsewhere += decoded(compressor, message)
        np.testing.assert_array_equal(public.sent, decoded(compressor, message))
    np.testing.assert_array_equal(public.copy, elsewhere)


@WRAPPER
def test_the_array_given_is_the_one_that_changes(wrapper):
    mine = np.zeros(D)
    wrapper(TopK(), mine).send(np.arange(D, dtype=float))
    assert mine.any()


@WRAPPER
def test_a_second_wrapper_of_the_same_array_goes_on_where_the_first_stopped(wrapper):
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((6, D))
    whole, halves = np.zeros(D), np.zeros(D)
    one = wrapper(RandomK(fraction=0.2), whole)
    messages = [one.send(v, key).copy() for key, v in enumerate(vectors)]
    again = [wrapper(RandomK(fraction=0.2), halves).send(v, key) for key, v in enumerate(vectors)]
    np.testing.assert_array_equal(messages, again)
    np.testing.assert_array_equal(whole, halves)


@WRAPPER
def test_the_vector_is_left_alone_and_room_is_used(wrapper):
    x = np.random.default_rng(5).standard_normal(D)
    before, room = x.copy(), np.empty(TopK().capacity(D), dtype=np.uint8)
    assert np.shares_memory(wrapper(TopK(), np.zeros(D)).send(x, 0, room), room)
    np.testing.assert_array_equal(x, before)


@WRAPPER
@COMPRESSOR
@BAD
def test_a_vector_that_cannot_be_sent_goes_as_zeros_and_leaves_the_memory(wrapper, compressor, bad):
    memory = np.random.default_rng(6).standard_normal(D)
    before = memory.copy()
    sender = wrapper(compressor, memory)
    message = sender.send(np.full(D, bad), 7)
    np.testing.assert_array_equal(decoded(compressor, message), np.zeros(D))
    np.testing.assert_array_equal(sender.sent, np.zeros(D))
    np.testing.assert_array_equal(memory, before)


@WRAPPER
def test_one_number_that_is_not_finite_is_enough(wrapper):
    memory, x = np.zeros(D), np.ones(D)
    x[123] = np.nan
    for key in range(20):  # most of these keys select other numbers
        wrapper(RandomK(k=1), memory).send(x, key)
    assert not memory.any()


@WRAPPER
def test_after_a_bad_vector_it_works_as_before(wrapper):
    sender, fresh = wrapper(TopK(), np.zeros(D)), wrapper(TopK(), np.zeros(D))
    x = np.random.default_rng(8).standard_normal(D)
    sender.send(np.full(D, np.nan))
    np.testing.assert_array_equal(sender.send(x), fresh.send(x))
