"""The goal of a run, once the problem is prepared: the optimum and the target as numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.meter import Meter
from hpcopt.results.goal import GIVEN, Goal, Nearness, Optimum
from hpcopt.runs.optimum import computed
from hpcopt.runs.prepare import Prepared
from hpcopt.spec.specification import Specification


def with_goal(spec: Specification, prepared: Prepared, *, quiet: bool) -> Prepared:
    """Return the prepared problem with the optimum and the target as numbers; collective.

    Parameters
    ----------
    quiet
        Whether to print nothing about the computation of an optimum.

    Raises
    ------
    InputError
        On every process: for an optimum that can't be computed, or a target that it or the start contradicts.
    """
    given, target = spec.problem.optimum, spec.stop.target
    optimum = None
    if given == "auto":
        prepared.phases.begin("optimum")
        optimum = computed(spec, prepared, quiet=quiet)
        prepared.phases.end()
        if not quiet and prepared.cluster.local_nodes[0] == 0:
            print(f"optimum: {optimum.words()}", flush=True)
    elif given is not None:
        optimum = Optimum(given, GIVEN)
    if isinstance(target, Nearness):
        assert optimum is not None, "checked with the specification"
        start = objective_at_start(prepared)
        with agreed(prepared.cluster.processes):
            try:
                target = target.target(optimum.value, start)
            except InputError as error:
                raise InputError(f"stop.target.{error.message}") from None
    return replace(
        prepared, goal=Goal(target, spec.stop.target_on, None if optimum is None else optimum.value), optimum=optimum
    )


def objective_at_start(prepared: Prepared) -> float:
    """Return the objective at the starting point of the problem; collective."""
    here = 0.0
    for node in prepared.cluster.local_nodes:
        f = prepared.problem.on(prepared.shards[node], Meter())
        here += f.share * float(f.values(prepared.w0[None])[0])
    return float(prepared.cluster.processes.sum(np.array([here]))[0])
