"""Networks of blocks with one mistake, by refhf's blocks and the kit's mistaken ones; None computes the right reply."""

import numpy as np

from oracle.reply_changes import finished
from refhf.conformance import parameter_layout
from refhf.conformance.float64_reference import mapped
from refhf.conformance.mistakes import wrong_derivatives
from refhf.conformance.mistakes.wrong_derivatives import RESIDUAL, NetworkCases
from refhf.conformance.parameter_layout import parameter_blocks
from refhf.conformance.patterns import Pattern as P
from refhf.conformance.vectors.network_operations import network_of
from refhf.model.batch_norm import BatchNorm
from refhf.model.blocks import arrays
from refhf.model.weight_tying import first_places, untied

TERMS = {
    "d-of-activation": P.SLOPE_OF_ACTIVATION,
    "missing-f''": P.NO_BEND,
    "missing-weight-term": P.NO_WEIGHT_TERM,
    "missing-input-term": P.NO_INPUT_TERM,
    "missing-direction": P.NO_DIRECTION,
    "bias-direction": P.NO_BIAS_DIRECTION,
    "constant-statistics": P.CONSTANT_STATISTICS,
    "constant-mean": P.NO_MEAN_TERM,
    "epsilon-outside-the-root": P.EPSILON_OUTSIDE,
    "unbiased-variance": P.UNBIASED_VARIANCE,
    "missing-row-sum": P.NO_ROW_SUM,
    "mask-after-softmax": P.MASK_AFTER_SOFTMAX,
}
HESSIANS = {
    "softmax-diagonal": P.SOFTMAX_DIAGONAL,
    "softmax-outer-product": P.SOFTMAX_NO_OUTER,
    "loss-hessian": P.NO_LOSS_HESSIAN,
    "empirical-fisher": P.FISHER,
}
MISTAKES = [  # that dense networks and images cannot make
    "constant-statistics",
    "constant-mean",
    "epsilon-outside-the-root",
    "unbiased-variance",
    "missing-row-sum",
    "mask-after-softmax",
    "one-group",
    "sum-over-positions",
    "tied-once",
]
STALE: dict = {}  # the first theta seen for each problem


def relaid(net, mistake):
    """The indices at which theta is read, in another layout."""
    if mistake == "layout":
        return parameter_layout.out_in(net)
    if mistake == "bias-first":
        return parameter_layout.bias_first(net)
    parts = arrays(net.unpack(np.arange(net.size)))
    turned = mistake == "kernel-turned"
    index = np.concatenate([(x[::-1, ::-1] if turned and x.ndim == 4 else x).ravel() for x in parts])
    return first_places(index, net.chain.weight_shapes, net.ties)


def problem_of(request, mistake):
    """The network and its cases."""
    net, cases = network_of(request), request["cases"]
    X, y = (np.array(request[name], float).reshape(cases, -1) for name in ("X", "y"))
    if mistake == "cases-in-columns":
        X, y = X.ravel().reshape(-1, cases).T, y.ravel().reshape(-1, cases).T
    if mistake == "channels-first" and net.images:
        X = X.reshape(cases, net.in_shape[2], *net.in_shape[:2]).transpose(0, 2, 3, 1)
    if mistake == "one-group":
        chain = mapped(lambda b: BatchNorm(b.channels, cases) if isinstance(b, BatchNorm) else b, net.chain)
        net = net._replace(chain=chain)
    X = X.astype(int) if net.tokens else X.reshape(cases, *net.in_shape)
    return NetworkCases(net, X, y.reshape(cases, *net.out_shape), cases)


def factor(problem, mistake):
    """What the loss is multiplied by."""
    net = problem.net
    if mistake == "sum-over-positions":
        return int(np.prod(net.out_shape[:-1]))
    if mistake == "loss-factor-2":
        return 2 if net.loss.name == "squared_error" else 1
    return {"mean-vs-sum": problem.divisor, "mean-over-outputs": 1 / net.outputs}.get(mistake, 1)


def product(problem, theta, v, mistake, wanted):
    """H v or G v of the mean loss."""
    gauss_newton = wanted == "gauss_newton" or mistake == "gauss-newton-for-hessian"
    without = RESIDUAL if gauss_newton and mistake != "hessian-for-gauss-newton" else frozenset()
    if mistake in TERMS:
        without = without | {TERMS[mistake]}
    found = [h for cause, h in wrong_derivatives.loss_hessians(problem.net) if cause.pattern is HESSIANS.get(mistake)]
    return wrong_derivatives.curvature(problem, theta, v, without, *found[:1])


def network(request, mistake, wanted):
    """Value and gradient, H v or G v."""
    problem, l2 = problem_of(request, mistake), request["l2"]
    net, index = problem.net, relaid(problem.net, mistake)
    theta, v = (np.array(request.get(name, request["theta"]), float)[index] for name in ("theta", "v"))
    if mistake == "stale-tape":
        theta = STALE.setdefault((wanted, *request["X"]), theta)
    scale, biases = factor(problem, mistake), [b.indices for b in parameter_blocks(net) if b.name[:2] == "b_"]
    if mistake == "l2-divided-by-batch":
        l2 = l2 / request["cases"]
    decayed, value = (theta if wanted == "gradient" else v).copy(), 0.0
    if mistake == "tied-once":  # each place has its own derivative, and only the first one's is kept
        problem = problem._replace(net=net._replace(ties=()))
        theta, v = (untied(x, net.chain.weight_shapes, net.ties) for x in (theta, v))
    if wanted == "gradient":
        without = {TERMS[mistake]} if mistake in TERMS else set()
        result = wrong_derivatives.gradient(problem, theta, without)
        value = scale * wrong_derivatives.value(problem, theta, without) + l2 / 2 * float(decayed @ decayed)
    else:
        result = product(problem, theta, v, mistake, wanted)
    if mistake == "tied-once":
        result = first_places(result, net.chain.weight_shapes, net.ties)
    for indices in biases if mistake == "l2-on-biases" else []:
        decayed[indices] = 0
    result = scale * result + (0 if mistake == "l2" else l2) * decayed
    for indices in biases if mistake == "bias" else []:
        result[indices] = 0
    placed = np.empty(net.size)
    placed[index] = result
    return finished({"value": value, "gradient": placed} if wanted == "gradient" else {"product": placed}, mistake)
