"""The worst relative errors of g, J v, J'u, H v and G v over random chains of all blocks, against the complex step.

python tests/chain_errors.py          # 500 chains
python tests/chain_errors.py 20
"""

import sys

import numpy as np
from hypothesis import HealthCheck, given, settings
from test_blocks import chains, complex_step

from refhf.model import network

worst: dict[str, float] = {}


def note(name, got, want, size=0.0):
    """Keep the error, relative to the larger of `want`'s size and the one given (that of g for H v)."""
    error = np.linalg.norm(np.ravel(got - want)) / max(np.linalg.norm(np.ravel(want)), size, 1e-3)
    worst[name] = max(worst.get(name, 0.0), float(error))


def measure(net, theta, X, y, v):
    """Note the errors of one network."""
    _, g = network.loss_and_gradient(net, theta, X, y)
    z, tape = network.forward(net, theta, X)
    Rz, _ = network.r_forward(net, tape, v)
    along = complex_step(lambda t: network.forward(net, t, X, order=0)[0], theta, v)  # J v
    u = np.random.default_rng(0).standard_normal(z.shape)
    back, _ = network.backward(net, tape, u)
    note("J v", Rz, along)
    note("J'u", back @ v, np.vdot(u, along), np.linalg.norm(back) * np.linalg.norm(v))
    note("g'v", g @ v, complex_step(lambda t: network.loss_and_gradient(net, t, X, y)[0], theta, v),
         np.linalg.norm(g) * np.linalg.norm(v))  # fmt: skip
    Hv = complex_step(lambda t: network.loss_and_gradient(net, t, X, y)[1], theta, v)
    note("H v", network.hessian_product(net, theta, X, y)(v), Hv, np.linalg.norm(g))
    jacobian = np.stack([network.r_forward(net, tape, e)[0].ravel() for e in np.eye(net.size)], axis=1)
    want = jacobian.T @ net.loss.hessian(z, y)(along.reshape(z.shape)).ravel()
    note("G v", network.gauss_newton_product(net, theta, X, y)(v), want)


if __name__ == "__main__":
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 500

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(chains())
    def run(drawn):
        """Measure one drawn network."""
        measure(*drawn[:5])

    run()
    print(examples, "chains:", ", ".join(f"{name} {error:.1e}" for name, error in worst.items()))
