"""The fabric: nodes and how they talk. One interface, two clusters behind it.

    interface.py   what a solver sees: Node, Group, Neighbourhood, Cluster, each in a file of its name
    window.py, board.py, mailbox.py, survey.py: what asynchronous solvers see besides
    seam.py        the one place through which every operation passes, and who is told of it there
    publication.py, cas_board.py   protocols over any window: whole vectors, one state without a server
    solo.py        what the only node of a cluster uses   heterogeneity.py   which nodes are slow, and when
    ledger.py      every round and byte                meter.py           every piece of work
    conditions.py  network and heterogeneity of a run
    network.py     what a message costs                timeline.py        what a node did when
    launch.py      how a job starts and how it fails together; agreement.py: how bad input is told once

    join.py        the cluster of a job, whichever it is
    wall/          nodes on the wall's clock, and the cluster of one process
    mpi/           ranks of an MPI job
    virtual/       N nodes in one process, on a virtual clock

The files here, join.py apart, know none of these rooms; mpi stands on wall, and virtual on neither. Nothing outside the
fabric imports mpi4py.
"""
