"""An objective that counts what is asked of it, for itself and for the mini-batches drawn from it."""

from refhf.methods.report import Counts
from refhf.objective import Objective, operator


class Counted:
    """`objective` with a running `counts`; made once a run, shared with every sample."""

    def __init__(self, objective: Objective, ledger: "Counted | None" = None):
        self.objective, self.ledger = objective, ledger or self
        self.size, self.cases, self.dtype = objective.size, objective.cases, objective.dtype
        self.curvatures = objective.curvatures
        self.counts = Counts()

    def value(self, theta) -> float:
        """f(theta), counted."""
        self._count("value_evaluations")
        return self.objective.value(theta)

    def value_and_gradient(self, theta):
        """f(theta) and g (P,), counted as one gradient evaluation and one pass."""
        self._count("gradient_evaluations")
        return self.objective.value_and_gradient(theta)

    def hessian(self, theta):
        """H at theta; its products are counted."""
        return self._counted_operator(self.objective.hessian(theta))

    def gauss_newton(self, theta):
        """G at theta; its products are counted."""
        return self._counted_operator(self.objective.gauss_newton(theta))

    def gradient_squares(self, theta):
        """The mean over cases of the squared gradients (P,), counted as a gradient evaluation."""
        self._count("gradient_evaluations")
        return self.objective.gradient_squares(theta)

    def sample(self, cases: int, *, rng=None) -> "Counted":
        """A mini-batch whose calls count here, by its share of the cases."""
        return Counted(self.objective.sample(cases, rng=rng), self.ledger)

    def _count(self, what):
        counts, share = self.ledger.counts, self.cases / self.ledger.cases
        self.ledger.counts = counts._replace(**{what: getattr(counts, what) + 1}, epochs=counts.epochs + share)

    def _counted_operator(self, A):
        def product(v):
            self._count("curvature_products")
            return A @ v

        return operator(product, A.shape[0], A.dtype)
