"""Resuming an asynchronous run: it is repeated from the start, without output, up to the checkpoint.

Nodes that wait for each other in the middle of a step, and messages in flight, cannot be saved. On virtual nodes a run
is deterministic, so a checkpoint need not contain them: it holds the progress of the node and a digest of its history,
which detects a different run.
"""

from __future__ import annotations

import hashlib

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.results.outcome import Recording
from hpcopt.results.record import Record
from hpcopt.runs.checkpoint import Checkpoints, Snapshot
from hpcopt.solvers.parts.asynchronous import AsynchronousState


class Replay:
    """The history of one node: its steps and its records.

    Parameters
    ----------
    recording
        Receives the records after the checkpoint.
    """

    def __init__(self, node: Node, checkpoints: Checkpoints, recording: Recording, belongs: Snapshot) -> None:
        self._node = node
        self._checkpoints = checkpoints
        self._recording = recording
        self._belongs = belongs
        self._until: Snapshot = checkpoints.resume or {"steps": 0, "records": 0}
        self._steps = self._records = self._iteration = 0
        self._digest = hashlib.blake2b(digest_size=16)
        if checkpoints.follow is not None:
            checkpoints.follow(self._here)

    def tell(self, record: Record) -> None:
        """Add a record, and pass it on unless the original run has done so.

        Raises
        ------
        InputError
            If the run has reached the checkpoint with a different history; the same holds for a step.
        """
        self._digest.update(record.line().encode())
        self._records += 1
        if self._records > self._until["records"]:
            self._recording.tell(record)
        self._compare()

    def stepped(self, state: AsynchronousState) -> None:
        """Add a step."""
        sent = self._node.ledger.solver
        counts = [self._node.now(), sent.rounds, sent.messages, sent.bytes, self._node.meter.touched]
        self._digest.update(np.append(state.w, counts).tobytes())
        self._steps += 1
        self._iteration = state.iteration
        self._compare()
        is_new, is_due = self._steps > self._until["steps"], self._checkpoints.is_due
        if is_new and is_due is not None and is_due(state.iteration):
            self._checkpoints.keep(self._here())

    def end(self) -> None:
        """Raise an error for a run that has ended before the checkpoint."""
        if self._steps < self._until["steps"]:
            self._refuse(f"it ended after {self._steps} steps of node {self._node.rank}")

    def _here(self) -> Snapshot:
        return {
            **self._belongs,
            "iteration": self._iteration,
            "steps": self._steps,
            "records": self._records,
            "digest": self._digest.hexdigest(),
        }

    def _compare(self) -> None:
        """Compare this history with that of the checkpoint where both have as many entries."""
        entries = self._steps + self._records
        if entries == self._until["steps"] + self._until["records"] and self._here() != self._until:
            self._refuse(f"its history differs after {self._steps} steps of node {self._node.rank}")

    def _refuse(self, why: str) -> None:
        raise InputError(
            f"resume: this run differs from that of the checkpoint: {why}; "
            "resume with the same data, seed, parameters and version"
        )
