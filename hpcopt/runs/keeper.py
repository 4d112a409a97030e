"""Takes the checkpoints of a run: decides with all processes when one is due, writes it, and ends the run on request.

A signal, or a number of seconds, is known to one process first; a checkpoint needs all of them after the same
iteration. They ask each other by a reduction of three numbers, booked as monitoring, about every `LOOK` seconds: its
result also determines the iteration of the next one, so that all know it without another message. The nodes of an
asynchronous run on ranks have no iterations in common: each decides by itself, and the run stops all of them.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from signal import SIGTERM, SIGUSR1
from typing import Any

import numpy as np

from hpcopt.errors import AgreedError, CheckpointedError
from hpcopt.fabric.interface import Cluster, Node
from hpcopt.interrupts import asked, heeding, is_listening
from hpcopt.results import checkpoints as files
from hpcopt.results.checkpoint_table import CheckpointTable
from hpcopt.results.checkpoints import Manifest
from hpcopt.results.plain_file import Seal, write_plain
from hpcopt.results.terminal import warn
from hpcopt.runs.checkpoint import Checkpoints, Snapshot
from hpcopt.runs.recorder import Recorder
from hpcopt.runs.subject import Subject, versions
from hpcopt.runs.texts import everyones, the_firsts

LOOK = 0.2  # seconds between two looks whether a checkpoint is due
GROWTH = 4  # largest ratio of the iterations between two looks to those before: the first iterations may be fast
_URGENCY = {"SIGUSR1": 1, "SIGTERM": 2}  # of the signals that ask for a checkpoint


class Keeper:
    """Takes the checkpoints of one run on the nodes of this process.

    Parameters
    ----------
    table
        When they are due, and how many are kept.
    folder
        The run's folder, the same on every process.
    recorder
        Knows where the trace is.
    tells_all
        Whether the trace has records between the first and the last one.
    resume
        The checkpoint from which the run resumes: node -> snapshot, for the nodes of this process; empty at its start.
    begun
        The iteration of that checkpoint.
    """

    def __init__(
        self,
        cluster: Cluster,
        table: CheckpointTable,
        folder: Path,
        subject: Subject,
        recorder: Recorder,
        *,
        tells_all: bool,
        resume: Mapping[int, Snapshot],
        begun: int,
    ) -> None:
        self._processes = cluster.processes
        self._local = len(cluster.local_nodes)
        self._table = table
        self._folder = folder
        self._subject = subject
        self._recorder = recorder
        self._tells_all = tells_all
        self._resume = resume
        self._snapshots: dict[int, Snapshot] = {}
        self._histories: dict[int, Callable[[], Snapshot]] = {}
        self._highest = self._due = begun  # the iteration decided last, and the last one at which a checkpoint is due
        self._urgency = 0  # of the request that is being met
        self._refused = 0  # urgency of requests that could not be met
        self._complains = True  # about a checkpoint that could not be written
        looks = is_listening() or table.seconds is not None
        self._next_look = begun + 1 if looks else math.inf
        self._looked = begun, time.monotonic()
        self._next = self._following(begun)  # of an asynchronous run on ranks
        self._last = time.monotonic()

    def on(self, node: Node) -> Checkpoints:
        """Return the checkpoints of one of the nodes."""
        return Checkpoints(
            partial(self._is_due, node),
            partial(self._keep, node),
            self._resume.get(node.rank),
            at_end=self._table.periodic,
            follow=partial(self._histories.__setitem__, node.rank),
        )

    def requests(self) -> AbstractContextManager[None]:
        """Return a context in which SIGUSR1 and SIGTERM ask for a checkpoint."""
        return heeding(SIGUSR1, SIGTERM)

    def _is_due(self, node: Node, iteration: int) -> bool:
        """Return whether a checkpoint is taken after `iteration`; the first of the process's nodes there decides."""
        if self._subject.kind == "restarted":
            return iteration >= self._next or _urgency() > self._refused or (node.rank == 0 and self._is_late())
        if iteration > self._highest:
            self._highest = iteration
            every = self._table.every
            due = every is not None and iteration % every == 0
            if iteration >= self._next_look:
                due = self._looks(node, iteration) or due
            if due:
                self._due = iteration
        return iteration == self._due

    def _looks(self, node: Node, iteration: int) -> bool:
        """Return whether a process is asked for a checkpoint, or one is due by time; collective over the processes."""
        now, (before, then) = time.monotonic(), self._looked
        own = np.array([_urgency(), float(self._is_late()), (now - then) / (iteration - before)])
        with node.monitoring():
            urgency, late, pace = self._processes.max(own).tolist()
        most = GROWTH * (iteration - before)
        self._next_look = iteration + max(1, min(most, int(LOOK / pace) if pace > 0.0 else most))
        self._looked = iteration, now
        self._urgency = int(urgency) if urgency > self._refused else 0
        return bool(late or self._urgency)

    def _is_late(self) -> bool:
        seconds = self._table.seconds
        return seconds is not None and time.monotonic() - self._last >= seconds

    def _following(self, iteration: int) -> float:
        """Return the next iteration after which a checkpoint is due."""
        every = self._table.every
        return math.inf if every is None else (iteration // every + 1) * every

    def _keep(self, node: Node, snapshot: Snapshot) -> None:
        """Take a node's snapshot; the last of the process's nodes writes them all. Collective over the processes.

        Raises
        ------
        CheckpointedError
            After the checkpoint is complete, if a signal has asked for it.
        AgreedError
            If it could not be written, and SIGTERM has asked for it.
        """
        self._snapshots[node.rank] = snapshot
        if self._histories:
            self._snapshots = {rank: history() for rank, history in self._histories.items()}
        if len(self._snapshots) == self._local:
            snapshots, self._snapshots = self._snapshots, {}
            with node.monitoring():
                self._save(snapshots)

    def _save(self, snapshots: dict[int, Snapshot]) -> None:
        iteration = max(snapshot["iteration"] for snapshot in snapshots.values())
        if self._subject.kind == "restarted":
            highest, urgency = self._processes.max(np.array([float(iteration), _urgency()])).tolist()
            iteration, self._next = int(highest), self._following(int(highest))
            self._urgency = int(urgency) if urgency > self._refused else 0
        extra = any(snapshot["course"]["is_extra"] for snapshot in snapshots.values() if "course" in snapshot)
        failure = self._written(iteration, snapshots, extra=extra and self._tells_all)
        if self._histories:
            self._due = -1  # the other nodes are in it
        self._last = time.monotonic()
        if failure:
            self._tell(iteration, failure)
        else:
            self._complains = True
            if self._urgency:
                raise CheckpointedError(f"checkpointed at iteration {iteration} in {self._folder}")

    def _written(self, iteration: int, snapshots: dict[int, Snapshot], *, extra: bool) -> str:
        """Write the checkpoint; return why it failed, the same on all processes, or an empty string."""
        place = files.place_of(self._folder, iteration)
        if (place / files.MANIFEST).exists():
            return ""  # the run has been here before
        path = files.file_of(place, self._processes.rank)
        try:
            if self._recorder.is_replaced():
                raise OSError(None, "another run has begun in this folder")
            for folder in (place.parent, place):
                folder.mkdir(exist_ok=True)  # but not the run's own folder, if it has vanished
            seal = write_plain(path, {str(rank): snapshot for rank, snapshot in snapshots.items()})
            own: dict[str, Any] = asdict(seal)
        except OSError as error:
            own = {"failure": _words(error)}
        told = [json.loads(text) for text in everyones(self._processes, json.dumps(own))]
        failure = next((each["failure"] for each in told if "failure" in each), "")
        if not failure:
            failure = self._committed(place, iteration, tuple(Seal(**each) for each in told), extra=extra)
        if failure:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return failure

    def _committed(self, place: Path, iteration: int, seals: tuple[Seal, ...], *, extra: bool) -> str:
        """Let the first process write the manifest and remove earlier checkpoints; return why it failed."""
        failure = ""
        if self._processes.rank == 0:
            trace = self._recorder.mark(without_last=extra)
            subject, told = self._subject.described(), versions()
            try:
                files.commit(place, Manifest(**subject, iteration=iteration, versions=told, trace=trace, files=seals))
                files.remove(self._folder, but=files.whole(self._folder)[-self._table.keep :])
            except OSError as error:
                failure = _words(error)
        return the_firsts(self._processes, failure)

    def _tell(self, iteration: int, failure: str) -> None:
        """Report a checkpoint that could not be written; end the run if it must end nevertheless."""
        kept = files.whole(self._folder)
        what = f"the checkpoint at iteration {iteration} was not written: {failure}"
        earlier = f"the one at iteration {kept[-1]} is kept" if kept else "there is no earlier one"
        if self._urgency == _URGENCY["SIGTERM"]:
            raise AgreedError(f"interrupted (SIGTERM), and {what}; {earlier}")
        self._refused, self._urgency = max(self._refused, self._urgency), 0
        if self._complains and self._processes.rank == 0:
            warn(f"{what}; the run goes on, and {earlier}")
        self._complains = False


def _urgency() -> float:
    return float(max((_URGENCY[name] for name in asked()), default=0))


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror}"
