"""The fingerprint of a specification is that of the run: of all that its results depend on, and of nothing else."""

import json

import pytest

from hpcopt.spec.fingerprint import fingerprint, identity
from hpcopt.spec.specification import as_toml_dict, specification_from

PLAIN = {"data": {"source": "breast-cancer"}, "solver": {"name": "sgd"}}


def of(**tables):
    return fingerprint(specification_from({**PLAIN, **tables}))


@pytest.mark.parametrize(
    "tables",
    [
        {"solver": {"name": "sgd", "batch": 0}, "seed": 0},  # defaults
        {"output": {"folder": "elsewhere", "record_every": 7}},
        {"stop": {"rounds": 100}},
    ],
)
def test_what_results_do_not_depend_on_does_not_change_it(tables):
    assert of(**tables) == of()


@pytest.mark.parametrize(
    "tables",
    [
        {"seed": 1},
        {"solver": {"name": "sgd", "batch": 5}},
        {"stop": {"rounds": 101}},
        {"problem": {"l2": 0.1}},
        {"cluster": {"workers": 3, "kind": "virtual"}},
    ],
)
def test_what_results_depend_on_changes_it(tables):
    assert of(**tables) != of()


def test_a_run_described_in_a_folder_has_the_identity_of_its_specification():
    spec = specification_from({**PLAIN, "cluster": {"topology": {"name": "random-regular", "degree": 3}}})
    described = json.loads(json.dumps(as_toml_dict(spec)))
    assert identity(described) == json.loads(json.dumps(identity(as_toml_dict(spec))))
    assert fingerprint(spec) == fingerprint(specification_from(described))
    assert len(fingerprint(spec)) == 64
