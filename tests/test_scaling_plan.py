"""Scaling studies: what their files may say, which points they have, and what is told before anything runs."""

from __future__ import annotations

import pytest

from hpcopt.errors import InputError
from hpcopt.scaling.folder import STATE
from hpcopt.scaling.plan import core_hours, expected_hours, plan
from hpcopt.scaling.points import points_of
from hpcopt.scaling.status import Stage, standings
from hpcopt.scaling.study import read_study
from hpcopt.spec.specification import as_toml_dict, specification_from
from hpcopt.spec.toml_lines import parsed
from hpcopt.spec.toml_text import as_toml
from tests.scaling import make, read, write_study


def test_a_study_has_every_combination_once_before_any_is_repeated(tmp_path):
    study = read(
        tmp_path,
        "ranks = [2, 1]\nthreads = [1, 2]\nrepeats = 2\niterations = 5\nvirtual = 16",
        cluster='topology = ["ring", { name = "grid", weights = ["metropolis", "laplacian"] }]',
        solver='"dgd"\nstep_size = [0.1, 0.2]\n[[solvers]]\nname = "lbfgs"',
    )
    points = points_of(study)
    series = {point.series for point in points}
    assert len(series) == 2 * 3 + 1, "two step sizes on three topologies, and one solver that uses none"
    assert len(points) == len(series) * 2 * (2 * 2 * 2 + 1), "2 budgets, 2 x 2 places twice, and a virtual one"
    assert len({point.name for point in points}) == len(points)
    mpi = [point for point in points if not point.place.is_virtual]
    assert [point.repeat for point in points] == sorted(point.repeat for point in points)
    assert [point.place.ranks for point in mpi[: len(mpi) // 2]] == sorted([1, 2] * (len(mpi) // 4))
    point = next(point for point in points if point.budget == "iterations" and point.topology)
    assert (point.spec.stop.iterations, point.spec.stop.gradient_norm) == (5, None)
    assert point.spec.cluster.workers == (point.place.ranks if point.place.is_virtual else None)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ('kind = "strong"', {1: {64}, 2: {64}}),
        ('kind = "weak"\nrows_per_rank = 50', {1: {50}, 2: {100}}),
        ('kind = "throughput"\nrows = [30, 40]', {1: {30, 40}, 2: {30, 40}}),
    ],
)
def test_what_is_held_constant_is_what_the_kind_says(tmp_path, kind, rows):
    points = points_of(read(tmp_path, f"{kind}\nranks = [1, 2]"))
    assert {n: {point.spec.data.rows for point in points if point.place.ranks == n} for n in (1, 2)} == rows


def test_the_specification_of_a_point_is_the_same_when_it_is_read_from_its_file(tmp_path):
    for point in points_of(read(tmp_path, "ranks = 2\nvirtual = 3", cluster='topology = ["ring"]', solver='"dgd"')):
        written = as_toml_dict(point.spec)
        assert as_toml_dict(specification_from(parsed(as_toml(written, "a comment")))) == written


def test_any_text_survives_a_toml_file():
    tables = {"a b": 'quote " \\ \x7f \n \N{SNOWMAN}', "t": {"x.y": [1, 2.5, 1e-30, True, "z"], "in": {"k": {}}}}
    assert parsed(as_toml(tables)) == tables


