"""The studies of asynchronous solvers in jobs/studies: the claims of their page, with fewer workers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hpcopt.studies.compare import compare

pytestmark = pytest.mark.study
STUDIES = Path(__file__).parents[1] / "jobs" / "studies"


def run(name, labels, parameters=None, **cluster):
    """Run the solvers `labels` of a study with other parameters and keys of [cluster]; return their rows by label."""
    specification = tomllib.loads((STUDIES / f"dsgd_aau_{name}.toml").read_text())
    tables = {table.get("label", table["name"]): table for table in specification["solvers"]}
    stragglers = {**specification["cluster"]["stragglers"], **cluster.pop("stragglers", {})}
    specification["cluster"] = {**specification["cluster"], **cluster, "stragglers": stragglers}
    del specification["output"]["folder"]
    rows = compare({**specification, "solvers": [{**tables[label], **(parameters or {})} for label in labels]}).rows()
    assert all(row["reached"] for row in rows)
    return {row["solver"]: row for row in rows}


def test_it_saves_time_against_those_who_wait_and_bytes_against_those_who_do_not():
    labels = ["dsgd-aau", "d-psgd", "prague, drawn one by one", "ad-psgd", "agp"]
    ours, *_ = rows = list(run("table", labels, workers=64).values())
    rivals = dict(zip(labels, rows, strict=True))
    assert ours["seconds"] <= rivals["d-psgd"]["seconds"] / 2.5
    assert ours["seconds"] <= rivals["prague, drawn one by one"]["seconds"] / 2.5
    assert ours["model_bytes"] <= 0.85 * rivals["ad-psgd"]["model_bytes"]
    assert ours["model_bytes"] <= 0.3 * rivals["agp"]["model_bytes"]
    assert ours["seconds"] == pytest.approx(rivals["ad-psgd"]["seconds"], rel=0.3)


def test_stragglers_cost_those_who_wait_far_more():
    labels = ["dsgd-aau", "d-psgd"]
    even, uneven = (run("table", labels, workers=64, stragglers={"slowdown": slow}) for slow in (1.0, 10.0))
    ours, theirs = (uneven[label]["seconds"] / even[label]["seconds"] for label in labels)
    assert ours <= 2.5
    assert theirs >= 5.0


def test_the_time_falls_as_workers_are_added():
    best = {4: (2.0, 3), 32: (8.0, 8)}  # workers -> step size and degree
    work = []  # seconds of all workers together
    for workers, (step_size, degree) in best.items():
        topology = {"name": "random-regular", "degree": degree}
        rows = run("speedup", ["dsgd-aau"], {"step_size": step_size}, workers=workers, topology=topology)
        work.append(workers * rows["dsgd-aau"]["seconds"])
    assert max(work) <= 1.8 * min(work)
