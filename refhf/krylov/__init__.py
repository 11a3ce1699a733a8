"""Linear solvers, one algorithm a file, as generators of iterates."""
