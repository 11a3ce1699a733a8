"""Convolutional networks: layers against loops, and every law of `test_network` for their products."""

import contextlib
import math
import tracemalloc
from numbers import Integral

import numpy as np
import pytest
import scipy.signal
import test_network
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import relative_error, sizes
from strategies import ANALYTIC, convolutions, image_problems
from test_network import EXACT

import refhf
from refhf import conv, pool
from refhf.model import convolution, network
from refhf.model.convolution import Convolution
from refhf.model.pooling import AveragePool
from refhf.parallel import run
from refhf.parallel.model_parallel import model_parallel

FEW = settings(max_examples=max(25, settings.default.max_examples // 4))


def law(test):
    """A test of `test_network` as a function of its problem."""
    return test.hypothesis.inner_test


# --- Layers


@st.composite
def layers(draw):
    """A convolution with x (B, height, width, C_in), W and u like s, of any of the sweeps' dtypes."""
    height, width, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    (_, *numbers), *_ = draw(convolutions(height, width))
    layer = Convolution((height, width, channels), *numbers)
    rng, cases = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(0, 5))
    shapes = (cases, *layer.shape), layer.weight_shape, (cases, *layer.out_shape(layer.shape))
    return layer, *(
        rng.normal(size=shape) + draw(st.sampled_from((0, 1j))) * rng.normal(size=shape) for shape in shapes
    )


@contextlib.contextmanager
def at_a_time(strip_bytes, small):
    """Strips of so many bytes made, and products of so many multiplications taken for small, be they of one pixel."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in (("STRIP_BYTES", strip_bytes), ("SMALL", small), ("FEWEST", 1)):
            patch.setattr(convolution, name, number)
        yield


@given(layers(), st.sampled_from((1, 300, 2**21)), st.sampled_from((0, 100, 1000, 100**3)))
def test_convolution_is_scipys_correlation(drawn, strip_bytes, small):
    """s[.., o] = sum over c of x[.., c] correlated with W[.., c, o]; for any number of cases and pixels at a time."""
    layer, x, W, _ = drawn
    with at_a_time(strip_bytes, small):
        got = layer.product(W, x)
    framed = np.pad(x, [(0, 0), *[(layer.padding,) * 2] * 2, (0, 0)])
    for image, s in zip(framed, got, strict=True):
        for o in range(layer.channels):
            # SciPy conjugates its second argument.
            planes = [
                scipy.signal.correlate(image[..., c], W[..., c, o].conj(), "valid") for c in range(layer.shape[2])
            ]
            np.testing.assert_allclose(s[..., o], sum(planes)[:: layer.stride, :: layer.stride], atol=1e-13)


@given(layers(), st.sampled_from((1, 300, 2**21)), st.sampled_from((0, 100, 1000, 100**3)))
def test_convolution_is_bilinear_with_two_adjoints(drawn, strip_bytes, small):
    """u'product(W, x) = adjoint_input(W, u)'x = adjoint_weight(x, u)'W; squares are summed case by case."""
    layer, x, W, u = drawn
    with at_a_time(strip_bytes, small):
        want, DW = np.sum(u * layer.product(W, x)), layer.adjoint_weight(x, u)
        tolerance = EXACT * (1 + np.linalg.norm(x) * np.linalg.norm(W) * np.linalg.norm(u))
        assert abs(np.sum(layer.adjoint_input(W, u) * x) - want) < tolerance
        assert abs(np.sum(DW * W) - want) < tolerance
        out = np.full(layer.weight_shape, np.nan, DW.dtype)
        assert layer.adjoint_weight(x, u, out=out) is out
        np.testing.assert_array_equal(out, DW)
        each = sum((layer.adjoint_weight(x[i : i + 1], u[i : i + 1]) ** 2 for i in range(len(x))), np.zeros_like(DW))
        squares = layer.adjoint_weight_squares(x, u, np.empty_like(DW))
        np.testing.assert_allclose(squares, each, atol=1e-13 * (1 + abs(each).max()))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
def test_pool_is_the_mean_of_squares_with_its_adjoint(rows, columns, channels, size, cases):
    """Each number is a mean, written as a loop; <u, apply(a)> = <adjoint(u), a>; in complex numbers too."""
    pooling = AveragePool(size)
    rng = np.random.default_rng(rows + 10 * columns)
    images = rng.normal(size=(cases, rows * size, columns * size, channels)) * (1 + 1j)
    got = pooling.apply(images)
    assert got.shape == (cases, *pooling.out_shape(images.shape[1:]))
    for i in range(rows):
        for j in range(columns):
            square = images[:, i * size : (i + 1) * size, j * size : (j + 1) * size]
            np.testing.assert_allclose(got[:, i, j], square.mean(axis=(1, 2)), atol=1e-14)
    u = rng.normal(size=got.shape)
    np.testing.assert_allclose(np.sum(u * got), np.sum(pooling.adjoint(u) * images), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_layers_keep_the_dtype(dtype):
    """Layers compute in the dtype of their arguments."""
    layer = Convolution((4, 6, 2), 3, 3, padding=1)
    pooling = AveragePool(2)
    W, x, u = np.ones(layer.weight_shape, dtype), np.ones((2, 4, 6, 2), dtype), np.ones((2, 4, 6, 3), dtype)
    results = [layer.product(W, x), layer.adjoint_input(W, u), layer.adjoint_weight(x, u)]
    results += [pooling.apply(x), pooling.adjoint(x)]
    assert {result.dtype for result in results} == {np.dtype(dtype)}


# --- Products: R1 to R4


@FEW
@given(image_problems())
def test_value_and_gradient(problem):
    """R1: the value is that of the formulas, the gradient its complex step."""
    law(test_network.test_value_and_gradient_are_those_of_the_formulas)(problem)


@FEW
@given(image_problems(ANALYTIC))
def test_hessian_product(problem):
    """R1, R3: H v is the complex step of the gradient, and the Taylor remainder of second order."""
    law(test_network.test_hessian_product_is_the_complex_step_of_the_gradient)(problem)
    law(test_network.test_taylor_remainder_of_the_gradient_is_of_second_order)(problem)


@FEW
@given(image_problems())
def test_hessian_product_with_kinks(problem):
    """R2: H v is the central difference of the gradient, relu included."""
    law(test_network.test_hessian_product_is_the_central_difference_of_the_gradient)(problem)


@FEW
@given(image_problems())
def test_gauss_newton_product(problem):
    """R4: G v = J' H_L J v, arrow by arrow, against a dense J; symmetric, linear, as H is."""
    law(test_network.test_gauss_newton_product_is_that_of_a_dense_jacobian)(problem)
    law(test_network.test_gauss_newton_product_is_three_arrows)(problem)
    law(test_network.test_curvature_is_symmetric)(problem)
    law(test_network.test_curvature_is_linear)(problem)


@FEW
@given(image_problems(depth=2, side=4))
def test_gauss_newton_matrix(problem):
    """R4: G is positive semidefinite, and H = G at zero residual."""
    law(test_network.test_gauss_newton_matrix_is_positive_semidefinite)(problem)
    law(test_network.test_curvatures_agree_at_zero_residual)(problem)


def test_curvatures_agree_where_the_network_is_linear():
    """R4: H = G where z is linear in theta: one convolution of averages."""
    net = refhf.convnet((6, 6, 2), [pool(2), conv(2, 2)], loss="squared_error")
    rng = np.random.default_rng(0)
    theta, v = rng.normal(size=(2, net.size))
    f = refhf.supervised(net, rng.normal(size=(5, 72)), rng.normal(size=(5, 8)))
    assert relative_error(f.hessian(theta) @ v, f.gauss_newton(theta) @ v) < EXACT


@FEW
@given(image_problems(), st.integers(1, 4), st.sampled_from((1, 2**21)), st.sampled_from((100, 100**3)))
def test_chunks_tapes_and_buffers_change_nothing(problem, chunk_size, strip_bytes, small):
    """The value, gradient, products and squares are the same for every chunk, to the bit when repeated; read-only."""
    law(test_network.test_tape_is_read_only)(problem)
    law(test_network.test_nothing_between_two_products_changes_the_second)(problem)

    def results(objective):
        products = (A(problem.theta) @ problem.v for A in (objective.hessian, objective.gauss_newton))
        squares = objective.gradient_squares(problem.theta)
        return *objective.value_and_gradient(problem.theta), *products, squares

    want, size, v = results(problem.objective), sizes(problem), np.linalg.norm(problem.v)
    terms = size.value, size.gradient, size.hessian * v, size.gauss_newton * v, size.squares
    with at_a_time(strip_bytes, small), pytest.MonkeyPatch.context() as patch:
        patch.setattr("refhf.objective.linearised_chunks.TAPE_BYTES", 1000)
        options = {"l2": problem.objective.l2, "chunk_size": chunk_size}
        for got, wanted, large in zip(
            results(refhf.supervised(problem.net, problem.X, problem.y, **options)), want, terms, strict=True
        ):
            assert relative_error(got, wanted, large) < EXACT


@FEW
@given(image_problems(l2=(0.0, 0.1)))
def test_gradient_squares_are_those_of_single_cases(problem):
    """The mean of g_i * g_i, g_i the gradient of case i alone without weight decay, plus l2."""
    net, y = problem.net, problem.objective.y
    each = [
        network.loss_and_gradient(net, problem.theta, problem.X[i : i + 1], y[i : i + 1])[1] ** 2
        for i in range(len(problem.X))
    ]
    got = problem.objective.gradient_squares(problem.theta)
    np.testing.assert_allclose(got, np.mean(each, axis=0) + problem.objective.l2, rtol=1e-11, atol=1e-14)


def test_a_curvature_operator_keeps_what_is_reckoned():
    """A kept linearisation takes at most tape_numbers numbers a case, and more than half of that: no strips."""
    rng = np.random.default_rng(0)
    net = refhf.convnet((12, 12, 4), [conv(8, 5, padding=2), pool(2), conv(8, 3), 5])
    theta, X, y = net.init(rng=0), rng.normal(size=(200, 576)), rng.integers(5, size=200)
    objective = refhf.supervised(net, X, y, chunk_size=200)
    objective.hessian(theta)
    tracemalloc.start()
    H = objective.hessian(theta)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reckoned = 8 * (200 * net.tape_numbers + net.size)
    assert 0.5 * reckoned < kept < 1.05 * reckoned
    assert H.shape == (net.size, net.size)


def test_float32_products():
    """In float32 gradient and products are float32, and float64's to its rounding."""
    rng = np.random.default_rng(1)
    net = refhf.convnet((12, 12, 2), [conv(4, 3, padding=1), pool(2), conv(5, 3, stride=2, padding=1), 4])
    X, y, theta, v = rng.normal(size=(20, 288)), rng.integers(4, size=20), net.init(rng=0), rng.normal(size=net.size)
    wide = refhf.supervised(net, X, y)
    narrow = refhf.supervised(net, X.astype(np.float32), y)
    theta, v = theta.astype(np.float32), v.astype(np.float32)
    for of in (
        lambda f: f.value_and_gradient(theta)[1],
        lambda f: f.hessian(theta) @ v,
        lambda f: f.gauss_newton(theta) @ v,
    ):
        assert of(narrow).dtype == np.float32
        assert relative_error(of(narrow), of(wide)) < 1e-5


# --- Architecture, layout, what is refused


def test_a_convolution_is_the_dense_layer_of_its_matrix():
    """A convolutional network has the value, H v and G v of the mlp whose W_1 is the convolution's matrix."""
    rng = np.random.default_rng(3)
    net = refhf.convnet((5, 4, 2), [conv(3, 3, stride=2, padding=1), 4], loss="squared_error")
    dense = refhf.mlp([40, math.prod(net.layers[0].out_shape((5, 4, 2))), 4], loss="squared_error")
    layer, X, y = net.layers[0], rng.normal(size=(6, 40)), rng.normal(size=(6, 4))

    def widened(theta):
        (W, b), *rest = net.unpack(theta)
        matrix = layer.product(W, np.eye(40).reshape(40, 5, 4, 2)).reshape(40, -1)
        biases = np.tile(b, matrix.shape[1] // b.size)
        return np.concatenate([matrix.ravel(), biases, *(x.ravel() for p in rest for x in p)])

    theta, v, w = rng.normal(size=(3, net.size))
    f, g = refhf.supervised(net, X, y), refhf.supervised(dense, X, y)
    assert f.value(theta) == pytest.approx(g.value(widened(theta)), rel=EXACT)
    for A, B in ((f.hessian, g.hessian), (f.gauss_newton, g.gauss_newton)):
        want = widened(w) @ (B(widened(theta)) @ widened(v))
        assert w @ (A(theta) @ v) == pytest.approx(want, rel=EXACT)


def test_layout_of_theta_and_of_images():
    """theta holds W (k, k, C_in, C_out), b (C_out,), in C order; images are rows, channels last."""
    net = refhf.convnet((2, 3, 2), [conv(1, 2), 2])
    (W, b), (units, _) = net.unpack(np.arange(net.size))
    assert (W.shape, b.tolist(), units.shape) == ((2, 2, 2, 1), [8], (2, 2))
    x = np.arange(12.0)  # (row i, column j, channel c) at 6 i + 2 j + c
    s = net.layers[0].product((np.arange(8) == 3).reshape(W.shape) * 1.0, x.reshape(1, 2, 3, 2))  # W[0, 1, 1]
    np.testing.assert_array_equal(s.ravel(), [3, 5])


def test_init_of_a_convolution():
    """Weights have variance 2/(k^2 C_in) before a relu, 2/(k^2 (C_in + C_out)) before a tanh; biases are zero."""
    for name, variance in (("relu", 2 / (25 * 40)), ("tanh", 2 / (25 * 100))):
        net = refhf.convnet((9, 9, 40), [pool(3), conv(60, 5, padding=4), 2], nonlinearity=name)
        W, b = net.unpack(net.init(rng=0))[0]
        assert not b.any()
        assert W.var() == pytest.approx(variance, rel=0.03)


def test_convnet_without_images_inside_is_an_mlp():
    """convnet((h, w, c), [n, m]) is mlp([h w c, n, m]), and pool(1) is nothing."""
    assert refhf.convnet((2, 3, 1), [4, 5]).chain.blocks[1:] == refhf.mlp([6, 4, 5]).chain.blocks
    X = np.random.default_rng(0).normal(size=(3, 6))
    net, pooled = (refhf.convnet((2, 3, 1), [*first, conv(2, 2), 2]) for first in ((), (pool(1),)))
    np.testing.assert_array_equal(net.predict(net.init(rng=0), X), pooled.predict(net.init(rng=0), X))


def test_two_pools_in_a_row_are_one():
    """pool(2), pool(3) gives the answers and products of pool(6), before a convolution and before units."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 12 * 12 * 2)), rng.integers(3, size=5)
    for rest in ([conv(2, 2), 3], [3]):
        nets = [refhf.convnet((12, 12, 2), [conv(2, 1), *pools, *rest]) for pools in ([pool(2), pool(3)], [pool(6)])]
        theta, v = rng.normal(size=(2, nets[0].size))
        f, g = (refhf.supervised(net, X, y) for net in nets)
        assert f.value(theta) == pytest.approx(g.value(theta), rel=EXACT)
        assert relative_error(f.hessian(theta) @ v, g.hessian(theta) @ v) < EXACT


@pytest.mark.parametrize("ranks", [1, 2])
def test_ranks(ranks):
    """Cases may be shared among ranks as with any network; columns may not."""
    rng, net = np.random.default_rng(0), refhf.convnet((4, 4, 1), [conv(2, 3), 3])
    X, y, theta = rng.normal(size=(6, 16)), rng.integers(3, size=6), net.init(rng=0)
    want = refhf.supervised(net, X, y).hessian(theta) @ theta

    def product(comm):
        rows = slice(comm.rank * 6 // ranks, (comm.rank + 1) * 6 // ranks)
        return refhf.supervised(net, X[rows], y[rows], comm=comm).hessian(theta) @ theta

    for got in run(ranks, product):
        assert relative_error(got, want) < EXACT
    with pytest.raises(ValueError, match="objective: expected a fully connected network .*; got a convolutional one"):
        run(ranks, lambda comm: model_parallel(refhf.supervised(net, X, y), comm))


NET = refhf.convnet((28, 28, 3), [pool(2), conv(2, 5), 3])
REFUSED = {
    "a kernel larger than the image": (
        lambda: refhf.convnet((28, 28, 1), [conv(8, 5), pool(4), conv(16, 7), 10]),
        "stages[2]: expected a kernel of at most 6, the image and its padding; got 7; sizes: 28 x 28 x 1 -> "
        "conv(8, 5, stride=1, padding=0): 24 x 24 x 8 -> pool(4): 6 x 6 x 8 -> conv(16, 7, stride=1, padding=0): ?",
    ),
    "a pool that does not divide": (
        lambda: refhf.convnet((14, 13, 1), [pool(2), 10]),
        "stages[0]: expected a size that divides 14 and 13; got 2; sizes: 14 x 13 x 1 -> pool(2): ?",
    ),
    "a stride past pixels": (
        lambda: refhf.convnet((28, 28, 1), [conv(8, 5, stride=2), 10]),
        "stages[0]: expected patches that reach the image's edge; got a stride that leaves 1 of 28 pixels; sizes: 28",
    ),
    "an image after units": (
        lambda: refhf.convnet((4, 4, 1), [5, pool(2), 2]),
        "stages[1]: expected a number of units",
    ),
    "a pool at the end": (lambda: refhf.convnet((4, 4, 1), [5, 3, pool(1)]), "stages[2]: expected a number of units"),
    "only a pool": (lambda: refhf.convnet((4, 4, 1), [pool(2)]), "stages: expected weights in the last one"),
    "no stages": (lambda: refhf.convnet((4, 4, 1), []), "stages: expected weights in the last one"),
    "one stage": (lambda: refhf.convnet((4, 4, 1), 10), "stages: expected a sequence of conv(...)"),
    "a stage of words": (
        lambda: refhf.convnet((4, 4, 1), ["10"]),
        "stages[0]: expected conv(...), pool(...) or a number",
    ),
    "no units": (lambda: refhf.convnet((4, 4, 1), [0]), "stages[0]: expected conv(...), pool(...) or a number"),
    "one class": (lambda: refhf.convnet((4, 4, 1), [conv(1, 4)]), "stages[-1]: expected two or more outputs"),
    "an unknown loss": (lambda: refhf.convnet((4, 4, 1), [3], loss="hinge"), "loss: expected one of"),
    "a flat image": (lambda: refhf.convnet((28, 28), [10]), "shape: expected (height, width, channels); got (28, 28)"),
    "no channels": (lambda: refhf.convnet((28, 28, 0), [10]), "shape[2]: expected an integer >= 1; got 0"),
    "no kernels": (lambda: conv(0, 3), "channels: expected an integer >= 1; got 0"),
    "no kernel": (lambda: conv(3, 0), "kernel: expected an integer >= 1; got 0"),
    "no stride": (lambda: conv(3, 3, stride=0), "stride: expected an integer >= 1; got 0"),
    "negative padding": (
        lambda: conv(3, 3, padding=-1),
        "padding: expected an integer from 0 to kernel - 1 = 2; got -1",
    ),
    "padding past the kernel": (lambda: conv(3, 2, padding=2), "padding: expected an integer from 0 to kernel - 1 = 1"),
    "padding by a time": (
        lambda: conv(3, 3, padding=np.timedelta64(1)),
        "padding: expected an integer from 0 to kernel - 1 = 2",
    ),
    "units of no time": (
        lambda: refhf.convnet((4, 4, 1), [np.timedelta64("NaT"), 2]),
        "stages[0]: expected conv(...), pool(...) or a number",
    ),
    "half a pool": (lambda: pool(0.5), "size: expected an integer >= 1; got 0.5"),
    "images of other channels": (
        lambda: refhf.supervised(NET, np.zeros((4, 784)), np.zeros(4, int)),
        "X (rows of images (28, 28, 3)): expected an array of shape (any, 2352) or (any, 28, 28, 3); "
        "got shape (4, 784)",
    ),
    "images with their channels first": (
        lambda: refhf.supervised(NET, np.zeros((4, 3, 28, 28)), np.zeros(4, int)),
        "X (rows of images (28, 28, 3)): expected an array of shape (any, 2352) or (any, 28, 28, 3); "
        "got shape (4, 3, 28, 28)",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    """A ValueError names the argument, what was expected and what came; where images do not fit, the sizes."""
    call, message = REFUSED[what]
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(message)


@Integral.register
class Other:
    """An integer that is no int, as those of computer algebra are."""

    def __init__(self, n):
        self.n = n

    def __int__(self):
        return self.n

    def __le__(self, other):
        return self.n <= other

    def __lt__(self, other):
        return self.n < other

    def __ge__(self, other):
        return self.n >= other

    def __gt__(self, other):
        return self.n > other


def test_integers_of_other_libraries():
    """Padding and units take the integers that channels, kernel and stride take."""
    one, three = Other(1), Other(3)
    assert conv(three, three, stride=one, padding=one) == conv(3, 3, stride=1, padding=1)
    assert refhf.convnet((4, 4, 1), [three, three]).size == refhf.convnet((4, 4, 1), [3, 3]).size
