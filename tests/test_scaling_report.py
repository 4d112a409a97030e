"""Reports of scaling studies: efficiencies and fits against known curves, and one file with everything."""

from __future__ import annotations

import csv
import math
import shlex
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from hpcopt.calibration.text import toml
from hpcopt.errors import InputError
from hpcopt.fabric.calibration import Calibration, Kernel, Kernels, Measured
from hpcopt.results.document import as_markdown
from hpcopt.scaling.cells import curves_of
from hpcopt.scaling.collect import collect
from hpcopt.scaling.efficiency import baseline, efficiency, throughput
from hpcopt.scaling.fits import amdahl, gustafson, network
from hpcopt.scaling.picture import draw_curves, draw_split
from hpcopt.scaling.points import points_of
from hpcopt.scaling.remarks import remarks
from hpcopt.scaling.report import report
from hpcopt.scaling.rows import Row
from hpcopt.scaling.sections import Findings, sections
from hpcopt.scaling.status import standings
from hpcopt.scaling.table import ScalingTable
from hpcopt.spec.specification import as_toml_dict
from hpcopt.studies.rerun import rerun
from tests.scaling import make, read

STRONG = ScalingTable(ranks=[1, 2, 4, 8], iterations=10)
WEAK = ScalingTable(ranks=[1, 2, 4, 8], kind="weak", rows_per_rank=100)


def row(seconds, ranks=1, **values):
    given = {"series": "a", "solver": "a", "topology": "", "cluster": "mpi", "clock": "wall", "threads": 1, "seed": 0}
    given |= {"repeat": 1, "budget": "iterations", "rows": 100, "iterations": 10, "rounds": 10, "status": "iterations"}
    given |= {"point": f"points/a/{ranks}", "cores": ranks, "reached": True, "command": "hpcopt rerun points/a/1"}
    return Row(**{**given, "seconds": seconds, "ranks": ranks, **values})


def cells(times, table=STRONG, **values):
    (curve,) = curves_of([row(seconds, ranks, **values) for ranks, seconds in times.items()], table)
    return curve.cells


@pytest.mark.parametrize("serial", [0.0, 0.05, 0.5, 1.0])
def test_amdahls_law_is_found_again(serial):
    found = amdahl(cells({p: 7.0 * (serial + (1 - serial) / p) for p in (1, 2, 4, 8, 64)}))
    assert found.fraction == pytest.approx(serial, abs=1e-9)
    assert found.one == pytest.approx(7.0)
    assert found.residual == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("serial", [0.0, 0.05, 0.5])
def test_gustafsons_law_is_found_again(serial):
    found = gustafson(cells({p: 7.0 * p / (p - serial * (p - 1)) for p in (1, 2, 4, 8, 64)}, WEAK))
    assert found.fraction == pytest.approx(serial, abs=1e-9)
    assert found.residual == pytest.approx(0.0, abs=1e-9)


def test_a_law_that_does_not_hold_has_a_residual():
    found = amdahl(cells({1: 1.0, 2: 1.0, 4: 0.25}))  # s = 0, T(1) = 10/9: off by 1/9, 4/9 and 1/9
    assert (found.fraction, found.one) == (0.0, pytest.approx(10.0 / 9.0))
    assert found.residual == pytest.approx(math.sqrt(2.0 / 27.0))


def test_latency_and_bandwidth_are_found_again():
    rng = np.random.default_rng(0)
    rows = []
    for ranks in (2, 5, 16):
        for size in (8, 8000, 800000):
            rounds, deep = int(rng.integers(5, 50)), 2 * math.ceil(math.log2(ranks))
            messages = rounds * 2 * (ranks - 1)
            spent = rounds * deep * (1e-5 + size / 1e9)
            one = row(1.0, ranks, series=f"{size}", rounds=rounds, messages=messages, bytes=messages * size)
            rows.append(replace(one, exchange=0.75 * spent, wait=0.25 * spent, compute=1.0))
    found = network([cell for curve in curves_of(rows, STRONG) for cell in curve.cells])
    assert (found.latency, 1 / found.per_byte) == (pytest.approx(1e-5), pytest.approx(1e9))
    assert (found.residual, found.places) == (pytest.approx(0.0, abs=1e-9), 9)
    graph = [replace(one, topology="ring", exchange=one.rounds * 2e-5, wait=None, bytes=one.bytes) for one in rows]
    found = network([cell for curve in curves_of(graph, STRONG) for cell in curve.cells])
    assert (found.latency, found.per_byte) == (pytest.approx(2e-5), pytest.approx(0.0, abs=1e-20))


def test_too_few_places_or_shared_cores_are_not_fitted():
    two = {1: 2.0, 2: 1.0}
    assert amdahl(cells(two)) is None
    assert gustafson(cells(two, WEAK)) is None
    assert network(cells(two)) is None
    crowded = [row(s, p, oversubscribed=p > 2) for p, s in {**two, 4: 1.0}.items()]
    assert amdahl(curves_of(crowded, STRONG)[0].cells) is None


