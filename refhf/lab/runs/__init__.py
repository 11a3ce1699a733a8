"""Training runs: the problem, the steps, the output folder and checkpoints."""
