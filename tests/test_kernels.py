"""Kernels against numpy and scipy, for unusual shapes and at the limits of the number range."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba.core.caching
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpcopt.kernels import cache, dense, pointwise
from hpcopt.kernels.pointwise import HINGE, HUBER, LOGISTIC, RELU, SQUARED, SQUARED_HINGE

FINE = np.longdouble
TOLERANCE = 1e-14  # relative, of one loss or derivative
KINDS = {
    "logistic": LOGISTIC,
    "squared": SQUARED,
    "relu": RELU,
    "hinge": HINGE,
    "squared hinge": SQUARED_HINGE,
    "huber": (HUBER[0], 0.7),
}
KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
SIZES = (0, 1, 3, 7, 8, 31, 512, 513, 1025)
EXTREMES = [0.0, -0.0, 5e-324, 1e-300, 1e-17, 36.7, 37.5, 700.0, 709.5, 740.0, 746.0, 1e4, 1e300, np.inf]


def exact(kind, z, y):
    """Loss, dl/dz and d2l/dz2 in extended precision, by the textbook."""
    z, y = z.astype(FINE), y.astype(FINE)
    if kind == SQUARED:
        return 0.5 * (z - y) ** 2, z - y, np.ones_like(z)
    if kind == RELU:
        r = np.maximum(z, 0) - y
        return 0.5 * r**2, np.where(z > 0, r, 0), np.where(z > 0, 1, 0).astype(FINE)
    if kind[0] == HUBER[0]:
        r, delta = np.abs(z - y), FINE(kind[1])
        loss = np.where(r <= delta, r**2 / 2, delta * (r - delta / 2))
        return loss, np.clip(z - y, -delta, delta), (r <= delta).astype(FINE)
    m = y * z
    if kind in {HINGE, SQUARED_HINGE}:
        r, inside = np.maximum(1 - m, 0), (m < 1).astype(FINE)
        return (r, -y * inside, 0 * inside) if kind == HINGE else (r**2, -2 * y * r, 2 * inside)
    t = np.exp(-np.abs(z))
    loss = np.log1p(t) + np.maximum(-m, 0)
    sigmoid = np.where(m >= 0, t, 1) / (1 + t)
    return loss, -y * sigmoid, t / (1 + t) ** 2


def evaluated(kind, z, y):
    residual, curvature = np.full(z.size, np.nan), np.full(z.size, np.nan)
    total = pointwise.derivatives(kind, z, y, residual, curvature)
    return total, residual, curvature


def one_by_one(kind, z, y):
    """Return each row's loss; the kernel returns only sums."""
    return np.array([pointwise.loss_sum(kind, z[i : i + 1], y[i : i + 1]) for i in range(z.size)])


def signs(n, seed=0):
    return np.where(np.random.default_rng(seed).random(n) < 0.5, -1.0, 1.0)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 30.0, 300.0])
def test_each_logistic_value_is_exact_to_a_few_units_in_the_last_place(scale):
    z = scale * np.random.default_rng(1).standard_normal(2000)
    y = signs(2000)
    loss, residual, curvature = exact(LOGISTIC, z, y)
    normal = np.abs(residual) > 1e-300  # below this, doubles themselves lose digits
    _, ours, bend = evaluated(LOGISTIC, z, y)
    np.testing.assert_allclose(one_by_one(LOGISTIC, z, y)[normal], loss[normal].astype(float), rtol=TOLERANCE)
    np.testing.assert_allclose(ours[normal], residual[normal].astype(float), rtol=TOLERANCE)
    np.testing.assert_allclose(bend[curvature > 1e-300], curvature[curvature > 1e-300].astype(float), rtol=TOLERANCE)


