"""A record: one line of a run's trace, what was measured at one time. Its columns are spelled here and nowhere else.

Whatever reads or writes a trace follows from the fields below: the lines of trace.jsonl, the columns of compare.csv,
the numbers of run.json, the tables of the documentation. A new column is a field here and the place that computes it.

A value that is infinite or NaN is a float here and JSON's null in a file; what a run does not measure is None
here and absent in a file.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec
import msgspec.inspect as kinds

from hpcopt.annotations import explained

_LARGEST = 2**63  # integers below it in a file can be drawn and written in tables


def _column(unit: str, meaning: str, *, decentralised: bool = False) -> dict[str, Any]:
    """Return what the documentation says of a column; of those of `decentralised` solvers in a table of their own."""
    return {"unit": unit, "meaning": meaning, "decentralised": decentralised}


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What was measured at one time, in the order of the columns; None where a run has no such column."""

    round: int = field(
        metadata=_column("rounds", "collective operations so far, on the node with the most"),
    )
    iteration: int = field(metadata=_column("iterations", "iterations of the solver so far"))
    seconds: float = field(
        metadata=_column("seconds", "elapsed time on the run's clock, of the slowest node; measuring is excluded"),
    )
    clock: str = field(metadata=_column("", '`"wall"` on MPI ranks, `"virtual"` on virtual nodes'))
    bytes: int = field(
        metadata=_column("bytes", "sent, summed over all nodes; [counted so](clusters.md#what-is-counted)")
    )
    messages: int = field(metadata=_column("messages", "number of messages sent, summed over all nodes"))
    work: float = field(
        metadata=_column("passes", "entries of the shards read by the oracle, over the entries of all shards")
    )
    objective: float = field(metadata=_column("", "$f(w)$ over all training rows, penalty included"))
    grad_norm: float = field(metadata=_column("", r"$\lVert \nabla f(w) \rVert$, Euclidean"))
    scaled_gradient: float | None = field(
        default=None,
        metadata=_column(
            "",
            r"where a rule or the end asks for it: the [scaled gradient](objective.md#how-far-from-the-optimum), whose "
            r"units depend neither on those of the features nor on those of the targets, $\lVert \nabla f(w) "
            r"\rVert_{G^{-1}} / \sqrt{2 f(w)}$",
        ),
    )
    test_accuracy: float | None = field(
        default=None,
        metadata=_column(
            "fraction", "two classes, with test rows: how many are on the right side (a margin of 0 is not)"
        ),
    )
    test_error: float | None = field(
        default=None, metadata=_column("target²", "squared loss, with test rows: mean squared error")
    )
    model_bytes: int | None = field(
        default=None,
        metadata=_column(
            "bytes",
            "sent so far over all edges: models and model differences, without coordination messages",
            decentralised=True,
        ),
    )
    consensus: float | None = field(
        default=None,
        metadata=_column(
            "",
            r"root mean squared distance to the mean model, $\sqrt{\frac{1}{K} \sum_i \lVert x_i - \bar{x} \rVert^2}$",
            decentralised=True,
        ),
    )
    mean_objective: float | None = field(
        default=None,
        metadata=_column(
            "",
            r"$\frac{1}{K} \sum_i f(x_i)$: the objective over all training rows of each node's model, on average",
            decentralised=True,
        ),
    )
    worst_objective: float | None = field(
        default=None, metadata=_column("", "the largest of these objectives", decentralised=True)
    )
    edge_bytes: int | None = field(
        default=None,
        metadata=_column("bytes", "sent so far over the busiest edge, in one direction", decentralised=True),
    )
    gradients: int | None = field(
        default=None,
        metadata=_column(
            "steps",
            "asynchronous solvers: local steps completed so far, on all nodes",
            decentralised=True,
        ),
    )
    discarded: int | None = field(
        default=None,
        metadata=_column(
            "steps",
            "of asynchronous solvers, in the last record: those of them that were under way when the run ended, and "
            "went into no model",
            decentralised=True,
        ),
    )

    def as_dict(self) -> dict[str, Any]:
        """Return the columns that there are, in their order: an element of `run.trace`."""
        return {name: value for name in COLUMNS if (value := getattr(self, name)) is not None}

    def judged(self, column: str) -> Record:
        """Return the record with what stands in `column` for its objective; NaN where that was not measured.

        Where all nodes have one model, its objective is the only one.
        """
        value = getattr(self, column)
        if value is None and self.consensus is None:
            return self
        return replace(self, objective=math.nan if value is None else value)

    def line(self) -> str:
        """Return the record as a line of trace.jsonl."""
        return json.dumps(finite(self.as_dict()), allow_nan=False) + "\n"

    @classmethod
    def of(cls, columns: object) -> Record:
        """Return what a line of trace.jsonl holds, given its JSON; columns that are not known are left out.

        Raises
        ------
        ValueError
            If it is no object with the columns that every record has, or a column's value is of another type.
        """
        if not (isinstance(columns, dict) and columns.keys() >= set(ALWAYS)):
            raise ValueError("not a record of a trace")
        values: dict[str, Any] = {name: columns[name] for name in COLUMNS if name in columns}
        values |= {name: math.nan for name, value in values.items() if value is None}
        for name, value in values.items():
            if isinstance(value, int) and not abs(value) < _LARGEST:
                raise ValueError(f"{name}: out of range")
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            path, message = explained(error, kinds.type_info(cls), values)
            raise ValueError(f"{'.'.join(map(str, path))}: {message}") from None


COLUMNS = tuple(column.name for column in fields(Record))
"""Names of all columns, in their order."""

WHERE_THERE = tuple(column.name for column in fields(Record) if column.default is None)
"""Those that the records of some runs have, and of others not."""

ALWAYS = COLUMNS[: len(COLUMNS) - len(WHERE_THERE)]


def finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the same with None, JSON's null, for each number that is infinite or none."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}
