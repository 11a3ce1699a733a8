"""These are scripts for mpiexec, not modules to collect."""

collect_ignore_glob = ["*"]
