"""The output and the pictures of an asynchronous run."""

from __future__ import annotations

import json

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.results.folder import read_edges
from hpcopt.runs import topology

SPECIFICATION = {
    "data": {"source": "breast-cancer", "scale": "standard"},
    "solver": {"name": "prague", "group_size": 3},
    "cluster": {"kind": "virtual", "workers": 7},
    "stop": {"iterations": 5},
}


@pytest.mark.parametrize("rule", ["rounds=0", "target=1.0"])
def test_a_run_that_ends_at_its_start_tells_so(tmp_path, capsys, rule):
    spec = tmp_path / "spec.toml"
    spec.write_text('data.source = "breast-cancer"\nsolver.name = "dsgd-aau"\n')
    assert main(["run", str(spec), "--virtual", "3", "--out", str(tmp_path / "out"), "--set", f"stop.{rule}"]) == 0
    (told,) = (line for line in capsys.readouterr().out.splitlines() if "gradients" in line)
    assert told.split() == ["gradients", "0"]  # without discarded steps nothing is printed about them


@pytest.mark.parametrize("cluster", [{}, {"topology": "ring"}])
def test_a_solver_that_uses_no_topology_is_drawn_with_all_that_it_sent(tmp_path, monkeypatch, cluster):
    drawn = []
    monkeypatch.setattr(topology, "draw_topology", lambda diagram, path, title: drawn.append((diagram, title)))  # noqa: ARG005
    hpcopt.run({**SPECIFICATION, "cluster": {**SPECIFICATION["cluster"], **cluster}}, folder=tmp_path)
    ((diagram, title),) = drawn
    sent = read_edges(tmp_path, 7)
    assert diagram.sent.sum() == sent[:, 2].sum() > 0
    assert "between any of the 7 nodes" in title
    assert "topology" not in json.loads((tmp_path / "run.json").read_text())
