"""A solver's interface to the cluster it runs on: a node and its groups, independent of MPI.

    node                one rank (MPI) or one greenlet (virtual cluster)
      .world            the group of all nodes
      .group(ranks)     a group of some of the nodes: a communicator
      .neighbourhood()  its links to neighbours in a graph: a distributed-graph communicator
      .mixing           the mixing matrix of the run's topology
      .ledger .meter    counts of its communication and of its work
      .snapshot()       the node's state between iterations, for a checkpoint; .restore() restores it
      .timeline         when it computed, waited and exchanged, if that is recorded
      .draws() .key()   random numbers for a purpose and a step, and keys of further streams

For asynchronous solvers, each implemented by one file per kind of cluster:

      .window()         memory that others read and write: one-sided operations
      .publication()    vectors that others read completely or not at all
      .board()          one small state that all nodes update
      .mailbox()        messages without a matching receive call
      .survey()         non-blocking reductions over all nodes, to measure a run in progress
"""

from __future__ import annotations

from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.group import Group
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.node import Node

__all__ = ["Cluster", "Group", "Neighbourhood", "Node"]
