"""A machine for boards that counts events and reports each to a node; it rejects inconsistent states."""

from __future__ import annotations

import numpy as np


class Counting:
    """State: the number of all events, one word per node for the node's own, and the first word again.

    Event (0, node, value) is mailed to the next node, event (1, node, value) to all nodes: (number, node, value).
    """

    mail = 3

    def __init__(self, size):
        self.size = size
        self.words = size + 2

    def begin(self, state):
        assert not state.any()

    def apply(self, state, events):
        if not state[0] == state[-1] == state[1:-1].sum():
            raise AssertionError(f"a torn state: {state.tolist()}")
        mails = []
        for kind, node, value in events.tolist():
            state[1 + node] += 1
            state[0] += 1
            state[-1] = state[0]
            targets = range(self.size) if kind else [(node + 1) % self.size]
            mails += [(target, np.array([state[0], node, value])) for target in targets]
        return mails
