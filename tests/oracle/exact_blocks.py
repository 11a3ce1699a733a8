"""Networks of blocks from their formulas, in 100 digits; every derivative is a central difference.

A block takes the activations of all cases, each a flat list in C order, their shape, and a function that takes its next
weights from theta. No rule of differentiation is used; a shifted parameter only changes what follows its block, so what
comes before it is computed once.
"""

from decimal import Decimal
from typing import NamedTuple

from oracle.exact_networks import FORMULAS, STEP, case_loss, conv2d, loss_hessian_product, numbers, pool2d, shifted
from oracle.exact_networks import dense as row_times_matrix

EPSILON = Decimal("1e-5")


def dense(A, shape, take, n, *no_bias):
    n, m = int(n), shape[-1]
    weights = take(m * n) + ([Decimal(0)] * n if no_bias else take(n))
    rows = [[a[i : i + m] for i in range(0, len(a), m)] for a in A]
    return [[s for x in case for s in row_times_matrix(x, weights, m, n)] for case in rows], (*shape[:-1], n)


def tied(A, shape, take, word, n):
    """s_i = sum_c x_c W_ic, W the first weights of another word."""
    word, n, m = int(word), int(n), shape[-1]
    W = take.again(word, n * m)

    def of_case(a):
        rows = [a[i : i + m] for i in range(0, len(a), m)]
        return [sum(x[c] * W[i * m + c] for c in range(m)) for x in rows for i in range(n)]

    return [of_case(a) for a in A], (*shape[:-1], n)


def shared(A, shape, take, word, n):
    """s_i = sum_c x_c W_ci of the same."""
    word, n, m = int(word), int(n), shape[-1]
    W = take.again(word, n * m)

    def of_case(a):
        rows = [a[i : i + m] for i in range(0, len(a), m)]
        return [sum(x[c] * W[c * n + i] for c in range(m)) for x in rows for i in range(n)]

    return [of_case(a) for a in A], (*shape[:-1], n)


def conv(A, shape, take, channels, kernel, stride, padding, *no_bias):
    channels, kernel, stride, padding = (int(word) for word in (channels, kernel, stride, padding))
    weights = take(kernel**2 * shape[2] * channels) + ([Decimal(0)] * channels if no_bias else take(channels))
    found = [conv2d(a, weights, shape, channels, kernel, stride, padding) for a in A]
    return [s for s, _ in found], found[0][1]


def pool(A, shape, take, size):
    found = [pool2d(a, shape, int(size)) for a in A]
    return [s for s, _ in found], found[0][1]


def max_pool(A, shape, take, size):
    size, (height, width, channels) = int(size), shape

    def largest(a, row, column, c):
        inside = range(size)
        return max(a[((row * size + i) * width + column * size + j) * channels + c] for i in inside for j in inside)

    out = height // size, width // size, channels
    places = [(row, column, c) for row in range(out[0]) for column in range(out[1]) for c in range(channels)]
    return [[largest(a, *place) for place in places] for a in A], out


def global_average_pool(A, shape, take):
    channels = shape[-1]
    return [[sum(a[c::channels]) / len(a[c::channels]) for c in range(channels)] for a in A], (channels,)


def flatten(A, shape, take):
    return A, (len(A[0]),)


def subsample(A, shape, take, channels, stride):
    """Every stride-th pixel of rows and columns, and zeros as further channels."""
    channels, stride, (height, width, old) = int(channels), int(stride), shape
    rows, columns = range(0, height, stride), range(0, width, stride)
    padding = [Decimal(0)] * (channels - old)
    kept = [[t for i in rows for j in columns for t in a[(i * width + j) * old :][:old] + padding] for a in A]
    return kept, (len(rows), len(columns), channels)


def standardised(x):
    """x less its mean, over the root of its mean square and epsilon."""
    mean = sum(x) / len(x)
    centred = [t - mean for t in x]
    root = (sum(t * t for t in centred) / len(x) + EPSILON).sqrt()
    return [t / root for t in centred]


