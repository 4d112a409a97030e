"""Pictures of runs that are already there."""

from __future__ import annotations

from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.reports.plots import draw_compare, draw_convergence
from hpcopt.runs import folder as folders


def replot(paths: list[Path], output: Path | None = None) -> Path:
    """Draw one run, several runs, or a comparison's runs in one picture; return where it is.

    Raises
    ------
    InputError
        If a folder holds no run, or an unfinished one without a row.
    """
    runs = [run for path in paths for run in _runs(path)]
    curves = []
    target = None
    for path in runs:
        described, rows = folders.read(path)
        if not rows:
            raise InputError(f"{path}: the run has recorded nothing yet")
        curves.append((described["label"], rows))
        target = described["specification"]["stop"].get("target", target)
    single = len(curves) == 1 and runs[0] == paths[0]
    picture = output or paths[0] / (folders.PICTURE if single else folders.COMPARISON)
    if single:
        draw_convergence(curves[0][1], picture, title=curves[0][0], target=target)
    else:
        draw_compare(curves, picture, title=", ".join(path.name for path in paths), target=target)
    return picture


def _runs(path: Path) -> list[Path]:
    """Return the run's folder itself, or those of the runs of a comparison."""
    if (path / folders.RUN).exists():
        return [path]
    inner = sorted(found.parent for found in path.glob(f"*/{folders.RUN}"))
    if not inner:
        raise InputError(f"{path}: no run here (there is no {folders.RUN} in it)")
    return inner