@pytest.mark.parametrize(
    ("scaling", "tables", "told"),
    [
        ("ranks = []", {}, "study.toml, line 2: scaling.ranks: expected a list"),
        ("ranks = [1, 0]", {}, "line 2: scaling.ranks.1: expected an integer >= 1, got 0"),
        ("ranks = [1, 1]", {}, "line 2: scaling.ranks: 1 is given twice"),
        ("ranks = 1\nrank = 2", {}, "line 3: scaling.rank: unknown key"),
        ("ranks = 1\nlaunch = 'mpiexec \"-x'", {}, 'line 3: scaling.launch: expected a command, such as "mpiexec"'),
        ("repeats = 2", {}, "scaling.ranks: missing"),
        ('ranks = 1\nkind = "weak"', {}, 'scaling.rows_per_rank: missing; kind = "weak" requires it'),
        ("ranks = 1\nrows = 5", {}, 'line 3: scaling.rows: not used with kind = "strong"'),
        ("ranks = 1", {"stop": "rounds = 9"}, "line 1: scaling: runs need an end: give iterations = N here"),
        ('ranks = 1\non = "virtual"\nvirtual = 4', {}, "line 4: scaling.virtual: on"),
        ("ranks = 1", {"cluster": "topology = []"}, "cluster.topology: expected a topology"),
        ("ranks = 1", {"cluster": 'topology = ["ring", "ring"]'}, '"ring" is given twice'),
        ("ranks = 1", {"cluster": 'topology = ["rung"]', "solver": '"dgd"'}, "cluster.topology.name: "),
        ("ranks = 1", {"solver": '"lbfgz"'}, "solvers.0.name: "),
        ("ranks = 1\ntime_limit = 1e300", {}, "line 3: scaling.time_limit: expected at most 31536000 seconds, a year"),
        ('ranks = 1\nspecification = "other.toml"', {}, "line 3: scaling.specification: given together with data"),
        (
            "ranks = [1, 2]\nvirtual = 3",
            {"cluster": "speeds = [1.0, 2.0]"},
            "with 3 virtual nodes: speeds: expected one",
        ),
    ],
)
def test_a_wrong_study_is_told_with_its_line(tmp_path, scaling, tables, told):
    with pytest.raises(InputError) as error:
        points_of(read(tmp_path, scaling, **tables))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_study_may_name_the_file_of_its_specification(tmp_path):
    write_study(tmp_path, "ranks = 1", name="whole.toml")
    spec = (tmp_path / "whole.toml").read_text().split("\n[data]")[1]
    (tmp_path / "spec.toml").write_text("[data]" + spec)
    (tmp_path / "study.toml").write_text('[scaling]\nranks = [1, 2]\nspecification = "spec.toml"\n')
    study = read_study(tmp_path / "study.toml")
    assert study.specification.data.rows == 64
    assert tmp_path / "spec.toml" in study.files
    (tmp_path / "spec.toml").unlink()
    with pytest.raises(InputError, match=r"study\.toml, line 3: scaling\.specification: .*spec\.toml: no such file"):
        read_study(tmp_path / "study.toml")
    (tmp_path / "spec.toml").write_text("[data]" + spec.replace("features = 3", "features = 0"))
    with pytest.raises(InputError, match=r"spec\.toml, line 4: data\.features: expected an integer >= 1"):
        read_study(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("scaling", "tables", "told"),
    [
        ("ranks = [1, 2, 4]\nrepeats = 3", {}, "more ranks than cores: points of 4 cores share 2"),
        ("ranks = [2, 4]\nrepeats = 3", {}, "no point on one rank: speed-up and efficiency are relative to 2 ranks"),
        ("ranks = 1\nrepeats = 3", {}, "all points have 1 rank: there is nothing to scale"),
        ("ranks = [1, 2]\nthreads = [1, 2]", {}, "threads: several ranks compute with one thread each"),
        ("ranks = [1, 2]\nrepeats = 2", {}, "2 repeats of each point: 3 or more show how far times spread"),
        ('ranks = [1, 2]\non = "virtual"\nrepeats = 2', {}, "virtual time is computed"),
        ("ranks = [1, 2]\niterations = 9", {"stop": "rounds = 5"}, "no goal in [stop]"),
        ('ranks = [1, 2]\nkind = "weak"\nrows_per_rank = 9', {"stop": "target = 0.5"}, "the target is an objective"),
        ("ranks = [1, 2]", {"cluster": 'topology = "ring"', "solver": '"ad-psgd"\nbatch = 1'}, "asynchronous"),
    ],
)
def test_what_the_results_would_not_show_is_told_before_anything_runs(tmp_path, scaling, tables, told):
    assert [line for line in plan(read(tmp_path, scaling, **tables), cores=2).warnings if line.startswith(told)]


def test_files_that_are_not_here_are_told_before_anything_runs(tmp_path):
    path = write_study(tmp_path, "ranks = [1, 2]")
    path.write_text(path.read_text().replace('source = "logistic"\nrows = 64\nfeatures = 3', 'path = "away.svm"'))
    assert "away.svm is not here" in plan(read_study(path), cores=2).warnings


def test_a_good_study_has_no_warnings_and_its_cost_is_told(tmp_path):
    planned = plan(read(tmp_path, "ranks = [1, 2, 8]\ntime_limit = 36"), cores=8)
    assert planned.warnings == []
    assert planned.core_hours == pytest.approx(3 * (1 + 2 + 8) * 0.01)
    assert core_hours([], 36.0) == 0.0


def test_topologies_that_do_not_exist_are_left_out_with_the_reason(tmp_path):
    tables = {"cluster": 'topology = { name = "random-regular", degree = 3 }', "solver": '"dgd"'}
    planned = plan(read(tmp_path, "ranks = [1, 2, 4]", **tables), cores=4)
    assert {point.place.ranks for point, _ in planned.impossible} == {2}
    assert all("expected less than the number of nodes" in why for _, why in planned.impossible)
    assert {point.place.ranks for point in planned.points} == {1, 4}


def test_points_are_done_until_their_specification_changes(tmp_path):
    table = 'ranks = [1, 2]\non = "virtual"'
    study = read(tmp_path, table)
    points = points_of(study)
    stages = {point.name: one.stage for point, one in zip(points, stages_of(study), strict=True)}
    assert set(stages.values()) == {Stage.MISSING}
    make(study)
    assert {one.stage for one in stages_of(study)} == {Stage.DONE}
    hours, known = expected_hours(plan(study, 1), standings(points, study.folder))
    assert (hours, known) == (0.0, 2)
    more = read(tmp_path, 'ranks = [1, 2, 3]\non = "virtual"')
    assert [one.stage for one in stages_of(more)] == [Stage.DONE, Stage.DONE, Stage.MISSING]
    planned = plan(more, 1)
    assert expected_hours(planned, standings(planned.points, more.folder))[0] > 0.0
    other = read(tmp_path, table, stop="gradient_norm = 1e-4")
    assert {one.stage for one in stages_of(other)} == {Stage.MISSING}


def test_a_damaged_point_is_made_again(tmp_path):
    study = read(tmp_path, 'ranks = [1, 2]\non = "virtual"')
    make(study)
    first, second = (study.folder / point.name for point in points_of(study))
    (first / "run.json").write_text("{")
    trace = (second / "trace.jsonl").read_text().splitlines(keepends=True)
    (second / "trace.jsonl").write_text("".join(trace[:-1]))
    (second / STATE).write_text("{}")
    assert {one.stage for one in stages_of(study)} == {Stage.MISSING}


def stages_of(study):
    return list(standings(points_of(study), study.folder).values())
