"""The options that the Hessian-free methods had by default before fig_defaults.py chose others, by method.

Martens 2010, section 4.4, and his code for CG with the Gauss-Newton matrix; our choice for the Hessian's. The scripts
whose runs are older name them, so that a run that is made again is the run that is stored. Each script gives the
curvature's mini-batch.
"""

from refhf.lab.sweep.sweep_grid import Configuration

EARLIER = {
    "gn-cg": {"solver_iterations": 250, "backtracking": False, "warm_start": 0.95},
    "hessian-cg": {"solver_iterations": 250, "backtracking": False, "warm_start": 0.0},
    "hybrid-cg": {"solver_iterations": 250, "backtracking": False, "warm_start": 0.0},
    "hessian-bicgstab": {"solver_iterations": 10, "backtracking": True, "warm_start": 0.0},
}


class EarlierConfiguration(Configuration):
    """A run of a sweep with EARLIER for the options that it does not name; its line does not name them either."""

    def plan(self, problem, steps, since=None):
        """The checked run."""
        named = Configuration(*self[:3], EARLIER.get(self.method, {}) | self.options)
        return named.plan(problem, steps, since)
