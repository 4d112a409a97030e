"""What a checkpoint is of: the run that it belongs to, and how that run goes on from it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcopt.fabric.interface import Cluster
from hpcopt.results.checkpoints import Kind, Manifest
from hpcopt.runs.description import data_of
from hpcopt.runs.identity import difference
from hpcopt.runs.prepare import Prepared
from hpcopt.solvers.base import Solver
from hpcopt.spec.fingerprint import APART, fingerprint
from hpcopt.spec.specification import Specification
from hpcopt.version import __version__


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A run, as the manifests of its checkpoints describe it; see `Manifest`.

    Parameters
    ----------
    per_node
        What the solver's state has that belongs to a single node; None if another number of nodes can go on from it.
    """

    kind: Kind
    nodes: int
    solver: str
    fingerprint: str
    data: dict[str, Any]
    per_node: str | None

    @classmethod
    def of(cls, spec: Specification, prepared: Prepared, solver: Solver[Any]) -> Subject:
        """Return the run of a solver over a prepared problem."""
        return cls(
            kind=_kind(solver, prepared.cluster),
            nodes=prepared.cluster.size,
            solver=solver.name,
            fingerprint=fingerprint(spec, apart=(*APART, "stop", "cluster.workers")),
            data=data_of(prepared),
            per_node=solver.per_node(),
        )

    def described(self) -> dict[str, Any]:
        """Return what manifests say of the run."""
        return {name: value for name, value in vars(self).items() if name != "per_node"}

    def stranger(self, manifest: Manifest) -> str:
        """Return why a checkpoint does not belong to this run; empty if it does."""
        version = manifest.versions.get("hpcopt", "of an unknown version")
        if version != __version__:
            return f"written by hpcopt {version}, and this is {__version__}"
        if manifest.fingerprint != self.fingerprint or manifest.solver != self.solver:
            return "the checkpoint of another specification"
        if manifest.data != self.data:
            return f"the checkpoint of a run on other rows: {difference(manifest.data, self.data)}"
        if manifest.kind != self.kind:
            return f"the checkpoint of a run that is {manifest.kind}, and this one would be {self.kind}"
        if manifest.nodes != self.nodes and self.per_node is not None:
            return f"written by {manifest.nodes} nodes, and this run has {self.nodes}, but {self.per_node}"
        return ""


def versions() -> dict[str, str]:
    """Return the versions on which the bits of a run depend."""
    return {"hpcopt": __version__, "python": platform.python_version(), "numpy": np.__version__}


def _kind(solver: Solver[Any], cluster: Cluster) -> Kind:
    if solver.needs.pace == "rounds":
        return "rounds"
    return "replayed" if cluster.clock == "virtual" else "restarted"
