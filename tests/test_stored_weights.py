"""Stored weights: a network whose theta has another order and layout is the same function of the same numbers."""

import numpy as np
import pytest

import refhf
from refhf.model.axes_order import AxesOrder
from refhf.model.blocks import flat
from refhf.model.weight_tying import NOWHERE, Stored, places

RNG = np.random.default_rng(4)
BLOCKS = [AxesOrder((1, 2, 0)), refhf.conv(3, 2), refhf.elementwise("tanh"), refhf.flatten(), refhf.dense(18, 2)]


def networks():
    """A network for images with their channels first, and the same with its arrays turned and in reverse order."""
    net = refhf.chain(BLOCKS, shape=(2, 3, 4), loss="softmax_cross_entropy")
    shapes = flat(net.chain.weight_shapes)
    starts = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes[:0:-1])])[::-1]
    turned = tuple(
        Stored(int(start), shape[::-1], tuple(range(len(shape)))[::-1])
        for start, shape in zip(starts, shapes, strict=True)
    )
    return net, net._replace(ties=turned)


def test_quantities_are_permuted():
    """f, g, H, G and the squares of the stored network are those of the plain one, at T theta and by T'."""
    net, stored = networks()
    order = places(stored.chain.weight_shapes, stored.ties)
    np.testing.assert_array_equal(np.sort(order), np.arange(net.size))
    assert stored.size == net.size and stored.init(0)[order].tolist() == net.init(0).tolist()
    X, y, theta, v = RNG.normal(size=(5, 2, 3, 4)), RNG.integers(2, size=5), *RNG.normal(size=(2, net.size))
    ours, theirs = (refhf.supervised(each, X, y, l2=0.1) for each in (net, stored))
    assert theirs.value(theta) == pytest.approx(ours.value(theta[order]), rel=1e-14)
    for name in "hessian", "gauss_newton":
        want = getattr(ours, name)(theta[order]) @ v[order]
        np.testing.assert_allclose((getattr(theirs, name)(theta) @ v)[order], want, rtol=1e-12, atol=1e-13)
    for result in (lambda f, t: f.value_and_gradient(t)[1], lambda f, t: f.gradient_squares(t)):
        np.testing.assert_allclose(result(theirs, theta)[order], result(ours, theta[order]), rtol=1e-12, atol=1e-13)


def test_what_lies_nowhere_is_zero():
    """An array that theta does not hold is zero, and so are its directions; it has no derivative in theta."""
    net = refhf.mlp([3, 2])
    bare = refhf.chain([refhf.dense(3, 2, bias=False)], loss="softmax_cross_entropy")
    without = net._replace(ties=(Stored(0, (3, 2), (0, 1)), Stored(NOWHERE, (2,), (0,))))
    assert without.size == 6 and without.init(0).shape == (6,)
    X, y, theta, v = RNG.normal(size=(5, 3)), RNG.integers(2, size=5), *RNG.normal(size=(2, 6))
    own, want = refhf.supervised(without, X, y), refhf.supervised(bare, X, y)
    np.testing.assert_array_equal(own.value_and_gradient(theta)[1], want.value_and_gradient(theta)[1])
    np.testing.assert_array_equal(own.hessian(theta) @ v, want.hessian(theta) @ v)


def test_axes_are_in_order():
    """The adjoint of a transposition is its inverse; cases of other axes are refused."""
    block, a = AxesOrder((2, 0, 1)), RNG.normal(size=(3, 4, 5, 2))
    assert block.out_shape((4, 5, 2)) == (2, 4, 5) == block.apply(a).shape[1:]
    np.testing.assert_array_equal(block.apply(a)[:, 1], a[..., 1])
    np.testing.assert_array_equal(block.adjoint(block.apply(a)), a)
    with pytest.raises(ValueError, match="expected cases of 3 axes; got shape"):
        block.out_shape((4, 5))
