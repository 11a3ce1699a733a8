"""Hessian-free optimisation: He et al. 2016, "Large Scale Distributed Hessian-Free Optimization", and Martens 2010.

Read in this order:

1. `hf_step`: Algorithm 2, one step of all four methods, with the paper's line numbers.
2. `candidates`: lines 6 and 7. The solvers' iterates as candidate directions (sections 4.1 and 4.2), and backtracking
   over them (Martens 2010, section 4.6).
3. `damping`: line 8. The Levenberg-Marquardt rule for lambda (Martens 2010, section 4.1).
4. `path_step`: the same step for a grid of lambdas at once, of which the loss chooses one (Jegerlehner 1996).

Line 9, the line search, is `refhf.methods.search.armijo`. The solvers are `refhf.krylov.cg` and
`refhf.krylov.bicgstab`.
"""
