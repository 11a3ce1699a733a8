"""Hessian-free optimisation (He et al. 2016; Martens 2010)."""