@pytest.mark.parametrize("size", EXTREMES)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("lanes", [1, 40])
def test_extreme_margins_are_safe_in_every_lane(size, sign, lanes):
    z, y = np.full(lanes, sign * size), signs(lanes)
    total, residual, curvature = evaluated(LOGISTIC, z, y)
    loss, slope, bend = (value.astype(float) for value in exact(LOGISTIC, z, y))
    assert total == pytest.approx(loss.sum(), rel=1e-13, abs=1e-320)
    np.testing.assert_allclose(residual, slope, rtol=TOLERANCE, atol=1e-320)
    np.testing.assert_allclose(curvature, bend, rtol=TOLERANCE, atol=1e-320)


@KIND
@pytest.mark.parametrize("where", [0, 5, 39])
def test_a_nan_margin_gives_nan_and_spoils_no_other_row(kind, where):
    z, y = np.zeros(40), signs(40)
    z[where] = np.nan
    total, residual, curvature = evaluated(kind, z, y)
    others = np.arange(40) != where
    assert np.isnan(total)
    assert np.isnan(residual[where])
    assert kind != LOGISTIC or np.isnan(curvature[where])
    assert np.isfinite(residual[others]).all()
    assert np.isfinite(curvature[others]).all()


@KIND
@pytest.mark.parametrize("n", SIZES)
def test_sums_and_derivatives_hold_for_any_length(kind, n):
    z, y = 3.0 * np.random.default_rng(n).standard_normal(n), signs(n)
    loss, slope, bend = (value.astype(float) for value in exact(kind, z, y))
    total, residual, curvature = evaluated(kind, z, y)
    assert total == pytest.approx(loss.sum(), rel=1e-13)
    assert pointwise.loss_sum(kind, z, y) == pytest.approx(loss.sum(), rel=1e-13)
    np.testing.assert_allclose(residual, slope, rtol=1e-13)
    np.testing.assert_allclose(curvature, bend, rtol=1e-13)


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("y", [-2.0, 0.0, 3.0])
def test_at_its_kink_the_rectified_loss_has_the_slope_and_curvature_of_the_flat_side(zero, y):
    total, residual, curvature = evaluated(RELU, np.full(9, zero), np.full(9, y))
    assert total == 9 * 0.5 * y**2
    np.testing.assert_array_equal(residual, np.zeros(9))
    np.testing.assert_array_equal(curvature, np.zeros(9))


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e8, 1e154, 1e300, np.inf])
@pytest.mark.parametrize("name", ["hinge", "squared hinge", "huber"])
def test_losses_of_huge_margins_and_errors_are_finite_wherever_a_double_can_hold_them(name, size, sign):
    kind, z, y = KINDS[name], np.full(9, sign * size), signs(9)
    loss, slope, bend = exact(kind, z, y)
    total, residual, curvature = evaluated(kind, z, y)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(one_by_one(kind, z, y), loss.astype(float), rtol=TOLERANCE)
        assert total == pytest.approx(float(loss.sum()), rel=1e-13)
    np.testing.assert_allclose(residual, slope.astype(float), rtol=TOLERANCE)
    np.testing.assert_array_equal(curvature, bend.astype(float))


@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_at_a_margin_of_one_the_hinges_have_the_slope_and_curvature_of_the_flat_side(y):
    for kind in (HINGE, SQUARED_HINGE):
        total, residual, curvature = evaluated(kind, np.full(9, y), np.full(9, y))
        assert total == 0.0
        np.testing.assert_array_equal(residual, np.zeros(9))
        np.testing.assert_array_equal(curvature, np.zeros(9))


