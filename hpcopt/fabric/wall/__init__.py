"""Nodes whose clock is the wall's: pokes and waits, real delays, surveys in passing; one process without MPI."""
