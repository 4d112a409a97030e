"""The MPI cluster: one rank is one node, by collectives, windows of either engine, and messages."""
