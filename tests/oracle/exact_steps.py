"""Damping, line search, one Hessian-free step and nonlinear CG, written from the text of the papers."""

import math
from decimal import Decimal
from fractions import Fraction

from oracle.exact_networks import Problem, numbers
from oracle.exact_solvers import dot, fractions, plus, rows, times


def exact(x):
    """A double as a Fraction; NaN and infinities as floats."""
    x = float(x)
    return Fraction(x) if math.isfinite(x) else x


def next_damping(damping, rho):
    """Martens 2010, 4.1."""
    return damping * 3 / 2 if rho < 0.25 else damping * 2 / 3 if rho > 0.75 else damping


def ratio(change, predicted):
    """The reduction ratio; -inf if f or the model does not decrease."""
    return change / predicted if change < 0 and predicted < 0 else -math.inf


def damping(request):
    """The predicted change, the reduction ratio, and the next lambda."""
    change, slope, curvature, square, lam = (
        exact(request[name]) for name in ("change", "slope", "curvature", "squared_norm", "damping")
    )
    predicted = slope + (curvature - (0 if request["damped_ratio"] else lam * square)) / 2
    rho = ratio(change, predicted)
    following = min(max(next_damping(lam, rho), Fraction(1e-10)), Fraction(1e10))
    return {"predicted": predicted, "rho": rho, "damping": following}


def search(along, f, slope, tries=60):
    """The first of 1, 0.8, 0.64, ... with enough decrease, and f there; (0, f) where there is none."""
    alpha = slope / slope
    for _ in range(tries):
        value = along(alpha)
        if value is not None and value <= f + alpha * slope / 100:
            return alpha, value
        alpha = alpha * 4 / 5
    return 0 * alpha, f


def line_search(request):
    """Along the polynomial c_0 + c_1 alpha + ..., which is NaN from `undefined_from` on."""
    coefficients, slope = fractions(request["coefficients"]), exact(request["slope"])
    end = exact(request.get("undefined_from", math.inf))

    def along(alpha):
        return None if alpha >= end else sum(c * alpha**i for i, c in enumerate(coefficients))

    alpha, value = search(along, coefficients[0], slope)
    return {"step_length": alpha, "value": value}


def hf_step(request):
    """He et al. 2016, Algorithm 2, with dense matrices of finite differences."""
    theta, lam = numbers(request["theta"]), Decimal(request["damping"])
    n, problem = len(theta), Problem(request)
    mini = Problem(request, request.get("curvature_cases"))
    f, g = problem.value(theta), problem.gradient(theta)
    gauss_newton = request["method"] == "gn-cg" or (
        request["method"] == "hybrid-cg" and request.get("after_negative_curvature", False)
    )
    A = mini.matrix(mini.gauss_newton_product if gauss_newton else mini.hessian_product, theta)
    B = [[a + lam * (i == j) for j, a in enumerate(row)] for i, row in enumerate(A)]
    b = [-t for t in g]
    x = [Decimal(request.get("warm_start", 0.0)) * t for t in numbers(request.get("delta", [0.0] * n))]
    run = _bicgstab_run if request["method"] == "hessian-bicgstab" else _cg_run
    candidates, iterations, negative = run(B, b, x, request["iterations"])
    candidates = [d if dot(g, d) <= 0 else [-t for t in d] for d in candidates]
    back = request.get("backtracking", False) or request["method"] == "hessian-bicgstab"
    values = [mini.value(plus(theta, 1, d)) for d in candidates]
    at = len(candidates) - 1
    while back and at > 0 and values[at - 1] < values[at]:
        at -= 1
    d = candidates[at]
    curvature, square = dot(d, times(B, d)), dot(d, d)
    predicted = dot(g, d) + (curvature - (0 if request.get("damped_ratio", False) else lam * square)) / 2
    rho = ratio(values[at] - mini.value(theta), predicted)
    alpha, _ = search(lambda alpha: problem.value(plus(theta, alpha, d)), f, dot(g, d))
    return {
        "theta": plus(theta, alpha, d),
        "damping": next_damping(lam, rho),
        "rho": rho,
        "step_length": alpha,
        "solver_iterations": iterations,
        "negative_curvature": negative,
    }


