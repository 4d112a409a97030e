"""A calibration: the speeds of a real cluster, as `hpcopt calibrate` measures them and the virtual cluster uses them.

All ranks are measured while they work at the same time, so that what ranks of a host share (memory bandwidth, cores,
the network card) is in the numbers. A table of it is one dataclass here; together they are the file.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

from msgspec import Meta

from hpcopt.annotations import AtLeastZero, Count, Positive, check_types
from hpcopt.errors import InputError
from hpcopt.fabric.meter import Kind, Storage, Work

Knot = Annotated[tuple[AtLeastZero, Positive], Meta()]
Curve = Annotated[tuple[Knot, ...], Meta(min_length=1)]
"""Pairs of bytes and what was measured there, with ascending bytes."""

ENTRY: dict[Kind, float] = {"gradient": 4, "product": 4, "rows": 4, "steps": 4, "restrict": 1}
"""Operations per entry that the meter counts; 2 for all other kinds."""
STORED: dict[Storage, float] = {"dense": 8.0, "sparse": 12.0}
"""Bytes of an entry."""
CACHE, COLD = 1.5e6, 2.0**24  # bytes that a core's own caches hold, about, and from which on nothing of it is left


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a calibration was measured on.

    Parameters
    ----------
    machine
        The machine in words.
    when
        Date and time.
    ranks, hosts
        Number of ranks, and of the hosts that they ran on.
    ranks_per_host
        Ranks of a host, in their order: the virtual cluster places its nodes in the same way.
    seconds
        How long it took.
    versions
        Of hpcopt, and the MPI library.
    """

    machine: str = ""
    when: str = ""
    ranks: Count = 1
    hosts: Count = 1
    ranks_per_host: Count = 1
    seconds: AtLeastZero = 0.0
    versions: str = ""

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The speed of one kind of work: a call, and its operations in proportion to the entries read and all others.

    Parameters
    ----------
    call
        Seconds of a call.
    rates
        Operations per second in proportion to entries, by the bytes of the shard.
    rest
        Operations per second of the others, losses and vectors of the model's size, by the bytes of the shard: a
        processor foresees how few rows differ in length, but not how many do.
    residual
        The largest relative difference from the measurements.
    """

    call: AtLeastZero
    rates: Curve
    rest: Curve
    residual: AtLeastZero = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        _check_ascending(rates=self.rates, rest=self.rest)

    def seconds(self, work: Work, nbytes: int) -> float:
        """Return the seconds of a piece of work on a shard of so many bytes."""
        read = ENTRY.get(work.kind, 2.0) * (work.touched + work.copied)
        others = max(0.0, work.flops - read)
        return self.call + read * _pace(self.rates, nbytes) + others * _pace(self.rest, nbytes)


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """The speed of each kind of work on rows of one storage; that of `gradient` stands in for those that are missing.

    Parameters
    ----------
    gradient
        Losses and their gradient.
    product, margins
        A Hessian times a vector; X w.
    rows, steps, restrict
        The gradient of some rows; steps along such gradients; a copy of some rows.
    losses, values
        Losses of known margins; of many models.
    gram, factor, spectrum
        X'X; a d x d matrix factorised; its eigenvalues.
    network
        A model of several outputs.
    """

    gradient: Kernel
    product: Kernel | None = None
    margins: Kernel | None = None
    rows: Kernel | None = None
    steps: Kernel | None = None
    restrict: Kernel | None = None
    losses: Kernel | None = None
    values: Kernel | None = None
    gram: Kernel | None = None
    factor: Kernel | None = None
    spectrum: Kernel | None = None
    network: Kernel | None = None

    def __post_init__(self) -> None:
        check_types(self)

    def of(self, kind: Kind) -> Kernel:
        """Return the speed of a kind of work."""
        found: Kernel | None = getattr(self, kind)
        return found or self.gradient


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """Seconds of a solver's own code between two events: oracle calls, and operations of the fabric.

    Parameters
    ----------
    event
        Seconds per event.
    number, row
        Further seconds per event for each number of the model, and for each row of the shard.
    cold
        Further seconds after an oracle call that has read more than a core's caches hold.
    """

    event: AtLeastZero = 0.0
    number: AtLeastZero = 0.0
    row: AtLeastZero = 0.0
    cold: AtLeastZero = 0.0

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class Links:
    """The speed of messages between ranks of one host, or of several.

    Parameters
    ----------
    ranks
        Number of ranks that were measured together.
    latency, bandwidth
        Of messages between two ranks, while all others send as well: seconds, and bytes per second.
    sum, broadcast, broadcast_varying, reduce, gather, gather_varying, allgather, alltoall
        Seconds of a collective by the bytes of a member's part; `max` takes as long as `sum`.
    barrier
        Seconds of a barrier.
    neighbours
        Number of neighbours of each rank in the graph on which exchanges were measured.
    exchange
        Seconds of an exchange with neighbours by the bytes of a message.
    residual
        The largest relative spread of the measurements: half of what lies between their quartiles.
    """

    ranks: Count
    latency: AtLeastZero
    bandwidth: Positive
    sum: Curve
    broadcast: Curve
    broadcast_varying: Curve
    reduce: Curve
    gather: Curve
    gather_varying: Curve
    allgather: Curve
    alltoall: Curve
    barrier: AtLeastZero
    neighbours: Count
    exchange: Curve
    residual: AtLeastZero = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        curves = (
            "sum",
            "broadcast",
            "broadcast_varying",
            "reduce",
            "gather",
            "gather_varying",
            "allgather",
            "alltoall",
        )
        _check_ascending(**{name: getattr(self, name) for name in (*curves, "exchange")})

    def collective(self, kind: str, members: int, size: float) -> float:
        """Return the seconds of a collective of `members`, whose parts have `size` bytes.

        From the number of ranks measured to `members`, the time of the smallest message grows with the height of a
        binomial tree (gathers at the root, and all-to-alls, with the other members), and the rest with the bytes that
        the busiest member has to send or receive.
        """
        if members < 2:
            return 0.0
        if kind == "barrier":
            return self.barrier * _height(members) / _height(self.ranks)
        curve: Curve = self.sum if kind == "max" else getattr(self, kind)
        base = curve[0][1]
        linear = kind in {"gather", "gather_varying", "alltoall"}
        steps = (members - 1) / (self.ranks - 1) if linear else _height(members) / _height(self.ranks)
        return base * steps + (_at(curve, size) - base) * _traffic(kind, members) / _traffic(kind, self.ranks)

    def exchanged(self, neighbours: int, size: float) -> float:
        """Return the seconds of an exchange with so many neighbours."""
        base = self.exchange[0][1]
        more = _at(self.exchange, size) - base
        return base * (1.0 + neighbours) / (1.0 + self.neighbours) + more * neighbours / self.neighbours


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The file that `hpcopt calibrate` writes.

    Parameters
    ----------
    measured
        On what, and when.
    dense, sparse
        The speed of each kind of work, by the storage of the rows.
    overhead
        Of solvers in general.
    solvers
        That of each solver that was measured.
    within, between
        Links between ranks of one host, and between hosts; missing where there is one rank.
    """

    measured: Measured = field(default_factory=Measured)
    dense: Kernels
    sparse: Kernels
    overhead: Overhead = field(default_factory=Overhead)
    solvers: dict[str, Overhead] = field(default_factory=dict)
    within: Links | None = None
    between: Links | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.within is None and self.between is None and self.measured.ranks > 1:
            raise InputError("within: missing; expected the speed of the links")

    def work(self, work: Work, storage: Storage, nbytes: int) -> float:
        """Return the seconds of a piece of work."""
        kernels = self.dense if storage == "dense" else self.sparse
        return kernels.of(work.kind).seconds(work, nbytes)

    def own_code(self, solver: str) -> Overhead:
        """Return the overhead of a solver."""
        return self.solvers.get(solver, self.overhead)

    def links(self, ranks: Sequence[int]) -> Links:
        """Return the links between these ranks: those between hosts, unless all are on one."""
        here = self.measured.ranks_per_host
        first = ranks[0] // here
        chosen = self.within if all(rank // here == first for rank in ranks) else self.between
        found = chosen or self.between or self.within
        assert found is not None, "asked for by ranks that communicate"
        return found


def coldness(work: Work, storage: Storage) -> float:
    """Return how much of a core's caches a piece of work replaces, 0 to 1, so that code after it is read anew."""
    size = work.touched * STORED[storage]
    return 0.0 if size <= CACHE else min(1.0, math.log(size / CACHE) / math.log(COLD / CACHE))


def _check_ascending(**curves: Curve) -> None:
    for name, curve in curves.items():
        sizes = [size for size, _ in curve]
        if any(size >= after for size, after in pairwise(sizes)):
            raise InputError(f"{name}: expected ascending numbers of bytes, got {sizes}")


def _at(curve: Curve, size: float) -> float:
    """Return the curve at `size`: linear between knots, and beyond the last as before it."""
    if size <= curve[0][0] or len(curve) == 1:
        return curve[0][1]
    place = min(max(1, bisect_left(curve, (size, 0.0))), len(curve) - 1)
    (a, low), (b, high) = curve[place - 1], curve[place]
    return low + (high - low) * (size - a) / (b - a)


def _pace(curve: Curve, nbytes: float) -> float:
    """Return the seconds of an operation at `nbytes`: linear in their logarithm between knots, constant beyond."""
    place = bisect_left(curve, (nbytes, 0.0))
    if place == 0 or place == len(curve):
        return 1.0 / curve[min(place, len(curve) - 1)][1]
    (a, low), (b, high) = curve[place - 1], curve[place]
    return 1.0 / low + (1.0 / high - 1.0 / low) * math.log(nbytes / max(a, 1.0)) / math.log(b / max(a, 1.0))


def _height(members: int) -> int:
    return max(1, (members - 1).bit_length())


def _traffic(kind: str, members: int) -> float:
    """Return the bytes that the busiest member sends or receives, in parts."""
    if kind in {"sum", "max"}:
        return 2.0 * (members - 1) / members
    if kind in {"broadcast", "broadcast_varying", "reduce"}:
        return float(_height(members))
    return float(members - 1)
