"""What a solver sees of the cluster it runs on: a node, its groups, and nothing of MPI.

    node                one rank (MPI) or one greenlet (virtual cluster)
      .world            the group of all nodes
      .group(ranks)     a group of some of them: a communicator
      .neighbourhood()  its links to neighbours in a graph: a distributed-graph communicator
      .mixing           the mixing matrix of the run's topology
      .ledger .meter    what it sent, what it computed
      .snapshot()       what of it survives an iteration, for a checkpoint; .restore() goes on from there
      .timeline         when it computed, waited and exchanged, if that is recorded
      .draws() .key()   random numbers for a purpose and a step, and keys of others

For those who wait for nobody, with one file a kind of cluster each:

      .window()         memory that others read and write: one-sided operations
      .publication()    vectors that others read whole
      .board()          one small state that all nodes change
      .mailbox()        messages to those who do not wait for them
      .survey()         non-blocking reductions over all nodes, to measure a run in progress
"""

from __future__ import annotations

from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.group import Group
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.node import Node

__all__ = ["Cluster", "Group", "Neighbourhood", "Node"]
