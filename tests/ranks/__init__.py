"""Programs that tests start under mpiexec."""
