"""Admission of solvers to a run: an objection (`hpcopt.solvers.objections`) ends the run before its first round."""

from __future__ import annotations

from dataclasses import replace

from hpcopt.data import Rows
from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster
from hpcopt.runs.prepare import Prepared, prepare
from hpcopt.solvers.needs import Setting
from hpcopt.solvers.objections import objections
from hpcopt.spec.specification import Specification


def admit(
    spec: Specification,
    cluster: Cluster,
    conditions: Conditions,
    rows: Rows | None = None,
    *,
    force: bool | None,
    fitting: bool = False,
) -> Prepared:
    """Return the problem distributed over the cluster, if there is no objection to any solver; collective.

    Objections that don't depend on the data are raised before the data are read.

    Parameters
    ----------
    rows
        The rows, if data.source is "arrays".
    force
        Whether to ignore objections of theory; None if the caller offers no such choice.
    fitting
        Whether the purpose of the run is to fit a model to the data.

    Raises
    ------
    InputError
        On every process: the first objection to a solver, with its label; any error in the data.
    """
    setting = replace(
        spec.setting,
        topology=conditions.mixing,
        hubs=conditions.hubs,
        virtual=cluster.kind == "virtual",
        fitting=fitting,
    )
    _refuse(spec, cluster, setting, force=force)
    prepared = prepare(spec, cluster, conditions, rows)
    _refuse(spec, cluster, replace(setting, d=prepared.w0.size), force=force)
    return prepared


def _refuse(spec: Specification, cluster: Cluster, setting: Setting, *, force: bool | None) -> None:
    with agreed(cluster.processes):
        for label, solver in spec.labelled_solvers():
            for objection in objections(solver, setting):
                if not (force and objection.can_be_forced):
                    offered = objection.can_be_forced and force is not None
                    raise InputError(f"{label}: {objection.text}", Remedy.FORCE if offered else None)
