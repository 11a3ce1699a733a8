"""Optimisers, one family a folder. A step is a function (state, objective, options, k, rng) -> (state, report).

Families: `hessian_free` (He et al. 2016), `nonlinear_cg` (Adya et al. 2018), `replicas` (Arnold and Wang), `newton`
(textbook Newton methods and saddle-free Newton), and the module `first_order`. No family imports another. They share
`report`, `schedules`, `mini_batch` and `search`.
"""
