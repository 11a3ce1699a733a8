"""Network losses from their formulas, case by case, in 100 digits; every derivative is a central difference.

A request's numbers become Decimals exactly. Central differences with a step of 1e-25 are right to about 1e-49 where
the loss is smooth, and no rule of differentiation is used: not backpropagation, not the R-operator.
"""

from decimal import Decimal, getcontext, localcontext
from functools import cache

getcontext().prec = 100
STEP = Decimal(10) ** -25
DEEP = 1000  # digits, where exp(-800) is subtracted from 1


def _tanh(s):
    e = (2 * s).exp()
    return (e - 1) / (e + 1)


def _erf(x):
    """2 / sqrt(pi) e^-x^2 (x + 2 x^3 / 3 + 4 x^5 / 15 + ...)."""
    digits, term, total, n = getcontext().prec, x, x, 0
    while abs(term) > abs(total) * Decimal(10) ** -digits:
        n += 1
        term *= 2 * x * x / (2 * n + 1)
        total += term
    return _root(4 / _pi(digits), digits) * (-x * x).exp() * total


@cache
def _pi(digits):
    """Machin's formula: 16 arctan(1/5) - 4 arctan(1/239)."""
    with localcontext() as context:
        context.prec = digits + 10
        return 16 * _arctan(Decimal(1) / 5) - 4 * _arctan(Decimal(1) / 239)


@cache
def _root(x, digits):
    return x.sqrt()


def _arctan(x):
    power = total = x
    n = 1
    while abs(power) > Decimal(10) ** -getcontext().prec:
        n, power = n + 2, -power * x * x
        total += power / n
    return total


def _gelu_tanh(s):
    digits = getcontext().prec
    return s * (1 + _tanh(_root(2 / _pi(digits), digits) * (s + Decimal("0.044715") * s**3))) / 2


FORMULAS = {
    "tanh": _tanh,
    "logistic": lambda s: 1 / (1 + (-s).exp()),
    "softplus": lambda s: (1 + s.exp()).ln(),
    "relu": lambda s: s if s > 0 else 0 * s,
    "identity": lambda s: s,
    "gelu": lambda s: s * (1 + _erf(s / _root(Decimal(2), getcontext().prec))) / 2,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda s: s / (1 + (-s).exp()),
}


def numbers(values):
    """Doubles as Decimals, exactly."""
    return [Decimal(x) for x in values]


def case_loss(name, z, y):
    """The loss of one case at its pre-activation output z, from the textbook formula."""
    if name == "squared_error":
        return sum((a - b) ** 2 for a, b in zip(z, y, strict=True)) / 2
    if name == "softmax_cross_entropy":
        e = [a.exp() for a in z]
        return -sum(b * (a / sum(e)).ln() for a, b in zip(e, y, strict=True) if b)
    p = [1 / (1 + (-a).exp()) for a in z]
    return -sum((b * a.ln() if b else 0) + ((1 - b) * (1 - a).ln() if b != 1 else 0) for a, b in zip(p, y, strict=True))


def dense(a, theta, m, n):
    """s = W'a + b of one case: theta begins with W (m, n) in C order and b (n,)."""
    return [sum((a[i] * theta[i * n + j] for i in range(m)), theta[m * n + j]) for j in range(n)]


