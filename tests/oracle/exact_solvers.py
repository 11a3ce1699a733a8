"""Linear solvers as the textbooks print them, over lists of Fractions, without rounding.

A trace is the list of iterates x_0, x_1, ... and the reason why it ends.
"""

from fractions import Fraction


def fractions(values):
    """Doubles as Fractions, exactly."""
    return [Fraction(x) for x in values]


def dot(x, y):
    """x'y."""
    return sum(a * b for a, b in zip(x, y, strict=True))


def times(A, x):
    """A x; A None is the identity."""
    return list(x) if A is None else [dot(row, x) for row in A]


def plus(x, alpha, y):
    """x + alpha y."""
    return [a + alpha * b for a, b in zip(x, y, strict=True)]


def rows(flat, n):
    """A matrix of n columns."""
    return [flat[i : i + n] for i in range(0, len(flat), n)]


def system(request):
    """A, b, x0, M of a request, in Fractions."""
    n = len(request["b"])
    A, M = rows(fractions(request["A"]), n), request.get("M")
    return A, fractions(request["b"]), fractions(request["x0"]), M and rows(fractions(M), n)


def cg(A, b, x, M, iterations):
    """Hestenes and Stiefel 1952, with a preconditioner; stops before the update if p'Ap <= 0."""
    r = plus(b, -1, times(A, x))
    z = times(M, r)
    p, trace = z, [x]
    for _ in range(iterations):
        if not any(r):
            return trace, "exact"
        rz, Ap = dot(r, z), times(A, p)
        if rz <= 0:
            return trace, "indefinite preconditioner"
        if dot(p, Ap) <= 0:
            return trace, "negative curvature"
        alpha = rz / dot(p, Ap)
        x, r = plus(x, alpha, p), plus(r, -alpha, Ap)
        z = times(M, r)
        p = plus(z, dot(r, z) / rz, p)
        trace.append(x)
    return trace, "iteration limit"


def bicgstab(A, b, x, M, shadow, iterations):
    """van der Vorst 1992; stops at the half step if the stabilising step breaks down."""
    r = plus(b, -1, times(A, x))
    shadow = r if shadow is None else shadow
    p, trace = r, [x]
    for _ in range(iterations):
        if not any(r):
            return trace, "exact"
        rho = dot(r, shadow)
        if rho == 0:
            return trace, "rho breakdown"
        y = times(M, p)
        v = times(A, y)
        if dot(v, shadow) == 0:
            return trace, "alpha breakdown"
        alpha = rho / dot(v, shadow)
        half, s = plus(x, alpha, y), plus(r, -alpha, v)
        if not any(s):
            return [*trace, half], "half step"
        z = times(M, s)
        t = times(A, z)
        if not any(t):
            return [*trace, half], "singular"
        if dot(t, s) == 0:
            return [*trace, half], "gamma breakdown"
        omega = dot(t, s) / dot(t, t)
        x, r = plus(half, omega, z), plus(s, -omega, t)
        beta = dot(r, shadow) / rho * alpha / omega
        p = plus(r, beta, plus(p, -omega, v))
        trace.append(x)
    return trace, "iteration limit"


def solve(A, b):
    """A^-1 b by Gauss-Jordan elimination with partial pivoting."""
    n, A = len(b), [[*row, t] for row, t in zip(A, b, strict=True)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(A[i][k]))
        A[k], A[pivot] = A[pivot], A[k]
        A[k] = [t / A[k][k] for t in A[k]]
        for i in range(n):
            if i != k:
                A[i] = plus(A[i], -A[i][k], A[k])
    return [row[-1] for row in A]


def inverse_hessian_product(request):
    """Arnold and Wang's H^-1 z from differences to the first replica (not to the mean) and the normal equations.

    Replicas in the span of earlier ones are skipped.
    """
    replicas, z = request["replicas"], fractions(request["z"])
    W, G = (rows(fractions(request[name]), len(z)) for name in ("W", "G"))
    used = []
    for m in range(1, replicas):
        d, e = plus(W[m], -1, W[0]), plus(G[m], -1, G[0])
        if independent([*(pair[0] for pair in used), d]):
            used.append((d, e))
    gram = [[dot(e, f) for _, f in used] for _, e in used]
    c = solve(gram, [dot(e, z) for _, e in used])
    product = z
    for (d, e), weight in zip(used, c, strict=True):
        product = plus(plus(product, weight, d), -weight, e)
    return {"product": product, "rank": len(used)}


def independent(vectors):
    """Whether the vectors are linearly independent, by elimination."""
    kept = []
    for v in vectors:
        for pivot, row in kept:
            v = plus(v, -v[pivot] / row[pivot], row)
        if not any(v):
            return False
        kept.append((next(i for i, t in enumerate(v) if t), v))
    return True


def saddle(request):
    """x^2/2 + y^4/4 - y^2/2 of He et al. 2016, section 4.2, differentiated by hand."""
    x, y = fractions(request["theta"])
    return {
        "value": x**2 / 2 + y**4 / 4 - y**2 / 2,
        "gradient": [x, y**3 - y],
        "hessian": [Fraction(1), Fraction(0), Fraction(0), 3 * y**2 - 1],
    }


def stationary_point(request):
    """The kind of a stationary point of the saddle surface: (0, 0), (0, 1), (0, -1), or none."""
    x, y = fractions(request["theta"])
    if (x, y**3 - y) != (0, 0):
        return {"kind": "not stationary"}
    return {"kind": "saddle" if y == 0 else "minimum", "eigenvalues": sorted([1, 3 * y**2 - 1])}


def cg_trace(request):
    """The reply of operation cg."""
    A, b, x0, M = system(request)
    trace, stop = cg(A, b, x0, M, request["iterations"])
    return {"x": [t for x in trace for t in x], "stop": stop}


def bicgstab_trace(request):
    """The reply of operation bicgstab."""
    A, b, x0, M = system(request)
    shadow = fractions(request["shadow"]) if "shadow" in request else None
    trace, stop = bicgstab(A, b, x0, M, shadow, request["iterations"])
    return {"x": [t for x in trace for t in x], "stop": stop}


def solve_until(request):
    """The first iterate with ||b - A x|| <= rtol ||b||, or the last; no x after a breakdown."""
    if "nan" in request["b"]:
        return {"converged": False}
    A, b, x0, M = system(request)
    most, bound = request["maxiter"], Fraction(request["rtol"]) ** 2 * dot(b, b)
    trace, stop = cg(A, b, x0, M, most) if request["solver"] == "cg" else bicgstab(A, b, x0, M, None, most)
    for x in trace:
        r = plus(b, -1, times(A, x))
        if dot(r, r) <= bound:
            return {"converged": True, "x": x}
    return {"converged": False, "x": trace[-1]} if stop == "iteration limit" else {"converged": False}
