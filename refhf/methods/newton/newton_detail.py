"""The detail that Newton's methods add to a report."""

import math
from typing import NamedTuple

from refhf.krylov.stopping import Stop


class NewtonDetail(NamedTuple):
    """The detail of a report of `newton`, `truncated-newton` and `saddle-free-newton`.

    Attributes
    ----------
    damping : float
        lambda of this step's matrix; NaN where the step ended before it was chosen.
    rho : float
        The reduction ratio of the trust region; NaN where there is none.
    solver_iterations, solver_stop : int, Stop or None
        Iterations of the Krylov solver, and why it stopped; 0 and None where H's eigenvectors were computed.
    """

    damping: float = math.nan
    rho: float = math.nan
    solver_iterations: int = 0
    solver_stop: Stop | None = None
