"""Preconditioned stochastic nonlinear conjugate gradients: Adya et al. 2018.

Read in this order:

1. `nlcg_step`: Algorithm 1, with its lines on the right.
2. `betas`: the formulas for beta (Nocedal and Wright 2006, section 5.2).
3. `diagonal_bfgs`: Algorithm 2, the preconditioner.
4. `online_search`: section 3.2.2, the scale of the learning rate.
"""
