"""The table [scaling] of a study: what varies from point to point, and what is held constant."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from hpcopt.annotations import Count, Positive, check_types, fill
from hpcopt.errors import InputError

TABLE = "scaling"
"""The name of the table."""

Counts = Annotated[tuple[Count, ...], Meta(min_length=1)]

REPEATS = 3
YEAR = 31_536_000  # seconds


@dataclass(frozen=True, kw_only=True)
class ScalingTable:
    """The points of a scaling study, and where they run.

    Parameters
    ----------
    kind
        - "strong": the same rows on every number of ranks
        - "weak": the same number of rows on every rank, `rows_per_rank`
        - "throughput": more and more rows, `rows`, on the same ranks
    on
        - "local": MPI ranks of this machine, one point after another
        - "slurm": MPI ranks in jobs of SLURM
        - "virtual": virtual nodes in one process
    ranks
        The numbers of ranks, or of virtual nodes: a number or a list.
    threads
        The numbers of threads of a rank: a number or a list.
    repeats
        How often each point is run; default: 3, and 1 on virtual nodes, whose time is computed.
    virtual
        Numbers of virtual nodes on which the study is run as well. They continue the curves beyond the hardware, and
        where ranks of the same number are measured, they are the prediction.
    iterations
        A fixed number of iterations: each point is run for so many. In addition, if [stop] has a goal, each is run
        until that is reached. One of the two is required.
    rows_per_rank
        The rows of a rank in weak scaling: so many are generated for each; of a file, the first ones are used.
    rows
        The numbers of rows in throughput scaling: a number or a list.
    tolerance
        The relative difference up to which objectives that must be the same are the same.
    time_limit
        Seconds after which a run is ended and has failed; the estimate of core-hours is made with it.
    launch
        The command that starts ranks, followed by `-n RANKS`.
    specification
        The file with the other tables of the study, instead of these tables themselves.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, and for keys that contradict one another.
    """

    ranks: Counts | Count
    kind: Literal["strong", "weak", "throughput"] = "strong"
    on: Literal["local", "slurm", "virtual"] = "local"
    threads: Counts | Count = 1
    repeats: Count | None = None
    virtual: tuple[Count, ...] | Count = ()
    iterations: Count | None = None
    rows_per_rank: Count | None = None
    rows: Counts | Count | None = None
    tolerance: Positive = 1e-6
    time_limit: Positive = 600.0
    launch: str = "mpiexec"
    specification: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        for key in ("ranks", "threads", "virtual", "rows"):
            given = getattr(self, key)
            numbers = (given,) if isinstance(given, int) else given
            twice = next((each for each in numbers or () if numbers.count(each) > 1), None)
            if twice is not None:
                raise InputError(f"{key}: {twice} is given twice; remove one")
            fill(self, **{key: numbers})
        fill(self, repeats=self.repeats or (1 if self.on == "virtual" else REPEATS))
        self._check_rows()
        if self.on == "virtual" and self.virtual:
            raise InputError('virtual: on = "virtual" runs on virtual nodes already; put the numbers into ranks')
        if self.on == "virtual" and self.threads != (1,):
            raise InputError("threads: virtual nodes have none; remove it")
        if self.time_limit > YEAR:
            raise InputError(f"time_limit: expected at most {YEAR} seconds, a year, got {self.time_limit:g}")
        if not _words(self.launch):
            raise InputError('launch: expected a command, such as "mpiexec", with its quotes closed')

    def _check_rows(self) -> None:
        needed = {"strong": None, "weak": "rows_per_rank", "throughput": "rows"}[self.kind]
        for key in ("rows_per_rank", "rows"):
            given = getattr(self, key) is not None
            if key == needed and not given:
                raise InputError(f'{key}: missing; kind = "{self.kind}" requires it')
            if key != needed and given:
                raise InputError(f'{key}: not used with kind = "{self.kind}"; remove it')

    @property
    def rank_counts(self) -> tuple[int, ...]:
        """The numbers of ranks, or of virtual nodes."""
        return _numbers(self.ranks)

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """The numbers of threads of a rank."""
        return _numbers(self.threads)

    @property
    def virtual_counts(self) -> tuple[int, ...]:
        """The numbers of virtual nodes on which the study is run beside the ranks."""
        return _numbers(self.virtual)

    def times_on(self, cluster: str) -> int:
        """Return how often each point on the ranks of a job ("mpi") or on virtual nodes ("virtual") is run."""
        assert self.repeats is not None, "filled"
        return self.repeats if (cluster == "virtual") == (self.on == "virtual") else 1

    def row_counts(self, ranks: int) -> tuple[int | None, ...]:
        """Return the numbers of rows of the points on so many ranks; None: those of the data, whatever they are."""
        if self.kind == "weak":
            assert self.rows_per_rank is not None, "checked"
            return (self.rows_per_rank * ranks,)
        return _numbers(self.rows) if self.rows is not None else (None,)


def _words(command: str) -> list[str]:
    """Return the words of a command as a shell reads them; none if a quote is not closed."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _numbers(given: tuple[int, ...] | int) -> tuple[int, ...]:
    return (given,) if isinstance(given, int) else given
