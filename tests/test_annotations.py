"""Invalid tables from files and from Python give the same error messages."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.data import DataRequest
from hpcopt.errors import InputError
from hpcopt.fabric.heterogeneity import Heterogeneity, Pause
from hpcopt.results.output import Output
from hpcopt.results.stopping import StopRule
from hpcopt.spec.cluster import ClusterTable
from hpcopt.spec.specification import specification_from

HERE = {"path": "a"}


def told_of_file(path, table):
    """Return a specification's error message for `table` at `path`, without the path."""
    tables = {"data": HERE, "solver": {"name": "giant"}}
    *outer, last = path.split(".")
    inner = tables
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = table
    with pytest.raises(InputError) as refused:
        specification_from(tables)
    return str(refused.value).removeprefix(f"{path}.").removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("path", "kind", "table"),
    [
        ("data", DataRequest, {}),
        ("data", DataRequest, {**HERE, "rows": 0}),
        ("data", DataRequest, {**HERE, "rows": "3"}),
        ("data", DataRequest, {**HERE, "partition": "shufled"}),
        ("data", DataRequest, {**HERE, "fractions": [1.0, -1.0]}),
        ("data", DataRequest, {"source": "digits", "test": "b"}),
        ("data", DataRequest, {"source": "blobs", "heterogeneity": 1.0}),
        ("cluster.stragglers", Heterogeneity, {"probability": 1.5}),
        ("cluster.stragglers", Heterogeneity, {"slow_nodes": [0, -1]}),
        ("cluster.stragglers", Heterogeneity, {"spread": 0.1}),
        ("cluster.stragglers", Heterogeneity, {"distribution": "uniform", "spread": 2.0}),
        ("cluster.stragglers", Heterogeneity, {"slowdown": float("inf")}),
        ("cluster.stragglers", Heterogeneity, {"pauses": [{"node": 0, "at": 0.0}]}),
        ("cluster", ClusterTable, {"workers": 2, "speeds": [1.0]}),
        ("cluster", ClusterTable, {"kind": "virtual", "latency": -1.0}),
        ("stop", StopRule, {"rounds": -1}),
        ("stop", StopRule, {"target_on": "worst"}),
        ("stop", StopRule, {"gap": 0.0}),
        ("output", Output, {"timeline": 1}),
        ("output", Output, {"record_seconds": float("nan")}),
    ],
)
def test_a_table_made_in_python_is_refused_as_one_from_a_file(path, kind, table):
    with pytest.raises(InputError) as refused:
        kind(**table)
    assert str(refused.value) == told_of_file(path, table)


def test_values_become_what_the_annotations_say():
    table = ClusterTable(workers=np.int64(3), speeds=[1, np.float32(2.0), 4], latency=0)
    assert table == ClusterTable(workers=3, speeds=(1.0, 2.0, 4.0), latency=0.0)
    assert [type(value) for value in (table.workers, *table.speeds, table.latency)] == [int, float, float, float, float]


def test_tables_inside_a_table_may_be_objects():
    table = Heterogeneity(pauses=[Pause(1, 0.0, 2.0)])
    assert table.pauses == (Pause(1, 0.0, 2.0),)


@pytest.mark.parametrize(
    ("keys", "rounds"),
    [({}, 100), ({"target": 0.1}, 10_000), ({"seconds": 1.0}, None), ({"target": 0.1, "iterations": 3}, None)],
)
def test_a_rule_without_a_budget_gets_one(keys, rounds):
    assert StopRule(**keys).rounds == rounds
