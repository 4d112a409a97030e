"""The [data] table of a specification: defaults that depend on the source, and keys that require others."""

from __future__ import annotations

import numpy as np
import pytest

import hpcopt
from hpcopt.data.recipe import RECIPE_KEYS, RECIPES
from hpcopt.errors import InputError
from hpcopt.spec.specification import as_toml_dict, specification_from


def resolved(**data):
    """Return the [data] table as in run.json."""
    return as_toml_dict(specification_from({"data": data, "solver": {"name": "giant"}}))["data"]


@pytest.mark.parametrize("source", RECIPES)
def test_generated_data_are_resolved_to_the_defaults_of_their_source(source):
    recipe = RECIPES[source]
    table = resolved(source=source, features=7)
    assert table["features"] == 7
    for key in {"rows", *RECIPE_KEYS} - {"features"}:
        assert table[key] == getattr(recipe, key)


@pytest.mark.parametrize("source", RECIPES)
def test_a_resolved_table_resolves_to_itself(source):
    table = resolved(source=source, noise=0.2)
    assert resolved(**table) == table


@pytest.mark.parametrize(
    ("data", "partition"),
    [
        ({"source": "digits"}, "shuffled"),
        ({"path": "a.txt"}, "shuffled"),
        ({"source": "least-squares"}, "shuffled"),
        ({"source": "least-squares", "heterogeneity": 0.1}, "contiguous"),
        ({"source": "heterogeneous-least-squares"}, "contiguous"),
        ({"source": "heterogeneous-least-squares", "partition": "shuffled"}, "shuffled"),
    ],
)
def test_the_resolved_table_tells_the_partition(data, partition):
    assert resolved(**data)["partition"] == partition


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "digits", "labels": "a"}, "data.labels: requires path, the IDX file that the labels belong to"),
        ({"path": "a", "test_labels": "b"}, "data.test_labels: requires test, the IDX file that the labels"),
        ({"path": "a", "heterogeneity": 0.3}, "data.heterogeneity: only used with generated data (source = logistic, "),
        ({"source": "logistic", "heterogeneity": -1}, "data.heterogeneity: expected a number >= 0, got -1"),
        ({"source": "logistic", "scale": "max"}, 'data.scale: expected one of "global-max-abs", "max-abs", '),
    ],
)
def test_a_key_that_cannot_be_met_is_refused_by_its_name(data, message):
    with pytest.raises(InputError) as refused:
        resolved(**data)
    assert str(refused.value).startswith(message)


def objective(heterogeneity, **data):
    """Return the minimal mean loss over all nodes."""
    run = hpcopt.run(
        {
            "data": {"source": "heterogeneous-least-squares", "heterogeneity": heterogeneity, **data},
            "problem": {"loss": "squared", "l2": 0.0},
            "solver": {"name": "newton-cg"},
            "cluster": {"kind": "virtual", "workers": 16},
            "stop": {"gradient_norm": 1e-8},
        }
    )
    assert run.result["reached"]
    return run.result["objective"]


def test_the_optimum_of_heterogeneous_nodes_grows_with_the_square_of_the_heterogeneity():
    floors = [objective(heterogeneity, noise=0.0) for heterogeneity in (0.0, 0.1, 0.3)]
    assert floors[0] < 1e-15
    assert floors[2] / floors[1] == pytest.approx(9.0, rel=1e-6)
    # half of h^2 times the sum of the variances, over 16 nodes, reduced by the variance of the mean of 16 vectors
    assert floors[2] == pytest.approx(0.5 * 0.3**2 * np.geomspace(1, 0.2, 64).sum(), rel=0.2)
