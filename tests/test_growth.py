"""The work and the memory of a virtual cluster are proportional to its number of nodes: counted, not timed."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

import hpcopt
from hpcopt.fabric.virtual.cluster import VirtualCluster
from tests.growth import SYSTEMS, specification

FEW, MANY = 32, 96
CALLS = 1.05  # growth of the calls per node that is allowed: a loop over all nodes on every node makes it 2 or more
MEMORY = 1.3  # of the memory per node


def short(system, nodes):
    """Return the specification of a few iterations."""
    spec = specification(system, nodes)
    if "iterations" in spec["stop"]:
        spec["stop"] = {"iterations": 4}
    return spec


def calls(spec):
    """Return the number of calls of Python and C functions during a run."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        hpcopt.run(spec)
    finally:
        sys.setprofile(None)
    return count


def memory(spec):
    """Return the most bytes that were allocated during a run."""
    tracemalloc.start()
    try:
        hpcopt.run(spec)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("system", SYSTEMS)
def test_calls_and_memory_per_node_do_not_grow_with_the_number_of_nodes(system):
    few, many = short(system, FEW), short(system, MANY)
    hpcopt.run(few)  # imports and compiles
    assert calls(many) / MANY < CALLS * calls(few) / FEW
    assert memory(many) / MANY < MEMORY * memory(few) / FEW


def test_what_all_nodes_compute_from_gathered_arrays_is_computed_once():
    computed = []

    def program(node):
        parts = node.world.allgather(np.full(1, float(node.rank)))
        assert parts.nbytes == 5 * 8
        return parts.once("sum", lambda: computed.append(node.rank) or sum(part[0] for part in parts))

    assert VirtualCluster(5).run(program) == [10.0] * 5
    assert len(computed) == 1