@given(arrays(np.float64, st.integers(1, 70), elements=st.floats(-800, 800)), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_logistic_derivatives_are_scipys(z, seed):
    y = signs(z.size, seed)
    total, residual, curvature = evaluated(LOGISTIC, z, y)
    assert total == pytest.approx(np.logaddexp(0.0, -y * z).sum(), rel=1e-13, abs=1e-300)
    np.testing.assert_allclose(residual, -y * scipy.special.expit(-y * z), rtol=1e-13, atol=1e-300)
    expected = scipy.special.expit(z) * scipy.special.expit(-z)
    np.testing.assert_allclose(curvature, expected, rtol=1e-13, atol=1e-300)


@KIND
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("steps", [[], [0.5], [0.0, 1e-3, 1.0, -2.0, 1e3]])
def test_ray_losses_are_those_at_the_moved_margins(kind, n, steps):
    rng = np.random.default_rng(n)
    z, q, y, steps = rng.standard_normal(n), rng.standard_normal(n), signs(n), np.array(steps)
    out = np.full(len(steps), np.nan)
    pointwise.ray_losses(kind, z, q, y, steps, out)
    expected = [float(exact(kind, z - t * q, y)[0].sum()) for t in steps]
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_an_unknown_loss_code_is_refused():
    one = np.ones(1)
    with pytest.raises(ValueError, match="unknown loss"):
        pointwise.loss_sum((99, 0.0), one, one)
    with pytest.raises(ValueError, match="unknown loss"):
        pointwise.derivatives((99, 0.0), one, one, one.copy(), one.copy())


@pytest.mark.parametrize("d", [0, 1, 2, 9])
def test_mirror_copies_the_lower_triangle(d):
    H = np.random.default_rng(d).standard_normal((d, d))
    expected = np.tril(H) + np.tril(H, -1).T
    dense.mirror(H)
    np.testing.assert_array_equal(H, expected)


WARM = """
import numpy as np
from hpcopt.kernels import cache, csr, dense
one, gram = np.ones(1), np.zeros((1, 1))
def warm():
    dense.mirror(gram)
    csr.gram(2.0 * one, np.zeros(1, np.int32), np.arange(2), one, gram)
    return gram[0, 0]
square = cache.compile_safely(warm)
print(cache.place().folder)
print(sum(dense.mirror.stats.cache_hits.values()), square)
"""


ROOT = Path(cache.__file__).parents[2]


def warmed(place: Path, program: str = WARM, root: Path = ROOT) -> tuple[Path, int, float]:
    """Compile two kernels in a process with its own cache; return the cache's folder, the hits, a square."""
    environment = {"NUMBA_CACHE_DIR": str(place), "PATH": "", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    folder, numbers = done.stdout.splitlines()
    hits, square = numbers.split()
    return Path(folder), int(hits), float(square)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder whose cache holds two kernels, one calling the other."""
    place = tmp_path_factory.mktemp("cache")
    folder, hits, _ = warmed(place)
    assert folder.is_relative_to(place)
    assert hits == 0
    return place


def test_a_second_process_finds_the_kernels_compiled(filled):
    assert warmed(filled)[1] == 1


def test_a_copy_of_the_package_elsewhere_finds_them_too(filled, tmp_path):
    shutil.copytree(ROOT / "hpcopt", tmp_path / "hpcopt", ignore=shutil.ignore_patterns("__pycache__"))
    assert warmed(filled, root=tmp_path)[1] == 1


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 40])
def test_a_damaged_cache_is_rebuilt(filled, suffix, left):
    for path in filled.rglob(f"*.{suffix}"):
        path.write_bytes(path.read_bytes()[:left])
    folder, _, square = warmed(filled)
    assert square == 4.0
    assert all(path.stat().st_size > left for path in folder.rglob("*.nb?"))


def test_a_damaged_callee_of_a_kernel_not_yet_cached_is_rebuilt(filled):
    for path in filled.rglob("*gram*"):
        path.unlink()
    for path in filled.rglob("*mirror*.nbc"):
        path.write_bytes(b"")
    assert warmed(filled, WARM.replace("    dense.mirror(gram)\n", ""))[2] == 4.0


def test_a_damaged_entry_that_numba_reports_as_another_error_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "place", lambda: cache.Place(tmp_path, ()))  # must not clear the shared cache
    (tmp_path / "kernel.nbi").write_bytes(b"")
    stored = numba.core.caching.IndexDataCacheFile(str(tmp_path), "kernel", None)

    def warm():
        try:
            return stored.load("signature")
        except EOFError as error:
            raise TypeError("typing failed") from error

    assert cache.compile_safely(warm) is None
    assert not tmp_path.exists()


def test_without_a_place_to_write_kernels_are_compiled_all_the_same(tmp_path):
    blocked = "from hpcopt.kernels import cache\nimport shutil, pathlib\nimport hpcopt.kernels.csr\n"
    blocked += "shutil.rmtree(cache.place().folder)\ncache.place().folder.write_text('not a folder')\n"
    assert warmed(tmp_path, blocked + WARM)[2] == 4.0


def test_an_error_of_the_kernel_itself_is_not_taken_for_a_damaged_cache():
    one, calls = np.ones(1), []

    def wrong():
        calls.append(1)
        pointwise.loss_sum((99, 0.0), one, one)

    with pytest.raises(ValueError, match="unknown loss"):
        cache.compile_safely(wrong)
    assert len(calls) == 1


def test_clear_removes_the_folder_and_leaves_loaded_kernels_usable(tmp_path):
    cleared = "cache.clear()\nassert not cache.place().folder.exists()\nassert warm() == square\n"
    assert not warmed(tmp_path, WARM + cleared)[0].exists()


def test_the_decoration_leaves_numbas_own_setting_alone(tmp_path):
    program = "import numba\nbefore = numba.config.CACHE_DIR\n" + WARM + "assert numba.config.CACHE_DIR == before\n"
    assert warmed(tmp_path, program)[2] == 4.0


def in_process(program, tmp_path, **variables):
    home = str(tmp_path / "home")
    environment = {"PATH": "", "PYTHONPATH": str(ROOT), "HOME": home, "TMPDIR": str(tmp_path), **variables}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


TOLD = "from hpcopt.kernels.cache import place\nprint(place().folder, *place().refused, sep='\\n')"


@pytest.mark.parametrize("wrong", ["/proc/numba", "{tmp_path}/file", "{tmp_path}/file/below"])
def test_a_cache_folder_that_cannot_be_used_is_passed_over_and_named(tmp_path, wrong):
    (tmp_path / "file").touch()
    wrong = wrong.format(tmp_path=tmp_path)
    folder, *refused = in_process(TOLD, tmp_path, NUMBA_CACHE_DIR=wrong).stdout.splitlines()
    assert Path(folder).parent == tmp_path / "home" / ".cache" / "hpcopt"
    assert len(refused) == 1
    assert refused[0].startswith(wrong)


@pytest.mark.parametrize("home", ["", "relative", "/proc/home"])
def test_a_home_that_cannot_be_used_is_passed_over(tmp_path, home):
    folder, *refused = in_process(TOLD, tmp_path, HOME=home).stdout.splitlines()
    if home or os.getuid():  # the superuser may write to /
        assert Path(folder).parent.parent == tmp_path
        assert len(refused) == 1


def test_with_no_folder_at_all_each_process_compiles(tmp_path):
    program = f"import tempfile\ntempfile.tempdir = '/proc/tmp'\n{WARM.replace('.folder)', ')')}"
    done = in_process(program, tmp_path, HOME="/proc/home", NUMBA_CACHE_DIR="/proc/numba")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Place(folder=None")
    assert done.stdout.endswith("0 4.0\n")


@pytest.mark.parametrize(
    ("name", "value"), [("DISABLE_JIT", "1"), ("NUM_THREADS", "0"), ("NUM_THREADS", "many"), ("OPT", "fast")]
)
def test_settings_of_numba_that_nothing_can_run_with_are_told_in_one_line(tmp_path, name, value):
    program = "import sys\nfrom hpcopt.cli.main import main\nsys.exit(main(['list', 'compressors']))"
    done = in_process(program, tmp_path, **{f"NUMBA_{name}": value})
    assert done.returncode == 1
    assert done.stderr.startswith("hpcopt: error: ")
    assert done.stderr.count("\n") == 1
    assert "numba" in done.stderr
