"""A record: one line of a run's trace, measured at one time. Its columns are defined only here.

Everything that reads or writes a trace is derived from the fields below: the lines of trace.jsonl, the columns of
compare.csv, the numbers of run.json, and the tables in the documentation. A new column needs a field here and the code
that computes it.

An infinite or NaN value is a float here and null in JSON files; a quantity that a run does not measure is None here and
absent from files.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec
import msgspec.inspect as kinds

from hpcopt.annotations import explained

_LARGEST = 2**63  # integers read from a file must be smaller, so that they can be drawn and tabulated


def _column(unit: str, meaning: str, *, decentralised: bool = False) -> dict[str, Any]:
    """Return the documentation of a column; those of `decentralised` solvers have a separate table."""
    return {"unit": unit, "meaning": meaning, "decentralised": decentralised}


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The measurements at one time, in the order of the columns; None for columns that a run does not have."""

    round: int = field(
        metadata=_column("rounds", "collective operations so far, on the node with the most"),
    )
    iteration: int = field(metadata=_column("iterations", "iterations of the solver so far"))
    seconds: float = field(
        metadata=_column("seconds", "elapsed time on the run's clock, of the slowest node; measuring is excluded"),
    )
    clock: str = field(metadata=_column("", '`"wall"` on MPI ranks, `"virtual"` on virtual nodes'))
    bytes: int = field(
        metadata=_column("bytes", "sent, summed over all nodes; [how they are counted](clusters.md#what-is-counted)")
    )
    messages: int = field(metadata=_column("messages", "number of messages sent, summed over all nodes"))
    work: float = field(
        metadata=_column("passes", "shard entries read by the oracle, divided by the number of all entries")
    )
    objective: float = field(metadata=_column("", "$f(w)$ over all training rows, penalty included"))
    grad_norm: float = field(
        metadata=_column(
            "",
            r"$\lVert \nabla f(w) \rVert$, Euclidean; with a penalty that is not smooth, of the "
            "[residual](objective.md#penalties)",
        )
    )
    bytes_up: int | None = field(
        default=None,
        metadata=_column(
            "bytes",
            "solvers whose nodes share one model, and hub networks: the part of `bytes` that "
            "[goes up](clusters.md#up-and-down), as from workers to a server",
        ),
    )
    bytes_down: int | None = field(
        default=None,
        metadata=_column(
            "bytes", "in the same runs: the rest of `bytes`, which comes down, as from a server to the workers"
        ),
    )
    scaled_gradient: float | None = field(
        default=None,
        metadata=_column(
            "",
            r"if a stop rule or the end of the run requires it: the "
            r"[scaled gradient](objective.md#how-far-from-the-optimum), whose units depend neither on those of the "
            r"features nor on those of the targets, $\lVert \nabla f(w) "
            r"\rVert_{G^{-1}} / \sqrt{2 f(w)}$",
        ),
    )
    nonzeros: int | None = field(
        default=None,
        metadata=_column(
            "weights",
            "with a penalty that is not smooth: weights that are not exactly zero, without intercept and biases",
        ),
    )
    kkt: float | None = field(
        default=None,
        metadata=_column(
            "",
            "with a penalty that is not smooth: the largest magnitude in the [residual](objective.md#penalties), 0 at "
            "an optimum",
        ),
    )
    test_accuracy: float | None = field(
        default=None,
        metadata=_column(
            "fraction",
            "with test rows of classes: the fraction predicted correctly (of two classes, a margin of 0 is not)",
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
            "asynchronous solvers, hub networks and operating rates: local steps completed so far, on all nodes",
            decentralised=True,
        ),
    )
    discarded: int | None = field(
        default=None,
        metadata=_column(
            "steps",
            "asynchronous solvers, in the last record: those of these gradients that were still being computed when "
            "the run ended, and entered no model",
            decentralised=True,
        ),
    )
    slots: int | None = field(
        default=None,
        metadata=_column(
            "slots",
            "hub networks and operating rates: time slots so far, on the node with the most",
            decentralised=True,
        ),
    )
    bytes_by_link: dict[str, int] | None = field(
        default=None,
        metadata=_column(
            "bytes",
            "hub networks: `bytes` by class of link: `worker-hub`, `hub-hub`, the levels between, and `world` for "
            "reductions over all nodes",
            decentralised=True,
        ),
    )

    left: tuple[int, ...] | None = field(
        default=None,
        metadata=_column("nodes", "after nodes have left or died: their ranks, all of them so far"),
    )
    lost_rows: int | None = field(
        default=None,
        metadata=_column(
            "rows", "in the same records: training rows of these nodes, over which the objective is no longer taken"
        ),
    )

    def as_dict(self) -> dict[str, Any]:
        """Return the columns that are present, in order: an element of `run.trace`."""
        return {name: value for name in COLUMNS if (value := getattr(self, name)) is not None}

    def judged(self, column: str) -> Record:
        """Return the record with the value of `column` as its objective; NaN if that was not measured.

        If all nodes have the same model, there is only one objective.
        """
        value = getattr(self, column)
        if column == "objective" or (value is None and self.consensus is None):
            return self
        return replace(self, objective=math.nan if value is None else value)

    def line(self) -> str:
        """Return the record as a line of trace.jsonl."""
        return json.dumps(finite(self.as_dict()), allow_nan=False) + "\n"

    @classmethod
    def of(cls, columns: object) -> Record:
        """Return the record of a parsed line of trace.jsonl; unknown columns are ignored.

        Raises
        ------
        ValueError
            If it is not an object with the columns of every record, or a value has the wrong type.
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
"""Names of all columns, in order."""

WHERE_THERE = tuple(column.name for column in fields(Record) if column.default is None)
"""Columns that only some runs have."""

ALWAYS = COLUMNS[: len(COLUMNS) - len(WHERE_THERE)]


def finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """Replace each infinite or NaN number by None, JSON's null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}