def layer_norm(A, shape, take):
    n = shape[-1]
    gamma, beta = take(n), take(n)

    def of_case(a):
        rows = [standardised(a[i : i + n]) for i in range(0, len(a), n)]
        return [g * t + b for row in rows for g, t, b in zip(gamma, row, beta, strict=True)]

    return [of_case(a) for a in A], shape


def batch_norm(A, shape, take, group):
    n, out = shape[-1], [list(a) for a in A]
    gamma, beta = take(n), take(n)
    for start in range(0, len(A), int(group)):
        cases = range(start, min(start + int(group), len(A)))
        for c in range(n):
            places = [(case, k) for case in cases for k in range(c, len(A[0]), n)]
            found = standardised([A[case][k] for case, k in places])
            for (case, k), t in zip(places, found, strict=True):
                out[case][k] = gamma[c] * t + beta[c]
    return out, shape


def attention(A, shape, take, heads, kind):
    positions, heads, d = shape[0], int(heads), shape[1] // 3
    size = d // heads

    def of_case(a):
        out = []
        for t in range(positions):
            seen = range(t + 1) if kind == "causal" else range(positions)
            for h in range(heads):
                query, *keys = (
                    a[i * 3 * d + part * d + h * size :][:size] for i, part in [(t, 0), *((j, 1) for j in seen)]
                )
                scores = [sum(q * k for q, k in zip(query, key, strict=True)) / Decimal(size).sqrt() for key in keys]
                e = [score.exp() for score in scores]
                for k in range(size):
                    values = [a[j * 3 * d + 2 * d + h * size + k] for j in seen]
                    out.append(sum(p * x for p, x in zip(e, values, strict=True)) / sum(e))
        return out

    return [of_case(a) for a in A], (positions, d)


def embedding(A, shape, take, vocabulary, width):
    vocabulary, width, positions = int(vocabulary), int(width), shape[0]
    E, T = take(vocabulary * width), take(positions * width)
    tokens = [[int(token) for token in a] for a in A]
    return [
        [E[k * width + c] + T[t * width + c] for t, k in enumerate(case) for c in range(width)] for case in tokens
    ], (positions, width)


BLOCKS = {
    "dense": dense,
    "tied": tied,
    "shared": shared,
    "conv": conv,
    "pool": pool,
    "max-pool": max_pool,
    "global-average-pool": global_average_pool,
    "flatten": flatten,
    "subsample": subsample,
    "layer-norm": layer_norm,
    "batch-norm": batch_norm,
    "attention": attention,
    "embedding": embedding,
}


class Word(NamedTuple):
    """A block that is no residual one: its number in the request's list, and its text."""

    number: int
    text: str


def parsed(words):
    """A list of numbered words, used up to the next 'shortcut' or 'end': a residual block becomes a pair of lists."""
    found = []
    while words and words[0].text not in ("shortcut", "end"):
        word = words.pop(0)
        if word.text == "residual":
            main, _ = parsed(words), words.pop(0)
            word, _ = [main, parsed(words)], words.pop(0)
        found.append(word)
    return found


def applied(block, A, shape, take):
    """The activations after a block, and their shape."""
    if isinstance(block, list):
        sides = []
        for chain in block:
            B, inner = A, shape
            for one in chain:
                B, inner = applied(one, B, inner, take)
            sides.append(B)
        return [[s + t for s, t in zip(a, b, strict=True)] for a, b in zip(*sides, strict=True)], inner
    kind, *words = block.text.split()
    take.starts[block.number] = take.at
    if kind in FORMULAS:
        return [[FORMULAS[kind](s) for s in a] for a in A], shape
    return BLOCKS[kind](A, shape, take, *words)


class Weights:
    """theta, handed out from a place on; `starts` has the place of each word that was met before."""

    def __init__(self, theta, at, starts):
        self.theta, self.at, self.starts = theta, at, starts

    def __call__(self, n):
        self.at += n
        return self.theta[self.at - n : self.at]

    def again(self, word, n):
        """The first n numbers of a word met before."""
        return self.theta[self.starts[word] :][:n]


