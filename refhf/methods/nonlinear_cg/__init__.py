"""Nonlinear conjugate gradients (Adya et al. 2018)."""