def test_the_efficiency_of_strong_scaling_is_the_product_of_its_parts():
    one = row(8.0, 1, iterations=10, compute=8.0, compute_max=8.0, wait=0.0, exchange=0.0, budget="target")
    four = row(4.0, 4, iterations=20, compute=2.4, compute_max=3.0, wait=0.6, exchange=1.0, budget="target")
    (curve,) = curves_of([one, four], STRONG)
    own, cell = curve.cells
    found = efficiency(cell, baseline(curve, [curve]), own, STRONG)
    assert (found.speed_up, found.total) == (2.0, 0.5)
    assert (found.statistical, found.hardware) == (0.5, 1.0)
    assert found.statistical * found.hardware == found.total
    assert (found.balance, found.communication) == (pytest.approx(0.8), pytest.approx(0.75))
    assert found.parallel == pytest.approx(0.6)
    assert found.computation == pytest.approx(8.0 / 10 / (4 * 2.4 / 20))
    assert found.parallel * found.computation == pytest.approx(found.hardware), "as one rank does nothing but compute"


def test_the_efficiency_of_weak_scaling_is_beside_the_same_time():
    one, four = (row(s, p, rows=100 * p, compute=c, compute_max=c) for s, p, c in ((2.0, 1, 2.0), (2.5, 4, 2.0)))
    (curve,) = curves_of([one, four], WEAK)
    found = efficiency(curve.cells[1], baseline(curve, [curve]), curve.cells[0], WEAK)
    assert (found.total, found.speed_up) == (pytest.approx(0.8), pytest.approx(3.2))
    assert (found.hardware, found.computation) == (pytest.approx(0.8), pytest.approx(1.0))


def test_times_to_a_goal_are_beside_the_best_solver_on_one_rank():
    rows = [row(s, p, series=a, budget=b) for a, b, p, s in [
        ("slow", "target", 1, 9.0), ("slow", "target", 2, 3.0), ("fast", "target", 1, 2.0),
        ("slow", "iterations", 1, 5.0), ("fast", "iterations", 1, 1.0),
    ]]  # fmt: skip
    curves = {(curve.series, curve.budget): curve for curve in curves_of(rows, STRONG)}
    target, own = curves["slow", "target"], curves["slow", "iterations"]
    base = baseline(target, list(curves.values()))
    assert base.seconds.median == 2.0
    assert efficiency(target.cells[1], base, target.cells[0], STRONG).speed_up == pytest.approx(2.0 / 3.0)
    assert baseline(own, list(curves.values())).seconds.median == 5.0, "iterations of others are other iterations"


def test_without_one_rank_the_fewest_are_the_baseline():
    (curve,) = curves_of([row(4.0, 2), row(2.0, 4)], STRONG)
    found = efficiency(curve.cells[1], baseline(curve, [curve]), curve.cells[0], STRONG)
    assert (found.speed_up, found.total) == (4.0, 1.0)


def test_medians_and_quartiles_are_over_repetitions_and_wrong_points_do_not_count():
    rows = [row(s, repeat=k, point=f"{k}") for k, s in enumerate([3.0, 1.0, 2.0, 4.0, 5.0])]
    (curve,) = curves_of([*rows, row(100.0, repeat=9, faults="diverged")], STRONG)
    spread = curve.cells[0].seconds
    assert (spread.low, spread.median, spread.high, spread.count) == (2.0, 3.0, 4.0, 5)


def test_what_is_too_good_noisy_or_crowded_is_told():
    rows = [row(4.0), row(1.0, 2), *(row(s, 3, repeat=k) for k, s in enumerate([1.4, 2.0, 2.6]))]
    rows += [row(9.0, 4, oversubscribed=True), row(1.0, budget="target", iterations=10)]
    rows += [row(0.6, 2, budget="target", iterations=14)]
    told = list(remarks(curves_of(rows, STRONG), STRONG))
    for part in (
        "2 ranks: efficiency 200%, more than ideal: data that fit into caches",
        "3 ranks: noisy: the quartiles are 30% of the median apart",
        "4 ranks: more ranks than cores",
        "a: 10 to 14 iterations to the goal",
    ):
        assert [line for line in told if part in line], part
    assert not list(remarks(curves_of([row(4.0), row(2.0, 2)], STRONG), STRONG))


def test_throughput_is_rows_a_second():
    table = ScalingTable(ranks=1, kind="throughput", rows=[100, 200])
    (curve,) = curves_of([row(2.0, rows=100, work=10.0), row(1.0, rows=200, work=10.0)], table)
    assert [throughput(cell) for cell in curve.cells] == [500.0, 2000.0]


