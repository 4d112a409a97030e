"""A job: its resources, and what hpcopt does in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from hpcopt.annotations import Count, Whole, check_types
from hpcopt.batch.duration import Duration, seconds
from hpcopt.errors import InputError, Remedy

Name = Annotated[str, Meta(pattern=r"^[^\s\"'#/%\\]+$", extra={"words": "text without spaces, quotes and / % # \\"})]


def output_in(folder: Path, *, array: bool) -> str:
    """Return the file of the output of a job, or of each job of an array, in SLURM's notation.

    Raises
    ------
    InputError
        For a folder in whose name SLURM would read something else.
    """
    if re.search(r'[%"\\\n\r\ud800-\udfff]', str(folder)):
        what = "SLURM takes only UTF-8 without % \\ and quotes in the folder of a job's output"
        raise InputError(f"{folder}: {what}", Remedy.FOLDER)
    return str(folder / ("%x-%A_%a.out" if array else "%x-%j.out"))


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of hpcopt on the ranks of a job, or on some of them.

    Parameters
    ----------
    arguments
        The arguments of hpcopt: ("run", "spec.toml", "--resume").
    ranks
        Number of ranks; default: all that the job has.
    threads
        Threads of a rank; default: the job's `cpus_per_task`. More threads leave room for fewer ranks on a node.
    output
        The file of its output and its errors; default: that of the job.
    discarded
        A folder that is removed when it has ended; default: none.
    """

    arguments: tuple[str, ...]
    ranks: Count | None = None
    threads: Count | None = None
    output: str | None = None
    discarded: str | None = None

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job, or an array of jobs of the same resources.

    Parameters
    ----------
    name
        Its name in the queue.
    nodes, tasks_per_node, cpus_per_task
        Its nodes, the ranks on each, and the cores of a rank.
    time
        Its time limit, in one of SLURM's forms.
    commands
        What it does: one command after another or, in an array, one command in each of its tasks. None: the arguments
        given to sbatch after the script are those of hpcopt; in an array, they are the name of a file with a command
        in each line.
    array
        Whether it is an array.
    at_once
        How many tasks of the array run at the same time at most.
    requeue
        Whether it starts again when it has written a checkpoint before its end, is preempted, or loses a node.
    restarts
        How often it starts again at most.
    warning
        Seconds before the time limit at which the job is told to write a checkpoint. SLURM may be half a minute late.
    output
        The file of its output; in SLURM's notation, %x is the name and %j the number of the job. Default: as
        `output_in` the folder in which the job was submitted.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    name: Name
    nodes: Count = 1
    tasks_per_node: Count = 1
    cpus_per_task: Count = 1
    time: Duration = "1:00:00"
    commands: tuple[Command, ...] | None = None
    array: bool = False
    at_once: Count | None = None
    requeue: bool = True
    restarts: Whole = 20
    warning: Count = 120
    output: Annotated[str, Meta(pattern=r"^[^\n\r\"]+$", extra={"words": "the name of a file"})] | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.commands is not None and not self.commands:
            raise InputError("commands: at least one")
        if seconds(self.time) == 0:
            raise InputError(f"time: expected more than 0 seconds, got {self.time}")
        for command in self.commands or ():
            self.places(command)

    def places(self, command: Command) -> tuple[int, int, int, int]:
        """Return on how many ranks, nodes, ranks of a node, and threads of a rank a command runs.

        Raises
        ------
        InputError
            If the job has no room for it.
        """
        threads = command.threads or self.cpus_per_task
        room = min(self.tasks_per_node * self.cpus_per_task // threads, self.tasks_per_node)
        ranks = self.nodes * room if command.ranks is None else command.ranks
        if not 0 < ranks <= self.nodes * room:
            here = f"{self.nodes} nodes with {self.tasks_per_node} ranks of {self.cpus_per_task} cores"
            raise InputError(f"commands: {ranks or 'its'} ranks with {threads} threads do not fit on {here}")
        nodes = -(-ranks // room)
        return ranks, nodes, -(-ranks // nodes), threads
