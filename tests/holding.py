"""Runs on clusters some of whose nodes hold no rows: what is recorded of them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from hpcopt.fabric.conditions import PLAIN
from hpcopt.results.outcome import Recording
from hpcopt.results.stopping import StopRule
from hpcopt.runs.driver import drive
from hpcopt.runs.measuring import Watch
from hpcopt.runs.prepare import prepare
from hpcopt.spec.specification import specification_from

COUNTED = {"seconds", "bytes", "bytes_up", "bytes_down", "messages", "round", "clock", "edge_bytes"}
"""Columns of a record that depend on the number of nodes."""

DENSE = {"data": {"source": "breast-cancer", "test_fraction": 0.2, "scale": "standard"}, "problem": {"l2": 0.01}}
SPARSE = {
    "data": {"source": "logistic", "rows": 90, "features": 300, "density": 0.05, "test_fraction": 0.2},
    "problem": {"l2": 0.01, "intercept": True},
}
NETWORK = {
    "data": {"source": "blobs", "rows": 80, "features": 6, "test_fraction": 0.3},
    "problem": {"model": "mlp", "hidden": [5], "loss": "softmax", "l2": 0.1, "start": "random"},
}
SGD = {"name": "sgd", "step_size": 0.1, "momentum": 0.5}
PROBLEMS = {"dense": DENSE, "sparse": SPARSE, "network": NETWORK}


def driven(cluster, problem, **solver):
    """Return what a run recorded on the first node of this process, and the models that it ended with."""
    spec = specification_from({**problem, "solver": solver})
    made = prepare(spec, cluster, PLAIN)
    records = []

    def program(node):
        recording = Recording(tell=records.append) if node.rank == cluster.local_nodes[0] else Recording()
        stop = StopRule(iterations=6, scaled_gradient=1e-12)
        shard = made.shards[node.rank]
        return drive(node, made.problem, shard, spec.built[0], made.w0, stop, recording).w

    return records, cluster.run(program, PLAIN)


def apart(cluster, problem):
    """Return the record of nodes with a model each, drawn by a node's place among the holders, and the mean model."""
    made = prepare(specification_from({**problem, "solver": SGD}), cluster, PLAIN)

    def program(node):
        place = list(cluster.holders).index(node.rank) if node.rank in cluster.holders else 99
        w = np.random.default_rng(place).standard_normal(made.problem.model.size)
        return Watch(node, made.problem, made.shards[node.rank], decentralised=True, scaled=True).measure(w, 0)

    return cluster.run(program, PLAIN)[0]


def assert_same(records, others):
    """Compare records column by column, to 1e-12, but for what counts nodes."""
    assert len(records) == len(others)
    for record, other in zip(records, others, strict=True):
        for column in fields(record):
            mine, its = getattr(record, column.name), getattr(other, column.name)
            if column.name not in COUNTED and its is not None:
                np.testing.assert_allclose(mine, its, rtol=1e-12, atol=1e-14, err_msg=column.name)
            elif column.name not in COUNTED:
                assert mine is None
