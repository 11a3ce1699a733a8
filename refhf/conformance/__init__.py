"""Checkers of somebody else's gradients, curvature products and linear solvers."""
