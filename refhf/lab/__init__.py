"""Applications: data sets, runs and checkpoints, plots, the command line."""
