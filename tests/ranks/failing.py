"""A solver that fails on one rank in its fifteenth round, after the warm-up, started through the console entry."""

import sys

from hpcopt.cli.main import main
from hpcopt.solvers.sgd import SGD

healthy = SGD.rounds


def rounds(self, node, f, s):
    for iteration, state in enumerate(healthy(self, node, f, s)):
        if iteration == 14 and node.rank == int(sys.argv[1]):
            raise ZeroDivisionError("as a defect of ours would")
        yield state


SGD.rounds = rounds
sys.exit(main(["run", *sys.argv[2:]]))
