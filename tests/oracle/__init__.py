"""The independent implementation behind the test vectors: plain loops over exact fractions or 100-digit decimals.

Deliberately separate from `refhf` and from `tests/faults.py`: `exact_*` and `idx_parser` share no code with the sweeps
they confirm, and no rule of differentiation. Only `wrong_*`, which make the known mistakes, use refhf's blocks.

Reading order: `named_draws` and `*_requests` make the requests, `topics` lists them; `exact_networks`,
`exact_solvers`, `exact_steps` and `idx_parser` compute the replies; `wrong_*` compute replies with one mistake, and
`mistake_table` lists those. `tests/make_vectors.py` puts all of them together.
"""
