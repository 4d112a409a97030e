"""Tables of operations of real ranks: they have what the ledgers have, also of windows, boards and mailboxes."""

import sys
from pathlib import Path

import hpcopt
from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.fabric.mpi.cluster import MPICluster
from hpcopt.fabric.operations import MONITORING
from hpcopt.runs import execute
from hpcopt.solvers import SOLVERS


class Counted(MPICluster):
    def run(self, program, conditions):
        def body(node):
            node.tabulate()
            outcome = program(node)
            self.lines = node.operations.lines()
            self.clock = node.now()
            return outcome

        return super().run(body, conditions)


cluster = Counted()
for name in ("giant", "d-psgd", "ad-psgd", "dsgd-aau", "agp"):
    solved = solve(SOLVERS[name](), logistic(nodes=cluster.size), cluster=cluster, iterations=5)
    (node,) = solved.nodes
    lines = [line for line in cluster.lines if line.operation != MONITORING]
    booked = node.ledger.solver
    assert sum(line.messages for line in lines) == booked.messages, name
    assert sum(line.bytes for line in lines) == booked.bytes, name
    assert {line.link_class for line in lines if line.bytes} == set(booked.by_class), name
    assert 0.0 < sum(line.seconds for line in lines) <= cluster.clock, name
cluster.close()

spec = {"data": {"source": "breast-cancer"}, "solver": {"name": "d-psgd"}, "stop": {"rounds": 5}}
execute.draw_convergence = execute.draw_edges = lambda *_, **__: None  # pictures take a second each
folder = Path(sys.argv[1])
hpcopt.run(spec, folder=folder / "plain")
hpcopt.run({**spec, "output": {"timeline": True}}, folder=folder / "scouted")
print("done", flush=True)
