"""A small scaling study for tests, and its virtual points made in this process."""

from __future__ import annotations

from hpcopt.runs.start import run
from hpcopt.scaling.folder import SPEC
from hpcopt.scaling.points import points_of
from hpcopt.scaling.study import read_study
from hpcopt.scaling.work import write_specification

STUDY = """\
[scaling]
{scaling}
[data]
source = "logistic"
rows = 64
features = 3
{data}
[problem]
loss = "logistic"
l2 = 0.1
[stop]
{stop}
[cluster]
{cluster}
[[solvers]]
name = {solver}
"""


def write_study(folder, scaling, stop="gradient_norm = 1e-3", cluster="", solver='"lbfgs"', data="", name="study.toml"):
    """Write a study; return its path."""
    path = folder / name
    path.write_text(STUDY.format(scaling=scaling, stop=stop, cluster=cluster, solver=solver, data=data))
    return path


def read(folder, scaling, **tables):
    """Return a study with its folder beside its file."""
    return read_study(write_study(folder, scaling, **tables), folder / "out")


def make(study, points=None):
    """Make virtual points, as a worker does in processes of their own."""
    for point in points or points_of(study):
        write_specification(study, point)
        run(study.folder / point.name / SPEC, folder=study.folder / point.name, overwrite=True)