def _cg_run(B, b, x, iterations):
    """Candidates: the iterates ceil(1.3^j) and the last; -g at negative curvature in the first iteration."""
    r = plus(b, -1, times(B, x))
    p, trace, negative = r, [x], False
    for _ in range(iterations):
        b_p = times(B, p)
        if dot(p, b_p) <= 0:
            negative = True
            break
        alpha = dot(r, r) / dot(p, b_p)
        x, following = plus(x, alpha, p), plus(r, -alpha, b_p)
        p, r = plus(following, dot(following, following) / dot(r, r), p), following
        trace.append(x)
    last = len(trace) - 1
    marks = sorted({math.ceil(Fraction(13, 10) ** j) for j in range(40)} & set(range(1, last)) | {last})
    return ([b] if last == 0 else [trace[k] for k in marks]), last, negative


def _bicgstab_run(B, b, x, iterations):
    """Every iterate is a candidate."""
    r = shadow = p = plus(b, -1, times(B, x))
    trace = []
    for _ in range(iterations):
        v = times(B, p)
        alpha = dot(r, shadow) / dot(v, shadow)
        s = plus(r, -alpha, v)
        t = times(B, s)
        omega = dot(t, s) / dot(t, t)
        x, following = plus(plus(x, alpha, p), omega, s), plus(s, -omega, t)
        beta = dot(following, shadow) / dot(r, shadow) * alpha / omega
        p, r = plus(following, beta, plus(p, -omega, v)), following
        trace.append(x)
    return trace, iterations, any(dot(x, times(B, x)) < 0 for x in trace)


def nlcg(request):
    """Adya et al. 2018, Algorithms 1 and 2, on f = w'Aw/2 - b'w: the points, and each step's beta."""
    b = fractions(request["b"])
    A, w, n = rows(fractions(request["A"]), len(b)), fractions(request["x0"]), len(b)
    h, scale, trace, betas = [Fraction(1)] * n, Fraction(1), [w], []
    g_old = s_old = d = w_old = delta_old = f_old = None
    for _ in range(request["steps"]):
        g = plus(times(A, w), -1, b)
        f = dot(w, plus(times(A, w), -2, b)) / 2
        if request["preconditioner"] and w_old is not None:
            h = diagonal(h, plus(w, -1, w_old), plus(g, -1, g_old))
        r = [-t for t in g]
        s = [a / c for a, c in zip(r, h, strict=True)] if request["preconditioner"] else r
        delta, beta = dot(r, s), Fraction(0)
        if d is not None:
            beta = (delta if request["beta"] == "fr" else delta - dot(r, s_old)) / delta_old
        if request["clip"]:
            beta = min(max(beta, Fraction(0)), Fraction(1))
        d = s if d is None else plus(s, beta, d)
        if request["line_search"] == "exact":
            alpha = -dot(g, d) / dot(d, times(A, d))
        else:
            if request["line_search"] == "online" and f_old is not None:
                scale = online(scale, f, f_old)
            alpha = scale * Fraction(request["learning_rate"])
        g_old, s_old, w_old, delta_old, f_old = g, s, w, delta, f
        w = plus(w, alpha, d)
        trace.append(w)
        betas.append(beta)
    return {"x": [t for w in trace for t in w], "beta": betas}


def diagonal(h, s, y):
    """Algorithm 2: H_diag + yy'/y's - H ss' H / s'Hs on the diagonal; left as it is without curvature."""
    ys, shs = dot(y, s), sum(a * b * b for a, b in zip(h, s, strict=True))
    if ys < Fraction(1e-8) or shs < Fraction(1e-8):
        return h
    return [a + v * v / ys - (a * u) ** 2 / shs for a, u, v in zip(h, s, y, strict=True)]


def online(scale, f, f_old):
    """Section 3.2.2: up by more than 2 % divides the rate by 1.025, up by less than 1 % multiplies it, to 1 at most."""
    up = (f - f_old) / abs(f_old)
    if up > Fraction(2, 100):
        return scale / Fraction(1.025)
    return min(scale * Fraction(1.025), 1) if up < Fraction(1, 100) else scale
