"""Snapshots for another number of nodes than that which took them, for solvers whose nodes all have the same state.

Each node goes on from the state of the first one. What has been counted so far goes to the first node, so that all
sums go on; clocks, and the step at which the speeds of nodes are drawn, go on on all of them. The former nodes' tables
of operations have no place on the new ones, so that the run has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hpcopt.fabric.interface import Node
from hpcopt.runs.checkpoint import Snapshot


def moved(first: Snapshot, counted: Sequence[Snapshot], rank: int, size: int) -> Snapshot:
    """Return the snapshot of node `rank` of `size`.

    Parameters
    ----------
    first
        The snapshot of the first of the former nodes.
    counted
        The "node" of the snapshots whose counts this node takes over: those of all former nodes, or none.
    """
    own = first["node"]
    accounts = {
        name: _account(own["ledger"][name], [node["ledger"][name] for node in counted]) for name in own["ledger"]
    }
    work = {name: sum(node["meter"][name] for node in counted) for name in own["meter"]}
    clock = max(node["clock"] for node in (own, *counted))
    node = {"ledger": accounts, "meter": work, "clock": clock, "steps": own["pace"]["step"], "operations": None}
    return {**first, "rank": rank, "size": size, "oracle": {}, "node": node}


def completed(moved_node: dict[str, Any], node: Node) -> dict[str, Any]:
    """Return what `node.restore` expects, from the "node" of a moved snapshot: the rest is as on a fresh node."""
    if "pace" in moved_node:
        return moved_node
    fresh = node.snapshot()
    later = [pause for pause in fresh["pace"]["pauses"] if pause[0] > moved_node["clock"]]
    pace = {**fresh["pace"], "step": moved_node["steps"], "pauses": later}
    return {**fresh, **moved_node, "pace": pace}


def _account(own: dict[str, Any], counted: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an account with the sums of all `counted`; rounds are not added, as all nodes take part in them."""
    classes = dict.fromkeys(name for account in counted for name in account["by_class"])
    none = np.zeros(0, dtype=np.int64)
    return {
        "rounds": max([own["rounds"], *(account["rounds"] for account in counted)]),
        "messages": sum(account["messages"] for account in counted),
        "down": sum(account["down"] for account in counted),
        "by_class": {name: sum(account["by_class"].get(name, 0) for account in counted) for name in classes},
        "targets": none,
        "bytes_to_targets": none,
    }
