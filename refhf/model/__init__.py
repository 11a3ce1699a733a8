"""The function that is minimised: blocks, their four sweeps, losses, networks and architectures."""
