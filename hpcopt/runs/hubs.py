"""The hub network of a run, and the operating rates of its workers: built once for all ranks."""

from __future__ import annotations

from hpcopt.errors import InputError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster
from hpcopt.fabric.place import HubTable
from hpcopt.fabric.rates import Rates
from hpcopt.runs.once import made_once
from hpcopt.solvers.multilevel_sgd import MultilevelSGD
from hpcopt.spec.specification import Specification
from hpcopt.topology.hubs import HubNetwork


def hub_network(table: HubTable, nodes: int, seed: int, hosts: tuple[int, ...] = ()) -> HubNetwork:
    """Return the hub network of `nodes` nodes.

    Parameters
    ----------
    hosts
        The number of each rank's host; for networks that follow the machine.

    Raises
    ------
    InputError
        If so many nodes do not fill the network.
    """
    try:
        return table.on(hosts).network(nodes, seed)
    except InputError as error:
        raise InputError(f"cluster.hubs.{error}") from None


def shared_hub_network(spec: Specification, cluster: Cluster) -> HubNetwork | None:
    """Return the hub network of the ranks, None without one; process 0 builds it, so that no other imports networkx.

    Raises
    ------
    InputError
        On every process: whatever is wrong with it for this number of nodes.
    """
    table = spec.cluster.hubs
    if table is None:
        return None
    hosts = cluster.hosts() if table.follow == "machine" else ()

    def make() -> HubNetwork:
        network = hub_network(table, cluster.size, spec.seed, hosts)
        network.words()  # finds the spectral gap, which then travels along
        return network

    return made_once(cluster.processes, make)


def rates_in_words(conditions: Conditions) -> str:
    """Return the workers' operating rates in words: 'a step in a slot with probability 0.1 to 1, 0.55 on average'."""
    assert conditions.rates is not None, "only where workers have rates"
    workers = range(len(conditions.rates)) if conditions.hubs is None else conditions.hubs.workers
    rates = [conditions.rates[rank] for rank in workers]
    low, high, mean = min(rates), max(rates), sum(rates) / len(rates)
    spread = f"{low:g}" if low == high else f"{low:g} to {high:g}, {mean:.4g} on average"
    return f"a step in a time slot with probability {spread}"


def rates_hint(spec: Specification, conditions: Conditions) -> str | None:
    """Return a hint if workers that step at unequal rates hold shards of unequal kinds, and no step is normalised.

    Then the mean moves by -eta sum a_i p_i grad f_i a slot on average (Castiglia, Das, Patterson 2021, Algorithm 1).
    """
    rates, hubs, partition = conditions.rates, conditions.hubs, spec.data.rule
    workers = range(len(rates or ())) if hubs is None else hubs.workers
    if rates is None or len({rates[rank] for rank in workers}) < 2 or partition in {"shuffled", "unequal"}:
        return None
    biased = next((solver for solver in spec.built if isinstance(solver, MultilevelSGD) and solver.favours_fast), None)
    if biased is None:
        return None
    return (
        f'operating rates differ, and so may the shards (partition = "{partition}"): the fixed point of {biased.name} '
        'minimises sum a_i p_i f_i, not sum a_i f_i; normalise = "rates" corrects this'
    )


def rates_by_rank(spec: Specification, network: HubNetwork | None, size: int) -> tuple[float, ...] | None:
    """Return the operating rate of each node, 1 on hubs that hold no rows; None if the workers have none.

    Raises
    ------
    InputError
        If there are not as many rates as workers.
    """
    if spec.rates is None:
        return None
    workers = range(size) if network is None else network.workers
    if isinstance(spec.rates, Rates):
        members = (
            [list(workers)] if network is None else [[r for r in g if r in set(workers)] for g in network.levels[0]]
        )
        drawn = zip(members, spec.rates.of([len(ranks) for ranks in members]), strict=True)
        rates = {rank: rate for ranks, own in drawn for rank, rate in zip(ranks, own, strict=True)}
    else:
        if len(spec.rates) != len(workers):
            raise InputError(
                f"cluster.rates: expected one for each of the {len(workers)} workers, got {len(spec.rates)}"
            )
        rates = dict(zip(workers, spec.rates, strict=True))
    return tuple(rates.get(rank, 1.0) for rank in range(size))
