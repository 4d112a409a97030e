"""The gossip studies in jobs/studies: the claims of their page, by running the solvers concerned."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hpcopt.studies.compare import compare

pytestmark = pytest.mark.study
STUDIES = Path(__file__).parents[1] / "jobs" / "studies"


def compared(name, labels, **tables):
    """Return the comparison of the solvers `labels` of a study; if it is a dict, with these step sizes only."""
    specification = tomllib.loads((STUDIES / f"deli_coco_{name}.toml").read_text())
    chosen = [table for table in specification["solvers"] if table["label"] in labels]
    assert [table["label"] for table in chosen] == list(labels)
    if isinstance(labels, dict):
        chosen = [{**table, "step_size": labels[table["label"]]} for table in chosen]
    for table, keys in tables.items():
        specification[table] = {**specification[table], **keys}
    del specification["output"]["folder"]
    return compare({**specification, "solvers": chosen})


def run(name, labels, **tables):
    """Run the solvers `labels` of a study; return their rows by label."""
    return {row["solver"]: row for row in compared(name, labels, **tables).rows()}


def test_every_uncompressed_gossip_step_lowers_the_floor_by_the_second_eigenvalue_squared():
    labels = ["none, Q = 1", "none, Q = 2", "none, Q = 4", "none, Q = 16"]
    comparison = compared("floors", labels)
    best, start = comparison.goal.optimum, comparison.runs[0].records[0].objective
    one, two, four, sixteen = ((row["mean_objective"] - best) / (start - best) for row in comparison.rows())
    assert (four / sixteen) ** (1 / 12) == pytest.approx(1 / 0.6**2, rel=0.1)
    assert 3 < one / two < 7
    assert one == pytest.approx(1.4e-3, rel=0.1)


def test_below_the_floor_of_one_gossip_step_more_steps_save_bytes_at_larger_step_sizes():
    rows = run("bytes", ["Q = 1", "Q = 4", "Q = 8"], stop={"bytes": 1.5e6})  # more than the best runs need
    best = {label: row["parameters"] for label, row in rows.items()}
    assert best == {"Q = 1": "step_size=0.1/L", "Q = 4": "step_size=1/L", "Q = 8": "step_size=3/L"}
    one, four, eight = (row["bytes"] for row in rows.values())
    assert four <= 0.5 * one
    assert eight <= 0.25 * one


def test_on_sorted_data_four_gossip_steps_need_fewer_bytes(data_folder):
    labels = {"Q = 1": "0.05/L", "Q = 4": "1/L"}  # the best
    rows = run("sorted", labels, data={"path": str(data_folder / "a9a.bz2")})
    one, four = (rows[label]["bytes"] for label in labels)
    assert four <= 0.3 * one


def test_on_shuffled_data_one_gossip_step_needs_the_fewest(data_folder):
    rows = run("shuffled", ["Q = 1", "Q = 4"], data={"path": str(data_folder / "a9a.bz2")}, stop={"bytes": 1e6})
    assert rows["Q = 1"]["bytes"] < 0.5 * rows["Q = 4"]["bytes"]


def test_with_one_small_gamma_coarse_messages_win_and_with_their_own_they_do_not():
    small, own = (
        [f"{bits} bit, Q = {steps}, {gamma}" for bits, steps in ((8, 1), (4, 2), (2, 4))]
        for gamma in ("gamma = 0.05", "own gamma")
    )
    rows = run("precision", [*small, *own])
    one, two, four = (rows[label]["bytes"] for label in small)
    assert one > 1.2 * two > 1.2 * four
    assert rows[own[0]]["bytes"] < rows[own[2]]["bytes"] < four


def test_tracking_with_two_gossip_steps_needs_half_the_gradients_at_equal_bytes():
    labels = {"BEER, 4 levels, Q = 1": "0.5/L", "BEER, 4 levels, Q = 2": "1/L"}  # the best
    rows = run("tracking", labels)
    one, two = (rows[label] for label in labels)
    assert two["work"] < 0.6 * one["work"]
    assert two["seconds"] < one["seconds"]
    assert two["bytes"] < 1.1 * one["bytes"]


def test_the_image_task_follows_the_papers_order(data_folder):
    labels = ["top 50 %, Q = 1", "top 50 %, Q = 5", "gradient descent over all nodes"]
    data = {"path": str(data_folder / "t10k-images-idx3-ubyte.gz")}
    rows = run("mnist", labels, data=data, stop={"iterations": 100})
    one, five, descent = (rows[label]["objective"] for label in labels)
    assert one == pytest.approx(0.2161, rel=0.02)  # the paper's, after 100 steps
    assert descent < five < one
