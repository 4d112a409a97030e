"""The fabric: nodes and how they talk. One interface, two clusters behind it.

    interface.py   Node, Group, Cluster: what a solver sees
    mpi.py         ranks of an MPI job            virtual.py   N nodes in one process, on a virtual clock
    solo.py        one process without MPI        network.py   what a message costs on the virtual cluster
    ledger.py      every round and byte           meter.py     every piece of work
    launch.py      how a job starts and how it fails together; agreement.py: how bad input is told once

Only this room imports mpi4py.
"""