def conv2d(a, theta, shape, channels, kernel, stride, padding):
    """Cross-correlation of one image; theta begins with W (kernel, kernel, c_in, channels) in C order and b."""
    height, width, c_in = shape
    out = [(size + 2 * padding - kernel) // stride + 1 for size in (height, width)]
    bias, s = kernel * kernel * c_in * channels, []
    for row in range(out[0]):
        for column in range(out[1]):
            for o in range(channels):
                total = theta[bias + o]
                for i in range(kernel):
                    for j in range(kernel):
                        y, x = row * stride + i - padding, column * stride + j - padding
                        if 0 <= y < height and 0 <= x < width:
                            for c in range(c_in):
                                weight = theta[((i * kernel + j) * c_in + c) * channels + o]
                                total += weight * a[(y * width + x) * c_in + c]
                s.append(total)
    return s, (*out, channels)


def pool2d(a, shape, size):
    """Means over adjacent size x size squares."""
    height, width, channels = shape
    out = height // size, width // size
    means = [
        sum(a[((row * size + i) * width + column * size + j) * channels + c] for i in range(size) for j in range(size))
        / size**2
        for row in range(out[0])
        for column in range(out[1])
        for c in range(channels)
    ]
    return means, (*out, channels)


def outputs(request, theta, x):
    """z of one case x. The nonlinearity follows every stage with weights except the last."""
    f, a, shape = FORMULAS[request["nonlinearity"]], x, request.get("shape")
    stages = request["stages"] if "stages" in request else [f"dense {n}" for n in request["sizes"][1:]]
    for l, stage in enumerate(stages):
        kind, *given = stage.split()
        given = [int(word) for word in given]
        if kind == "pool":
            a, shape = pool2d(a, shape, *given)
            continue
        if kind == "conv":
            weights = given[1] ** 2 * shape[2] * given[0] + given[0]
            s, shape = conv2d(a, theta, shape, *given)
        else:
            weights = (len(a) + 1) * given[0]
            s = dense(a, theta, len(a), *given)
        theta, a = theta[weights:], s if l == len(stages) - 1 else [f(t) for t in s]
    return a


def cases(request):
    """The pairs (x, y)."""
    X, y, count = numbers(request["X"]), numbers(request["y"]), request["cases"]
    n, m = len(X) // count, len(y) // count
    return [(X[i * n : (i + 1) * n], y[i * m : (i + 1) * m]) for i in range(count)]


class Problem:
    """The objective of a request."""

    def __init__(self, request, rows=None):
        pairs = cases(request)
        self.request, self.l2 = request, Decimal(request.get("l2", 0.0))
        self.pairs = pairs if rows is None else [pairs[i] for i in rows]

    def value(self, theta):
        """The mean loss and l2/2 ||theta||^2."""
        losses = (case_loss(self.request["loss"], outputs(self.request, theta, x), y) for x, y in self.pairs)
        return sum(losses) / len(self.pairs) + self.l2 / 2 * sum(t * t for t in theta)

    def gradient(self, theta):
        """The gradient, one central difference a component."""
        return [along(self.value, theta, unit(i, len(theta))) for i in range(len(theta))]

    def hessian_product(self, theta, v):
        """H v, one mixed second difference of the value a component."""
        return [mixed(self.value, theta, unit(i, len(theta)), v) for i in range(len(theta))]

    def gauss_newton_product(self, theta, v):
        """J' H_L J v: J v and u'J by differences of the outputs, H_L by second differences of the loss in z."""
        total = [self.l2 * t for t in v]
        for x, y in self.pairs:
            z = outputs(self.request, theta, x)
            ends = [outputs(self.request, shifted(theta, v, step), x) for step in (STEP, -STEP)]
            Rz = [(a - b) / (2 * STEP) for a, b in zip(*ends, strict=True)]
            u = loss_hessian_product(self.request["loss"], z, y, Rz)

            def projected(theta, x=x, u=u):
                return sum(a * b for a, b in zip(u, outputs(self.request, theta, x), strict=True))

            for i in range(len(theta)):
                total[i] += along(projected, theta, unit(i, len(theta))) / len(self.pairs)
        return total

    def matrix(self, product, theta):
        """The dense matrix of a product, by columns."""
        return [product(theta, unit(i, len(theta))) for i in range(len(theta))]


def loss_hessian_product(loss, z, y, Rz):
    """H_L Rz of one case."""
    return [mixed(lambda z: case_loss(loss, z, y), z, unit(i, len(z)), Rz) for i in range(len(z))]


def unit(i, n):
    """e_i."""
    return [Decimal(int(i == j)) for j in range(n)]


def shifted(x, v, step):
    """x + step v."""
    return [a + step * b if b else a for a, b in zip(x, v, strict=True)]


def along(f, x, v):
    """The derivative of f at x along v."""
    return (f(shifted(x, v, STEP)) - f(shifted(x, v, -STEP))) / (2 * STEP)


def mixed(f, x, u, v):
    """The second derivative of f at x along u and v."""
    plus, minus = shifted(x, u, STEP), shifted(x, u, -STEP)
    return (along(f, plus, v) - along(f, minus, v)) / (2 * STEP)


def nonlinearity(request):
    """f, f' and f'' at each s, the last two by central differences in 1,000 digits."""
    f = FORMULAS[request["nonlinearity"]]
    reply = {"f": [], "d": [], "dd": []}
    if request["nonlinearity"] == "relu":  # not differentiable at 0: f'(0) = f''(0) = 0 is a convention
        s = numbers(request["s"])
        return {"f": [f(t) for t in s], "d": [int(t > 0) for t in s], "dd": [0 for _ in s]}
    for s in numbers(request["s"]):
        with localcontext() as context:
            context.prec = DEEP
            reply["f"].append(f(s))
            reply["d"].append((f(s + STEP) - f(s - STEP)) / (2 * STEP))
            reply["dd"].append((f(s + STEP) - 2 * f(s) + f(s - STEP)) / STEP**2)
    return reply


def loss(request):
    """The mean loss over the cases, its gradient with respect to z, and the product of its Hessian with Rz."""
    z, Rz, y = (numbers(request[name]) for name in ("z", "Rz", "y"))
    n, name = len(z) // request["cases"], request["loss"]
    reply = {"value": Decimal(0), "gradient": [], "hessian_product": []}
    with localcontext() as context:
        context.prec = DEEP
        for i in range(0, len(z), n):
            z_i, y_i = z[i : i + n], y[i : i + n]
            reply["value"] += case_loss(name, z_i, y_i)
            reply["gradient"] += [along(lambda z, y=y_i: case_loss(name, z, y), z_i, unit(j, n)) for j in range(n)]
            reply["hessian_product"] += loss_hessian_product(name, z_i, y_i, Rz[i : i + n])
        return {
            key: [x / request["cases"] for x in value] if isinstance(value, list) else value / request["cases"]
            for key, value in reply.items()
        }


def gradient(request):
    """Value and gradient."""
    theta, problem = numbers(request["theta"]), Problem(request)
    return {"value": problem.value(theta), "gradient": problem.gradient(theta)}


def hessian_product(request):
    """H v."""
    return {"product": Problem(request).hessian_product(numbers(request["theta"]), numbers(request["v"]))}


def gauss_newton_product(request):
    """G v."""
    return {"product": Problem(request).gauss_newton_product(numbers(request["theta"]), numbers(request["v"]))}
