"""Recipes of automatic differentiation, compared with one another and with differences that need no rule of theirs.

In reading order:

- `richardson`: extrapolated differences.
- `recipe_report`: the result.
- `recipe_comparison`: a function of a vector and its recipes, compared; plain arrays.
- `torch_recipes`, `jax_recipes`: a model's loss as a function of a vector, and the recipes of PyTorch and JAX.
- `compare_recipes`: the public function.
"""
