"""An objective that counts its evaluations, and those of the mini-batches drawn from it.

Methods keep gradients and products from one call to the next, and a user's objective may return one buffer again and
again, so results are copied.
"""

from functools import partial

import numpy as np

from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.methods.report import Counts
from refhf.objective.protocol import Objective

NOTHING = Counts()


class Counted:
    """`objective` with a running `counts`; made once a run, shared with every sample."""

    def __init__(self, objective: Objective, ledger: "Counted | None" = None, counts: Counts = NOTHING):
        self.objective, self.ledger = objective, ledger or self
        self.size, self.cases, self.group, self.dtype = (
            objective.size,
            objective.cases,
            objective.group,
            objective.dtype,
        )
        self.curvatures, self.comm = objective.curvatures, objective.comm
        self.counts, self.swept = counts, round(counts.epochs * objective.cases)

    def value(self, theta) -> float:
        """f(theta), counted."""
        return self._counted("value_evaluations", self.objective.value, theta)

    def value_and_gradient(self, theta):
        """f(theta) and g (P,), counted as one gradient evaluation and one pass."""
        f, g = self._counted("gradient_evaluations", self.objective.value_and_gradient, theta)
        return f, np.array(g)

    def hessian(self, theta):
        """H at theta; its products are counted."""
        return self._counted_operator(self.objective.hessian(theta))

    def gauss_newton(self, theta):
        """G at theta; its products are counted."""
        return self._counted_operator(self.objective.gauss_newton(theta))

    def gradient_squares(self, theta):
        """The mean over cases of the squared gradients (P,), counted as a gradient evaluation."""
        return self._counted("gradient_evaluations", self.objective.gradient_squares, theta)

    def sample(self, cases: int, *, rng=None) -> "Counted":
        """A mini-batch whose calls count here, by its share of the cases."""
        return Counted(self.objective.sample(cases, rng=rng), self.ledger)

    def _counted(self, what, function, argument):
        before = self._traffic()
        answer = function(argument)
        ledger = self.ledger
        counts, ledger.swept = ledger.counts, ledger.swept + self.cases
        calls, size = (now - then for now, then in zip(self._traffic(), before, strict=True))
        ledger.counts = counts._replace(
            **{what: getattr(counts, what) + 1},
            epochs=ledger.swept / ledger.cases,
            communications=counts.communications + calls,
            bytes_communicated=counts.bytes_communicated + size,
        )
        return answer

    def _traffic(self):
        comm = self.objective.comm
        return comm.traffic[:2] if comm else (0, 0)

    def _counted_operator(self, A):
        return SymmetricOperator(partial(self._product, A), A.shape[0], A.dtype)

    def _product(self, A, v):
        return np.array(self._counted("curvature_products", A.matvec, v))