@pytest.mark.parametrize("table", [STRONG, WEAK, ScalingTable(ranks=1, kind="throughput", rows=[100, 200])])
def test_pictures_are_drawn_of_whatever_there_is(tmp_path, table):
    split = {"compute": 0.1, "compute_max": 0.2, "exchange": 0.1, "other": 0.0}
    rows = [row(1.0, 1, work=3.0, **split), row(0.6, 2, wait=0.1, **split), row(0.7, 4, oversubscribed=True, repeat=2)]
    rows += [row(0.01, 512, cluster="virtual", budget=budget, series="$b_1") for budget in ("iterations", "target")]
    draw_curves(curves_of(rows, table), table, tmp_path / "curves.png", "a $title")
    assert draw_split(curves_of(rows, table), tmp_path / "split.svg", "b")
    assert not draw_split(curves_of(rows[3:], table), tmp_path / "none.svg", "b")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert "</svg>" in (tmp_path / "split.svg").read_text()


def test_a_study_is_reported_in_one_file_from_which_any_point_is_made_again(tmp_path, monkeypatch):
    study = read(tmp_path, 'ranks = [1, 2, 16]\non = "virtual"\niterations = 4')
    points = points_of(study)
    with pytest.raises(InputError, match="no point of the study has finished"):
        report(study, points, standings(points, study.folder))
    make(study, points[:5])
    files = report(study, points, standings(points, study.folder))
    assert all(path.exists() for path in files)
    text = (study.folder / "report.md").read_text()
    for part in (
        "# study: strong scaling, logistic, 64 rows x 3 features",
        "5 of 5 finished points have passed all checks",
        "| lbfgs, virtual | 16 virtual nodes | 64 | 1 | ",
        "![time, speed-up and efficiency over the number of ranks](report.png)",
        "## What the efficiency is made of",
        "| lbfgs, virtual | iterations | Amdahl | ",
        "## Points that have not finished",
        "hpcopt rerun points/lbfgs/virtual=1",
    ):
        assert part in text, part
    with (study.folder / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert {row["faults"] for row in rows} == {""}
    with zipfile.ZipFile(files[-1]) as packed:
        packed.extractall(tmp_path / "elsewhere")
    there = tmp_path / "elsewhere" / "study"
    assert {"study.toml", "points.csv", "report.md", "report.png", "report.svg"} <= {
        path.name for path in there.iterdir()
    }
    monkeypatch.chdir(there)
    program, verb, folder = shlex.split(rows[-1]["command"])
    assert (program, verb) == ("hpcopt", "rerun")
    again = rerun(folder)
    assert again.agrees
    assert again.at == ""


def test_measured_points_do_not_depend_on_a_calibration_and_predictions_are_told_with_it(tmp_path):
    spent = Kernel(call=1e-3, rates=((1e5, 1e9),), rest=((1e5, 1e9),))
    known = Calibration(
        measured=Measured(machine="here", ranks=1), dense=Kernels(gradient=spent), sparse=Kernels(gradient=spent)
    )
    (tmp_path / "here.toml").write_text(toml(known))
    table = "ranks = 2\nvirtual = [1, 2]\nrepeats = 1\niterations = 3"
    plain = read(tmp_path, table, stop="rounds = 9")
    study = read(tmp_path, table, stop="rounds = 9", cluster=f'calibration = "{tmp_path}/here.toml"')
    before, after = (
        [as_toml_dict(replace(point.spec, file=None)) for point in points_of(one)] for one in (plain, study)
    )
    assert before[0] == after[0]
    assert before[1] != after[1]
    points = points_of(study)
    make(study, points[1:])
    assert collect(study, points)[0].seconds > 4e-3, "four gradients"
    measured = replace(collect(study, points)[1], cluster="mpi", point="x", seconds=0.01)
    rows = [*collect(study, points), measured]
    curves = curves_of(rows, study.table)
    found = Findings(rows, curves, study.table, 3, [], {"mpi": "none"}, "here.toml")
    text = as_markdown("t", sections(found, []))
    assert "rates are measured: here.toml" in text
    predicted = collect(study, points)[1].seconds
    assert f"| lbfgs | iterations | 2 ranks | {predicted:.4g} | 0.01 | {predicted / 0.01 - 1:+.0%} |" in text
    report(study, points, standings(points, study.folder))
    assert "here.toml" in (study.folder / "report.md").read_text()
    with zipfile.ZipFile(study.folder / "study.zip") as packed:
        assert {"study/study.toml", "study/here.toml"} <= set(packed.namelist())


def test_a_study_without_a_right_point_is_reported_as_such(tmp_path):
    study = read(tmp_path, 'ranks = [1, 2]\non = "virtual"', stop="rounds = 1\ngradient_norm = 1e-9")
    points = points_of(study)
    make(study)
    files = report(study, points, standings(points, study.folder))
    text = (study.folder / "report.md").read_text()
    assert "0 of 2 finished points have passed all checks" in text
    assert "the goal was not reached: reached the limit of rounds" in text
    assert not [path for path in files if path.suffix == ".png"]
