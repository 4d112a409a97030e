"""Pictures of runs that are already there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.reports.plots import draw_compare, draw_convergence
from hpcopt.reports.tables import JUDGED, judged
from hpcopt.runs import folder as folders
from hpcopt.runs.network import draw_edges


def replot(paths: list[Path], output: Path | None = None) -> Path:
    """Draw one run, several runs, or a comparison's runs in one picture; return where it is.

    Raises
    ------
    InputError
        If a folder holds no run, or an unfinished one without a row.
    """
    read = [(path, *folders.read(path)) for place in paths for path in _runs(place)]
    column = read[0][1]["specification"]["stop"].get("target_on", "objective")
    for path, _, rows in read:
        if not rows:
            raise InputError(f"{path}: the run has recorded nothing yet")
    targets = [described["specification"]["stop"].get("target") for _, described, _ in read]
    target = next((target for target in targets if target is not None), None)
    problems = list(dict.fromkeys(described["problem"] for _, described, _ in read))
    if len(read) == 1 and read[0][0] == paths[0]:
        ((path, described, rows),) = read
        picture = output or path / folders.PICTURE
        draw_convergence(rows, picture, title=f"{described['label']}: {problems[0]}", target=target)
        if (path / folders.EDGES).exists():
            draw_edges(
                described,
                path,
                picture.with_name(f"{picture.stem}-{folders.NETWORK}") if output else path / folders.NETWORK,
            )
    else:
        picture = output or paths[0] / folders.COMPARISON
        curves = [(_label(path, described, len(paths)), judged(rows, column)) for path, described, rows in read]
        draw_compare(curves, picture, title="; ".join(problems) + JUDGED[column], target=target)
    return picture


def _beside(picture: Path, output: Path | None) -> str:
    """Return the name of the network's picture beside the curves'."""
    return folders.NETWORK if output is None else f"{picture.stem}-network{picture.suffix}"


def _label(path: Path, described: dict[str, Any], places: int) -> str:
    """Return a curve's name: the run's label, and its folder where several were given."""
    return described["label"] if places == 1 else f"{described['label']} ({path})"


def _runs(path: Path) -> list[Path]:
    """Return the run's folder itself, or those of the runs of a comparison in the order they were run."""
    if (path / folders.RUN).exists():
        return [path]
    inner = [path / name for name in folders.listed(path)]
    if not inner:
        raise InputError(f"{path}: no run here (there is neither {folders.RUN} nor {folders.INDEX} in it)")
    return inner
