"""Slow links cause real delays: operations over one take longer by the model's delay, those over others do not.

Argument: the engine of windows.
"""

import sys
import time

import numpy as np
from mpi4py import MPI

from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.fabric.mpi.mailbox import MOST
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.cluster import VirtualCluster

BANDWIDTH, FACTOR, WORDS = 1e6, 11.0, 1000
LONG = (FACTOR - 1.0) * 8 * WORDS / BANDWIDTH  # seconds: 0.08
LEAST = 0.9 * LONG  # a sleep may be shorter, to compensate for an earlier one that took too long
rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
assert size == 4
unlike = next(  # only 0-2 and 1-3 are slow
    tried
    for tried in (Heterogeneity(seed=seed, slow_links=0.5, link_slowdown=FACTOR) for seed in range(1000))
    if [tried.link_factor(*pair) > 1.0 for pair in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))]
    == [False, True, False, False, True, False]
)
PARTNER = (rank + 2) % 4  # over the slow link
STRANGER = rank ^ 1  # over another


def took(node, what):
    node.world.barrier()  # lets mail leave meanwhile
    node._owed = 0.0  # what an earlier sleep took too long
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def program(node):
    x = np.arange(float(WORDS))
    window, box = node.window(WORDS), node.mailbox()
    links = node.neighbourhood([PARTNER], [PARTNER])
    others = node.neighbourhood([STRANGER], [STRANGER])
    pair, other = node.group(sorted((rank, PARTNER))), node.group(sorted((rank, STRANGER)))
    few = node.neighbourhood([PARTNER], [PARTNER], among=sorted((rank, PARTNER)))

    def put(target):
        window.put(x, target)
        window.flush(target)

    def get(target):
        window.get(target, 0, np.empty(WORDS))
        window.flush(target)

    def mail(target):
        box.send(target, x.view(np.uint8))
        box.wait()
        ((source, message),) = box.take()
        assert source == target
        assert np.array_equal(message.view(np.float64), x)

    slow = {
        "put": lambda: put(PARTNER),
        "get": lambda: get(PARTNER),
        "mail": lambda: mail(PARTNER),
        "exchange": lambda: links.exchange(x.view(np.uint8)),
        "exchange among some": lambda: few.exchange(x.view(np.uint8)),
        "varying": lambda: links.exchange_varying(x.view(np.uint8)),
        "alltoall": lambda: pair.alltoall([x, x]),
    }
    fast = {
        "own part": lambda: put(rank),
        "put": lambda: put(STRANGER),
        "get": lambda: get(STRANGER),
        "mail": lambda: mail(STRANGER),
        "exchange": lambda: others.exchange(x.view(np.uint8)),
        "alltoall": lambda: other.alltoall([x, x]),
        "sum": lambda: other.sum(x),
    }
    seconds = {name: took(node, what) for name, what in slow.items()}
    assert all(t >= LEAST for t in seconds.values()), seconds
    booked = node.ledger.solver.bytes
    for name, what in fast.items():  # the minimum of several, as others may use the core
        assert min(took(node, what) for _ in range(3)) < LEAST, name
    assert node.ledger.solver.bytes > booked
    top = rank < 2  # the second of the pair receives, then answers
    assert took(node, lambda: pair.sum(x)) >= (LEAST if top else 2 * LEAST)
    assert took(node, lambda: pair.broadcast(x)) >= (0.0 if top else LEAST)
    for what in (
        lambda: pair.broadcast(x, root=1),
        lambda: pair.gather(x),
        lambda: pair.reduce(x, root=0),
    ):  # only the first one hears something
        seconds = [took(node, what) for _ in range(3)]
        assert min(seconds) >= LEAST if top else min(seconds) < LEAST
    many = 2 * MOST
    assert took(node, lambda: [box.send(PARTNER, x[:10].view(np.uint8)) for _ in range(many)]) >= many / 2 * LEAST / 100
    assert len(box.drain()) == many
    assert took(node, lambda: node.world.sum(x)) >= 0.9 * modelled[rank]
    with node.monitoring():
        assert min(took(node, lambda: pair.sum(x)) for _ in range(3)) < LEAST
    return node.ledger.solver.bytes


def model(node):
    node.world.sum(np.zeros(WORDS))
    return node.now()


nodes = VirtualCluster(size, Network(0.0, BANDWIDTH))
even = nodes.run(model)
conditions = Conditions(heterogeneity=unlike)
modelled = np.subtract(nodes.run(model, conditions), even)
assert modelled.max() > LONG
ranks = MPICluster(windows=sys.argv[1], bandwidth=BANDWIDTH)
ranks.run(program, conditions)
ranks.close()
print("done")
