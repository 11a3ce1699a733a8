"""What is minimised: nonlinearities, losses, layers and the network's four sweeps."""
