"""Known mistakes: each operation computed the textbook's way in float64, with one thing done wrong.

A vector's flags are the mistakes that change its reply, so they are measured and not claimed. MISTAKES holds, for each
operation, the function (request, mistake) -> reply and the names of its mistakes; with the mistake None it is right.
"""

from plain import wrong_networks, wrong_rest, wrong_solvers, wrong_steps

MISTAKES = {
    operation: entry
    for module in (wrong_networks, wrong_solvers, wrong_steps, wrong_rest)
    for operation, entry in module.MISTAKES.items()
}
