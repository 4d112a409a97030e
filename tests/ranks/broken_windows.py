"""The self-test before the first window, with MPI broken in various ways on one rank."""

import time
from types import SimpleNamespace

import pytest
from mpi4py import MPI

from hpcopt.errors import AgreedError
from hpcopt.fabric.mpi import self_test
from hpcopt.fabric.mpi.cluster import MPICluster
from tests.ranks.windows import boards, operations

world = MPI.COMM_WORLD
self_test.PATIENCE = 0.1
Window, ends, read = self_test.MPIWindow, self_test._ends, self_test._read


class Forgetful(Window):
    """Loses the swapped value."""

    def compare_and_swap(self, expected, desired, target, at):  # noqa: ARG002
        return super().compare_and_swap(expected, expected, target, at)


class Apart(Window):
    """Has separate public and private copies."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.win = SimpleNamespace(model=MPI.WIN_SEPARATE, Unlock_all=self.win.Unlock_all, Free=self.win.Free)


def hangs(request):
    ends(request)
    return False


def reads_late(window, target):
    time.sleep(0.2)
    read(window, target)


def program(node):
    operations(node)
    boards(node)
    return True


faults = {
    ("MPIWindow", Forgetful): self_test.VALUES,
    ("MPIWindow", Apart): self_test.SEPARATE,
    ("_ends", hangs): self_test.STILL,
    ("_read", reads_late): self_test.STILL,
}
for (name, broken), fault in faults.items():
    sound = getattr(self_test, name)
    if world.rank == 1:
        setattr(self_test, name, broken)
    cluster = MPICluster()
    assert cluster.run(program) == [True]
    assert cluster.probe_windows() == f"windows: two-sided: this MPI's one-sided operations {fault} here"
    cluster.close()
    cluster = MPICluster(windows="one-sided")
    with pytest.raises(AgreedError, match=f'cluster.windows: "one-sided", but this .* {fault} here; "auto"'):
        cluster.run(program)
    cluster.close()
    setattr(self_test, name, sound)
print("done", flush=True)
