"""Table of known mistakes: operation -> (function (request, mistake) -> reply, names of its mistakes).

Each function computes the reply in float64 the textbook way, with one mistake; with the mistake None it is right.
The flags of a vector are the mistakes that change its reply.
"""

from oracle import (
    wrong_idx,
    wrong_networks,
    wrong_nlcg,
    wrong_replicas,
    wrong_saddle,
    wrong_solvers,
    wrong_steps,
)

MISTAKES = {
    operation: entry
    for module in (
        wrong_networks,
        wrong_solvers,
        wrong_steps,
        wrong_nlcg,
        wrong_replicas,
        wrong_saddle,
        wrong_idx,
    )
    for operation, entry in module.MISTAKES.items()
}
