"""Inverse-Hessian products from replica differences (Arnold and Wang)."""
