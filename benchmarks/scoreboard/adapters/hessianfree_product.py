"""hessianfree: its Gauss-Newton product."""

import hessianfree as hf
import numpy as np
from problems import HIDDEN, INPUTS, OUTPUTS

PACKAGE = "hessianfree"


def gauss_newton(problem):
    softmax = problem.loss == "softmax_cross_entropy"
    layers = [hf.nl.Linear(), hf.nl.Tanh(), hf.nl.Softmax() if softmax else hf.nl.Linear()]
    loss = hf.loss_funcs.CrossEntropy() if softmax else hf.loss_funcs.SquaredError()
    targets = np.eye(OUTPUTS)[problem.y] if softmax else problem.y

    def product(theta, v):
        net = hf.FFNet([INPUTS, HIDDEN, OUTPUTS], layers, loss_type=loss, load_weights=rows(theta), dtype=np.float64)
        net.cache_minibatch(problem.X, targets)
        return columns(net.calc_G(rows(v)))

    def rows(theta):
        W, b, W2, b2 = problem.parts(theta)
        return np.concatenate([W.T.ravel(), b, W2.T.ravel(), b2])

    def columns(theta):
        ends = np.cumsum([INPUTS * HIDDEN, HIDDEN, HIDDEN * OUTPUTS])
        W, b, W2, b2 = np.split(theta, ends)
        return np.concatenate([W.reshape(INPUTS, -1).T.ravel(), b, W2.reshape(HIDDEN, -1).T.ravel(), b2])

    return product


GAUSS_NEWTON = {"FFNet.calc_G": gauss_newton}