class Point:
    """A network at a theta: z of all cases, also with one parameter shifted."""

    def __init__(self, request, theta):
        self.theta, self.blocks = theta, parsed([Word(*item) for item in enumerate(request["blocks"])])
        X, count = numbers(request["X"]), request["cases"]
        n, take = len(X) // count, Weights(theta, 0, {})
        A, shape = [X[i : i + n] for i in range(0, len(X), n)], tuple(request["shape"])
        self.before = []
        for block in self.blocks:
            self.before.append((take.at, A, shape))
            A, shape = applied(block, A, shape, take)
        self.z, self.out_shape, self.starts = A, shape, take.starts

    def shifted(self, i, step):
        """z with theta_i + step."""
        theta = [*self.theta]
        theta[i] += step
        first = max(k for k, (at, *_) in enumerate(self.before) if at <= i)
        at, A, shape = self.before[first]
        take = Weights(theta, at, dict(self.starts))
        for block in self.blocks[first:]:
            A, shape = applied(block, A, shape, take)
        return A


class BlockProblem:
    """The objective of a request with blocks."""

    def __init__(self, request):
        self.request, self.l2 = request, Decimal(request["l2"])
        self.theta, self.v = numbers(request["theta"]), numbers(request.get("v", []))
        self.here = Point(request, self.theta)
        y, self.outputs = numbers(request["y"]), self.here.out_shape[-1]
        self.y = [y[i : i + self.outputs] for i in range(0, len(y), self.outputs)]

    def rows(self, z):
        """The outputs of each case and position."""
        return [a[i : i + self.outputs] for a in z for i in range(0, len(a), self.outputs)]

    def loss(self, z):
        """The mean over cases and positions."""
        pairs = zip(self.rows(z), self.y, strict=True)
        return sum(case_loss(self.request["loss"], row, y) for row, y in pairs) / len(self.y)

    def gradient_at(self, point, i):
        return (self.loss(point.shifted(i, STEP)) - self.loss(point.shifted(i, -STEP))) / (2 * STEP)

    def ends(self):
        """The points on both sides along v."""
        return [Point(self.request, shifted(self.theta, self.v, step)) for step in (STEP, -STEP)]


def gradient(request):
    """Value and gradient."""
    problem = BlockProblem(request)
    theta, l2 = problem.theta, problem.l2
    value = problem.loss(problem.here.z) + l2 / 2 * sum(t * t for t in theta)
    return {"value": value, "gradient": [problem.gradient_at(problem.here, i) + l2 * t for i, t in enumerate(theta)]}


def hessian_product(request):
    """H v, the difference of the gradients on both sides along v."""
    problem = BlockProblem(request)
    plus, minus = problem.ends()
    products = []
    for i, t in enumerate(problem.v):
        difference = problem.gradient_at(plus, i) - problem.gradient_at(minus, i)
        products.append(difference / (2 * STEP) + problem.l2 * t)
    return {"product": products}


def gauss_newton_product(request):
    """J' H_L J v: J v and u'J by differences of the outputs, H_L by second differences of the loss in z."""
    problem = BlockProblem(request)
    plus, minus = (problem.rows(point.z) for point in problem.ends())
    us = []
    for z, y, a, b in zip(problem.rows(problem.here.z), problem.y, plus, minus, strict=True):
        Rz = [(s - t) / (2 * STEP) for s, t in zip(a, b, strict=True)]
        us += [u / len(problem.y) for u in loss_hessian_product(request["loss"], z, y, Rz)]

    def projected(z):
        return sum(u * s for u, s in zip(us, (s for a in z for s in a), strict=True))

    sides = [[projected(problem.here.shifted(i, step)) for step in (STEP, -STEP)] for i in range(len(problem.v))]
    return {"product": [(a - b) / (2 * STEP) + problem.l2 * t for (a, b), t in zip(sides, problem.v, strict=True)]}
