"""A row of points.csv: all that a report says about a study is computed from these rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result of one point, in the order of the columns; None where a run has no such number.

    Parameters
    ----------
    point
        The folder of the point, relative to that of the study.
    series, solver, topology
        The label of its solver and topology, the solver's name in the registry, and the topology.
    cluster, clock
        "mpi" with "wall", or "virtual" with "virtual" time.
    ranks, threads, cores
        The numbers of ranks or virtual nodes, of threads of each, and of cores that they were to have.
    seed, repeat, budget
        The seed, the number of the repetition, and "iterations" or "target".
    rows, features, checksum
        The size of the data, and the checksum of the training rows.
    status, reached
        How the run ended, and whether that was its goal.
    iterations, rounds, seconds, bytes, messages, work
        What it took, until the goal or so many iterations; work is in passes over the data.
    objective, grad_norm
        At the end.
    compute, compute_max, wait, exchange, other
        Seconds in oracle calls, on average over the nodes and on the node with the most; and on average waiting for
        others, as far as that is known, in operations, and in all the rest.
    elapsed
        Seconds of the wall clock from the start of the run to its end, reading and writing included.
    oversubscribed
        Whether the ranks had to share cores.
    is_exact
        Whether the solver's iterates are the same on any number of nodes, up to roundoff.
    asynchronous
        Whether no two runs are the same.
    host, cpu, mpi, hpcopt, started
        Where, with what and when it ran.
    fingerprint
        Of its specification.
    faults
        What is wrong with the result; empty if it has passed all checks.
    command
        What makes the run again, in the folder of the study.
    """

    point: str
    series: str
    solver: str
    topology: str
    cluster: str
    clock: str
    ranks: int
    threads: int
    cores: int
    seed: int
    repeat: int
    budget: str
    rows: int | None = None
    features: int | None = None
    checksum: str | None = None
    status: str = ""
    reached: bool = False
    iterations: int = 0
    rounds: int = 0
    seconds: float
    bytes: int = 0
    messages: int = 0
    work: float | None = None
    objective: float | None = None
    grad_norm: float | None = None
    compute: float | None = None
    compute_max: float | None = None
    wait: float | None = None
    exchange: float | None = None
    other: float | None = None
    elapsed: float = 0.0
    oversubscribed: bool = False
    is_exact: bool = False
    asynchronous: bool = False
    host: str = ""
    cpu: str = ""
    mpi: str = ""
    hpcopt: str = ""
    started: str = ""
    fingerprint: str = ""
    faults: str = ""
    command: str = ""

    @property
    def is_virtual(self) -> bool:
        """Whether its nodes are virtual."""
        return self.cluster == "virtual"
