"""The fabric: nodes and their communication. One interface, implemented by several clusters.

    interface.py   what a solver sees: Node, Group, Neighbourhood, Cluster, each in a file of its name
    window.py, board.py, mailbox.py, survey.py: the further interface of asynchronous solvers
    seam.py        the one place through which every operation passes, and its observers
    publication.py, cas_board.py   protocols over any window: consistent vectors, one shared state without a server
    solo.py        the operations of a one-node cluster    heterogeneity.py   which nodes are slow, and when
    ledger.py      counts rounds and bytes             meter.py           counts work
    conditions.py  topology and heterogeneity of a run
    network.py     cost model of messages              timeline.py        what a node did when
    launch.py      how a job starts, and how all its ranks end together; agreement.py: how bad input is reported once

    join.py        returns the cluster of a job, of either kind
    wall/          nodes on the wall clock, and the cluster of one process
    mpi/           ranks of an MPI job
    virtual/       N nodes in one process, on a virtual clock

The files here, except join.py, import none of these three packages; mpi imports wall, and virtual imports neither.
Nothing outside the fabric imports mpi4py.
"""
