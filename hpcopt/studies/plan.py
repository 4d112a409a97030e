"""What a comparison runs, in which folders, and how its runs belong together."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hpcopt.results.checked import ListedRun
from hpcopt.results.choice import Cell, Contender, Criterion, in_words
from hpcopt.results.goal import Goal
from hpcopt.results.tables import Finished
from hpcopt.spec.grid import Variant
from hpcopt.spec.specification import Specification

LONGEST_NAME = 200  # bytes of a folder's name; file systems allow 255

R = TypeVar("R", bound=Finished)


@dataclass(frozen=True)
class Planned:
    """A run of a comparison.

    Parameters
    ----------
    variant
        Its solver.
    label
        Its label; of several seeds it names its own.
    listed
        Its folder, and what it belongs to.
    """

    variant: Variant
    label: str
    listed: ListedRun


def plan(spec: Specification) -> list[Planned]:
    """Return the runs of a comparison, in the order of its tables, grids and seeds."""
    seeds = range(spec.seed, spec.seed + (spec.seeds or 1))
    contenders = [list(group) for _, group in itertools.groupby(spec.variants, lambda variant: variant.contender)]
    planned = []
    for outer, variants in zip(folder_names([group[0].contender for group in contenders]), contenders, strict=True):
        cells = folder_names(["-".join(in_words(variant.values)) for variant in variants])
        for cell, variant in zip(cells, variants, strict=True):
            folder = f"{outer}/{cell}" if variant.values else outer
            label, values = variant.label, dict(variant.values)
            for seed in seeds:
                inner, own = (f"{folder}/seed={seed}", f"{label} seed={seed}") if len(seeds) > 1 else (folder, label)
                listed = ListedRun(folder=inner, solver=variant.contender, label=label, values=values, seed=seed)
                planned.append(Planned(variant, own, listed))
    return planned


def contenders_of(
    listed: Sequence[ListedRun], runs: Mapping[int, R], goal: Goal, criterion: Criterion
) -> list[Contender[R]]:
    """Return the contenders with finished runs.

    Parameters
    ----------
    listed
        All runs of the comparison.
    runs
        The finished ones, by their places in that list.
    goal, criterion
        The measure by which they are judged, and what is best.
    """
    cells: dict[str, dict[str, list[int]]] = {}
    for place in sorted(runs):
        run = listed[place]
        cells.setdefault(run.solver, {}).setdefault(run.label, []).append(place)
    return [
        Contender(
            solver,
            [
                Cell(label, listed[places[0]].values, [runs[place] for place in places], goal)
                for label, places in own.items()
            ],
            criterion,
        )
        for solver, own in cells.items()
    ]


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a unique name for each label's folder: the label without characters that file systems reject."""
    names: list[str] = []
    for label in labels:
        known = label.encode(sys.getfilesystemencoding(), "replace").decode(sys.getfilesystemencoding())
        letters = re.sub(r"[^\w.=-]+", "-", known).strip("-.") or "run"
        name = letters.encode()[:LONGEST_NAME].decode(errors="ignore")
        taken = {other.lower() for other in names}
        candidates = (name if again == 1 else f"{name}-{again}" for again in itertools.count(1))
        names.append(next(candidate for candidate in candidates if candidate.lower() not in taken))
    return names
