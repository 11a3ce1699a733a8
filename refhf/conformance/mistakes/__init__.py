"""Known mistakes in derivatives and solvers, made on purpose, and the diagnosis that recognises them in user code.

Reading order: `wrong_derivatives` (sweeps with terms left out), `candidate_vectors` (every result that a known mistake
gives), `coefficient_causes` (names of factors), `diagnosis` (fits results to candidates); `linear_systems` and
`wrong_solvers` (recurrences with one line wrong).
"""
