"""Nodes on the wall clock: progress while computing and waiting, real delays, surveys; one process without MPI."""
