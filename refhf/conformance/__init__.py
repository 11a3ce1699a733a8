"""Checks of user-supplied gradients, curvature products, linear solvers and whole implementations.

Each module imports only from those above it in this list, which is also the reading order:

- `oracles`: numerical derivatives, and laws of products; plain functions of vectors.
- `patterns`: the sentences of the diagnosis.
- `check_report`: the result of a check.
- `parameter_layout`: the parts of theta by name, and other layouts of theta.
- `float64_reference`: reference values of an objective, with tolerances.
- `mistakes`: known mistakes made on purpose, and the diagnosis that recognises them.
- `checkers`: `check_gradient`, `check_hessian_product`, `check_gauss_newton_product`, `check_network`, `check_solver`.
- `recipes`: `compare_recipes`: all recipes of a framework of automatic differentiation; independent of `mistakes`.
- `vectors`: test vectors for implementations in any language; independent of `mistakes` and `checkers`.
"""
