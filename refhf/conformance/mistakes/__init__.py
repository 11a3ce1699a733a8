"""Known mistakes in derivatives and solvers, made on purpose, and the diagnosis that recognises them in user code.

Reading order: `wrong_derivatives` (sweeps with terms left out), `kronecker_factors` (KFAC), `candidate_vectors` (every
result that a known mistake gives), `coefficient_causes` (names of factors), `diagnosis` (fits results to candidates),
`monte_carlo_fisher` and `drawn_factors` (find the labels that a Fisher matrix, or KFAC, was made of);
`linear_systems` and `wrong_solvers` (recurrences with one line wrong).
"""
