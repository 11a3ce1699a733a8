"""refhf.krylov: conjugate gradients and Bi-CG-STAB, as generators and as drivers; promises R6 to R9 and R21."""

import itertools
import sys
from dataclasses import FrozenInstanceError
from fractions import Fraction
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from gallery import (
    ALPHA,
    BREAKDOWNS,
    CASES,
    CG,
    CONVERGED,
    DIVIDES,
    GAMMA,
    LIMIT,
    NEGATIVE,
    NOT_SYMMETRIC,
    RHO,
    STAGNATED,
    STEPS_OVER,
    Counting,
    Stop,
    conditioned,
    convection_diffusion,
    integers,
    lines,
    matrices,
    poisson1d,
    row,
    size,
    solved_by_both,
    true_residual,
    with_spectrum,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from refhf import bicgstab, bicgstab_iterates, cg, cg_iterates, mlp, supervised
from refhf.krylov.arithmetic import ROUNDING, inner, is_zero, norm
from refhf.krylov.solve import CODES, Info
from refhf.krylov.stopping import advance, iteration_limit, negative_curvature, no_progress, small_residual
from refhf.model.dense import Dense
from refhf.objective import chunk_threads

EPS = np.finfo(np.float64).eps
SOLVERS = [cg, bicgstab]
ITERATES = {cg: cg_iterates, bicgstab: bicgstab_iterates}
PRODUCTS = {cg: 1, bicgstab: 2}  # of an iteration

both = pytest.mark.parametrize("solve", SOLVERS, ids=lambda solve: solve.__name__)


# Random systems: hypothesis draws a kind, a size and a seed.


class System(NamedTuple):
    A: np.ndarray
    b: np.ndarray
    x0: np.ndarray
    M: np.ndarray


def definite(rng, n):
    return with_spectrum(rng.uniform(1, 100, n), rng)


def well_conditioned(rng, n):
    return with_spectrum(rng.uniform(1, 10, n), rng)


def ill_conditioned(rng, n):
    return with_spectrum(10.0 ** rng.uniform(-6, 0, n), rng)


def indefinite(rng, n):
    return with_spectrum(rng.uniform(-10, 10, n), rng)


def nonsymmetric(rng, n):
    return np.eye(n) + rng.standard_normal((n, n)) / (2 * np.sqrt(n))


def whole(rng, n):
    return rng.integers(-2, 3, (n, n)).astype(float)


def whole_symmetric(rng, n):
    return (A := whole(rng, n)) + A.T


def whole_skew(rng, n):
    return (A := whole(rng, n)) - A.T


def whole_semidefinite(rng, n):
    return (A := whole(rng, n)[:, : n - n // 3]) @ A.T


@st.composite
def systems(draw, *kinds, size=10):
    """A system of one of the kinds, with a random right-hand side, start, and positive definite M."""
    kind, n = draw(st.sampled_from(kinds)), draw(st.integers(1, size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    A, M = kind(rng, n), with_spectrum(rng.uniform(0.5, 2, n), rng)
    b, x0 = rng.standard_normal((2, n))
    return System(A, rng.integers(-2, 3, n).astype(float) if kind in WHOLE else b, x0, M)


WHOLE = (whole, whole_symmetric, whole_skew, whole_semidefinite)
options = st.fixed_dictionaries({"x0": st.booleans(), "M": st.booleans()})


def chosen(system, option):
    """x0 and M as keywords, each None where it was not drawn."""
    return {name: getattr(system, name) if wanted else None for name, wanted in option.items()}


# R6: the gallery.

cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
NAMED = {case.name: case for case in CASES}


@cache
def table_row(name, solve):
    return row(NAMED[name], solve)


def test_gallery_is_named_and_large():
    """Each system has a name of its own, and both solvers solve those of at least 30 matrices."""
    assert len(NAMED) == len(CASES)
    assert matrices(solved_by_both()) >= 30


@cases
def test_gallery_solutions(case):
    """The solutions that the gallery states are solutions, to the rounding of b."""
    if case.x is not None:
        eps, n = np.finfo(case.A.dtype).eps, len(case.b)
        assert true_residual(case.A, case.b, case.x) <= n * eps * size(case.A.ravel()) * size(case.x)


@both
@cases
def test_gallery_outcome(case, solve):
    """The solver reports what the gallery expects; what it calls converged is, and x is near the solution."""
    x, info, expected = (made := table_row(case.name, solve)).x, made.info, made.expected
    assert info.stop in (expected.stop, *expected.or_else)
    assert (info == 0) == (info.stop is CONVERGED)
    assert x.dtype == case.A.dtype
    assert np.isfinite(x).all()
    residual = true_residual(case.A, case.b, x)
    if info == 0:
        assert residual <= case.rtol * size(case.b) * (1 + 1e-3)
    elif info.stop is not LIMIT:
        assert residual <= true_residual(case.A, case.b, 0 * x if case.x0 is None else case.x0)
    if info == 0 and case.x is not None:
        error = size(np.asarray(x, np.longdouble) - case.x)
        assert error <= np.linalg.cond(case.A.astype(float)) * (case.rtol + len(x) * EPS) * size(case.x)


@both
@cases
def test_gallery_against_scipy(case, solve):
    """info has SciPy's sign but where the row's note says otherwise, and says what SciPy's x is worth."""
    made = table_row(case.name, solve)
    ours, theirs, note = np.sign(made.info), np.sign(made.scipys_info), made.note
    if note is None or note.info is None:
        assert ours == theirs
    else:
        assert ours != theirs == note.info
    if note and note.x:
        good = made.scipys_residual <= case.rtol * (1 + 1e-3)
        assert note.x == ("solves" if good else "falls short" if np.isfinite(made.scipys_residual) else "not finite")


@both
@cases
def test_gallery_notes(case, solve):
    """A solver that reaches the limit or stagnates has a note, and each note's statement about the system is true."""
    info, note = (made := table_row(case.name, solve)).info, made.note
    assert note or info.stop not in (LIMIT, STAGNATED)
    assert (note is NOT_SYMMETRIC) == (info.stop is LIMIT and (case.A != case.A.T).any())
    assert note is not STEPS_OVER or info.stop in (RHO, ALPHA)
    if note is DIVIDES:
        assert info.direction @ case.A @ info.direction == 0


def test_gallery_prints():
    """`python tests/gallery.py` prints a row for each system and solver."""
    head, *printed, end = lines([table_row(case.name, solve) for case in CASES for solve in SOLVERS])
    assert "residual" in head
    assert [line[:36].rstrip() for line in printed] == [case.name for case in CASES for _ in SOLVERS]
    assert f"{len(CASES)} systems" in end


def test_scipys_nonsymposdef_breaks_down_exactly():
    """SciPy's bicgstab solves it by rounding: in rational arithmetic (r_4, r_0) = 0 where r_4 is not."""
    A, b = (array.astype(int) for array in NAMED["SciPy's nonsymposdef"][1:3])
    *_, x = before = list(algorithm3(A, b, b, clearance=1e12))
    r = b - A @ x
    assert len(before) == 5
    assert r.any()
    assert r @ b == 0


# R9: breakdowns.

breakdowns = pytest.mark.parametrize(
    "case", BREAKDOWNS, ids=[f"{'cg' if case.iterates is CG else 'bicgstab'}: {case.name}" for case in BREAKDOWNS]
)


@breakdowns
def test_breakdown(case):
    """Each breakdown is reached, at the iterate computed by hand, by name, and what is kept is finite."""
    it, stop = advance(case.iterates(case.A, case.b, M=case.M), iteration_limit(50))
    assert (stop, it.k) == (case.stop, case.k)
    assert np.isfinite(it.x).all()


@breakdowns
def test_breakdown_in_the_driver(case):
    """The driver reports the breakdown, and its x is finite and no worse than the start."""
    x, info = (cg if case.iterates is CG else bicgstab)(case.A, case.b, M=case.M)
    assert info.stop is case.reported
    assert np.isfinite(x).all()
    assert true_residual(case.A, case.b, x) <= size(case.b)


@given(
    st.sampled_from([c for c in BREAKDOWNS if c.reported in (RHO, ALPHA, GAMMA, NEGATIVE)]),
    st.integers(0, 2**32 - 1),
    st.integers(-100, 100),
)
def test_breakdown_in_other_coordinates(case, seed, exponent):
    """In rotated coordinates the zero is one to rounding only: the same breakdown, at the same iterate."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal(case.A.shape))
    A, b = np.ldexp(q @ case.A @ q.T, exponent), q @ case.b
    x, info = (cg if case.iterates is CG else bicgstab)(A, b)
    assert (info.stop, info.iterations) == (case.reported, case.k)
    assert true_residual(A, b, x) <= size(b) * (1 + 1e-12)


def test_every_reason_is_reached():
    """The gallery reaches every reason that has a code of its own, and those that have none."""
    reached = {c.cg.stop for c in CASES} | {c.bicgstab.stop for c in CASES} | {c.stop for c in BREAKDOWNS}
    reached |= {c.reported for c in BREAKDOWNS}
    assert reached >= set(CODES) | {Stop.EXACT, Stop.HALF_STEP, Stop.ITERATION_LIMIT, Stop.STAGNATED}


@both
@given(data=st.data())
def test_never_worse_than_the_start(solve, data):
    """However it ends but by the iteration limit, b - A x, to its rounding, is no larger than at the start."""
    system = data.draw(systems(*WHOLE, indefinite, ill_conditioned, size=6))
    start = chosen(system, data.draw(options))
    x, info = solve(system.A, system.b, rtol=10.0 ** -data.draw(st.integers(1, 15)), **start)
    assert np.isfinite(x).all()
    if info.stop is not Stop.ITERATION_LIMIT:
        before = true_residual(system.A, system.b, np.zeros_like(x) if start["x0"] is None else start["x0"])
        rounding = len(x) * EPS * np.linalg.norm(system.A) * np.linalg.norm(x)  # x can be 1e15, A being singular
        assert true_residual(system.A, system.b, x) <= before * (1 + 1e-12) + rounding


@given(systems(indefinite), options)
def test_breakdown_returns_the_smallest_residual(system, option):
    """If negative curvature ends CG, x is the iterate, or the start, of smallest residual."""
    seen, start = [], chosen(system, option)
    x, info = cg(system.A, system.b, callback=seen.append, **start)
    if info.stop is Stop.NEGATIVE_CURVATURE:
        seen.append(np.zeros_like(x) if start["x0"] is None else start["x0"])
        smallest = min(true_residual(system.A, system.b, y) for y in seen)
        assert true_residual(system.A, system.b, x) <= smallest * (1 + 1e-6)


def test_stabilising_step_fails_after_convergence():
    """s_1 is rounding error here, and (s_1, A s_1) of it is zero to rounding: the half step has converged."""
    A, b = np.array([[1.0, 1.0], [-1.0, 0.0]]), np.array([1.0, 2.0])
    x, info = bicgstab(A, b)
    assert info.stop is Stop.CONVERGED
    np.testing.assert_allclose(x, [-2, 3], rtol=1e-14)


def test_exact_solution_is_not_negative_curvature():
    """At r = 0 the next direction is zero: p'Ap = 0, but nothing has been learnt about the curvature."""
    assert advance(cg_iterates(np.eye(3), np.ones(3), stop_at=negative_curvature))[1] is Stop.EXACT


# R7: what makes conjugate gradients what they are.


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_distinct_eigenvalues(eigenvalues, copies, seed):
    """k distinct eigenvalues take at most k + 1 iterations, however often each occurs (Saad 2003, section 6.11)."""
    rng = np.random.default_rng(seed)
    A = with_spectrum(eigenvalues * copies, rng)
    _, info = cg(A, rng.standard_normal(len(A)), rtol=1e-8)
    assert info == 0
    assert info.iterations <= len(eigenvalues) + 1


@given(systems(definite, ill_conditioned), options)
def test_error_falls_in_the_energy_norm(system, option):
    """||x_k - x||_A falls with every iteration, until rounding."""
    solution = np.linalg.solve(system.A, system.b)
    errors = []
    for it in itertools.islice(cg_iterates(system.A, system.b, **chosen(system, option)), len(system.b)):
        e = it.x - solution
        errors.append(np.sqrt(max(e @ system.A @ e, 0)))
    floor = 1e-7 * errors[0] + 1e-8 * np.sqrt(abs(solution @ system.A @ solution))
    for before, after in itertools.pairwise(errors):
        assert after < before or before <= floor


@given(systems(well_conditioned), options)
def test_directions_are_conjugate(system, option):
    """p_i' A p_j = 0 for i != j, to 1e-8 of ||p_i||_A ||p_j||_A: the first seven, until ||r|| has fallen to 1e-4."""
    start, *rest = itertools.islice(cg_iterates(system.A, system.b, **chosen(system, option)), min(7, len(system.b)))
    p = [start.p] + [it.p for it in itertools.takewhile(lambda it: norm(it.r) > 1e-4 * norm(start.r), rest)]
    p = np.array(p)
    products = p @ system.A @ p.T
    scale = np.sqrt(np.diag(products))
    assert (abs(products / np.outer(scale, scale) - np.eye(len(p))) <= 1e-8).all()


@given(systems(definite), options)
def test_iterate_is_the_best_of_its_krylov_space(system, option):
    """x_k minimises phi over x_0 + span{z, (MA) z, .., (MA)^(k-1) z}, z = M r_0, found here by a dense solve."""
    A, b = system.A, system.b
    x0, M = system.x0 if option["x0"] else np.zeros_like(b), system.M if option["M"] else np.eye(len(b))
    iterates = list(itertools.islice(cg_iterates(A, b, **chosen(system, option)), 5))
    r0 = b - A @ x0
    basis = np.empty((len(b), 0))
    for it in iterates:
        best = x0 + basis @ np.linalg.solve(basis.T @ A @ basis, basis.T @ r0)
        np.testing.assert_allclose(it.x, best, rtol=0, atol=1e-8 * (np.linalg.norm(x0) + np.linalg.norm(b)))
        v = M @ (A @ basis[:, -1] if it.k else r0)
        v -= basis @ (basis.T @ v)
        v -= basis @ (basis.T @ v)
        if len(b) == it.k + 1 or np.linalg.norm(v) < 1e-3 * np.linalg.norm(A @ M):
            break
        basis = np.column_stack([basis, v / np.linalg.norm(v)])


def algorithm3(A, b, shadow, clearance=400):
    """He et al. 2016, Algorithm 3, in rational arithmetic: x_0, x_1, .. until a denominator is small."""
    vector = lambda v: np.array([Fraction(float(c)) for c in v])  # noqa: E731
    A, r, shadow = np.array([vector(row) for row in A]), vector(b), vector(shadow)
    x, p = 0 * r, r

    def clear(u, v):
        return (u @ v) ** 2 * int(clearance) > (u @ u) * (v @ v) > 0

    while True:
        yield x
        if not (clear(r, shadow) and clear(A @ p, shadow)):
            return
        alpha = (r @ shadow) / (A @ p @ shadow)
        s = r - alpha * (A @ p)
        if not clear(s, A @ s):
            return
        gamma = (A @ s @ s) / (A @ s @ (A @ s))
        x = x + alpha * p + gamma * s
        beta = alpha / gamma / (r @ shadow)
        r = s - gamma * (A @ s)
        p = r + beta * (r @ shadow) * (p - gamma * (A @ p))


@given(st.integers(2, 6), st.booleans(), st.integers(0, 2**32 - 1))
def test_bicgstab_is_algorithm_3(n, own_shadow, seed):
    """The iterates are those of the paper's algorithm in rational arithmetic, with r_0 or another vector for r_0*."""
    rng = np.random.default_rng(seed)
    A, b, shadow = 4 * np.eye(n) + whole(rng, n), rng.integers(1, 4, n), rng.integers(1, 4, n)
    exact = [x.astype(float) for x in itertools.islice(algorithm3(A, b, shadow if own_shadow else b), 4)]
    iterates = bicgstab_iterates(A, b, shadow=shadow if own_shadow else None)
    for x, it in zip(exact, iterates, strict=False):
        np.testing.assert_allclose(it.x, x, rtol=0, atol=1e-9 * max(1, np.abs(x).max()))


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_function_is_a_matrix(solve, dtype):
    """A plain function v -> A v gives the bits of the matrix, in the dtype of b."""
    A, M, b = poisson1d(8).astype(dtype), np.diag(np.arange(1, 9)).astype(dtype), integers(8).astype(dtype)
    x, info = solve(lambda v: A @ v, b, M=lambda r: M @ r)
    want, told = solve(A, b, M=M)
    assert (x.tobytes(), x.dtype, info.iterations) == (want.tobytes(), dtype, told.iterations)
    for one, other in zip(ITERATES[solve](lambda v: A @ v, b), ITERATES[solve](A, b), strict=True):
        assert one.x.tobytes() == other.x.tobytes()


@pytest.mark.parametrize("iterates", [cg_iterates, bicgstab_iterates])
def test_iterates_are_complete(iterates):
    """Nothing of an iterate can be set, and nothing of it changes when the next one is computed."""
    its = iterates(poisson1d(4), np.ones(4))
    it = next(its)
    before = repr(it)
    next(its)
    assert repr(it) == before
    with pytest.raises(FrozenInstanceError):
        it.stop = Stop.EXACT


def test_the_last_iterate_is_yielded_with_its_product():
    """Where the step is undefined, x_k is yielded before the product, and again with p'Ap and the reason."""
    A = Counting(np.diag([1.0, -1.0]))
    its = cg_iterates(A.operator, np.ones(2))
    first = next(its)
    assert (first.k, first.stop, first.Ap, A.calls) == (0, None, None, 0)
    last = next(its)
    assert (last.k, last.stop, last.curvature, A.calls) == (0, Stop.ZERO_CURVATURE, 0.0, 1)
    assert next(its, None) is None
    with pytest.raises(ValueError, match="stop_at=negative_curvature"):
        negative_curvature(first)


def test_rules_are_asked_once_an_iterate():
    """A rule sees x_k once, also where x_k is yielded again with its `stop`."""
    seen = []
    _, stop = advance(cg_iterates(np.diag([1.0, -1.0]), np.ones(2)), lambda it: seen.append(it.k))
    assert (seen, stop) == ([0], Stop.ZERO_CURVATURE)


def frames_to_product(A, b):
    """The most Python frames from the recurrence of conjugate gradients to a matrix product, both included."""
    deepest = 0

    def profiler(frame, event, arg):
        nonlocal deepest
        if event == "call" and frame.f_code in (Dense.product.__code__, Dense.adjoint_weight.__code__):
            frames = 1
            while frame.f_code.co_name != "_recurrence":
                frame, frames = frame.f_back, frames + 1
            deepest = max(deepest, frames)

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        next(itertools.islice(cg_iterates(A, b), 2, None))
    finally:
        sys.setprofile(before)
    return deepest


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_frames_to_product(curvature, monkeypatch):
    """From the line `Ap = A @ p` to the matrix product are at most 12 frames, in a thread of its own or not."""
    monkeypatch.setattr(chunk_threads, "blas_threads", lambda: 1)  # the profile follows this thread alone
    rng = np.random.default_rng(0)
    objective = supervised(net := mlp([4, 3, 2]), rng.normal(size=(9, 4)), rng.integers(2, size=9), chunk_size=4)
    A = getattr(objective, curvature)(net.init(rng=0))
    assert 0 < frames_to_product(A, np.ones(net.size)) <= 12


# R8: scale.


@both
@given(data=st.data())
def test_scale_invariance(solve, data):
    """(2^i A) x = 2^j b, preconditioned by 2^m M: the same iterations and reason, and x times 2^(j - i) bit for bit."""
    symmetric = definite, ill_conditioned, indefinite, whole_symmetric, whole_semidefinite
    system = data.draw(systems(*symmetric, *([] if solve is cg else [nonsymmetric, whole, whole_skew])))
    option = data.draw(options)
    i, j, m = (data.draw(st.integers(-100, 100)) for _ in range(3))
    x0, M = (chosen(system, option)[name] for name in ("x0", "M"))
    limits = {"rtol": 1e-9, "maxiter": 3 * len(system.b)}
    x, info = solve(system.A, system.b, x0, M=M, **limits)
    y, scaled = solve(
        np.ldexp(system.A, i),
        np.ldexp(system.b, j),
        None if x0 is None else np.ldexp(x0, j - i),
        M=None if M is None else np.ldexp(M, m),
        **limits,
    )
    assert (scaled.stop, scaled.iterations) == (info.stop, info.iterations)
    assert np.ldexp(x, j - i).tobytes() == y.tobytes()


# Preconditioning.


@given(systems(definite), st.integers(0, 2**32 - 1))
def test_preconditioned_cg_is_cg_on_the_scaled_system(system, seed):
    """CG on A with M = D^2 is D times CG on D A D, D b; D of powers of two, so bit for bit."""
    A, b = system.A, system.b
    d = 2.0 ** np.random.default_rng(seed).integers(-8, 9, len(b))
    pairs = zip(cg_iterates(A, b, M=np.diag(d**2)), cg_iterates(A * np.outer(d, d), d * b), strict=False)
    for it, scaled in itertools.islice(pairs, len(b) + 1):
        assert it.x.tobytes() == (d * scaled.x).tobytes()
        assert it.p.tobytes() == (d * scaled.p).tobytes()


@given(systems(nonsymmetric, definite), st.integers(0, 2**32 - 1))
def test_preconditioned_bicgstab_is_bicgstab_on_the_product(system, seed):
    """Bi-CG-STAB on A x = b with M is M times Bi-CG-STAB on (A M) u = b, bit for bit where M is of powers of two."""
    A, b = system.A, system.b
    d = 2.0 ** np.random.default_rng(seed).integers(-8, 9, len(b))
    pairs = zip(bicgstab_iterates(A, b, M=np.diag(d)), bicgstab_iterates(A * d, b), strict=False)
    for it, product in itertools.islice(pairs, len(b) + 1):
        assert it.x.tobytes() == (d * product.x).tobytes()
        assert it.r.tobytes() == product.r.tobytes()


# Against SciPy, and the drivers against their generators.


def recorded(solve, system, start, **rest):
    """The xs that the callback saw, copied."""
    seen = []
    solve(system.A, system.b, callback=lambda x: seen.append(x.copy()), **start, **rest)
    return seen


@both
@given(data=st.data())
def test_iterates_are_scipys(solve, data):
    """Iterate by iterate the same x as SciPy's solver, to 1e-8 of ||x||, over the first six."""
    system = data.draw(systems(well_conditioned, definite if solve is cg else nonsymmetric))
    start = chosen(system, data.draw(options))
    limits = {"rtol": 1e-6, "maxiter": 6}
    ours = recorded(solve, system, start, **limits)
    theirs = recorded(getattr(scipy.sparse.linalg, solve.__name__), system, start, **limits)
    assert len(theirs) <= len(ours) <= len(theirs) + 1  # SciPy may leave at the half step, without a call
    for x, y in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-8 * max(np.linalg.norm(x), np.linalg.norm(ours[-1])))


@both
@given(data=st.data())
def test_driver_runs_its_generator(solve, data):
    """The callback sees the generator's x_1, x_2, .., and the driver returns the last of them."""
    system = data.draw(systems(definite, *([] if solve is cg else [nonsymmetric])))
    start = chosen(system, data.draw(options))
    x, info = solve(system.A, system.b, **start)
    seen = recorded(solve, system, start)
    assert info.stop is Stop.CONVERGED
    assert len(seen) == info.iterations
    iterates = list(itertools.islice(ITERATES[solve](system.A, system.b, **start), info.iterations + 1))
    assert [y.tobytes() for y in seen] == [it.x.tobytes() for it in iterates[1:]]
    assert x.tobytes() == iterates[-1].x.tobytes()


@both
def test_kinds_of_matrices(solve):
    """An array, a sparse matrix and an operator are the same matrix; so are lists and whole numbers for vectors."""
    A, b = poisson1d(6), [1, 2, 3, 4, 5, 6]
    x, _ = solve(A, np.array(b, float))
    for same in (scipy.sparse.csr_array(A), LinearOperator(A.shape, lambda v: A @ v, dtype=float), A.astype(int)):
        np.testing.assert_allclose(solve(same, b)[0], x, rtol=1e-12)


@both
def test_iteration_limit(solve):
    """maxiter is the number of iterations, of calls of the callback, and the integer returned with the last x."""
    system = System(convection_diffusion(12, 0.0), integers(12), None, None)
    x, info = solve(system.A, system.b, maxiter=3, rtol=1e-12)
    seen = recorded(solve, system, {}, maxiter=3, rtol=1e-12)
    assert (info, info.iterations, info.stop, len(seen)) == (3, 3, Stop.ITERATION_LIMIT, 3)
    assert x.tobytes() == seen[-1].tobytes()


@both
def test_restarts_share_the_iterations(solve):
    """Iterations, the limit on them and the calls of the callback run on through restarts from the true residual."""
    system = System(poisson1d(10), 1 / np.arange(1.0, 11), None, None)
    _, info = solve(system.A, system.b, rtol=1e-17)
    assert info.stop is Stop.STAGNATED  # which takes a restart
    assert len(recorded(solve, system, {}, rtol=1e-17)) == info.iterations
    shorter = info.iterations - 1
    assert solve(system.A, system.b, rtol=1e-17, maxiter=shorter)[1].stop is Stop.ITERATION_LIMIT
    assert len(recorded(solve, system, {}, rtol=1e-17, maxiter=shorter)) == shorter


# What costs a product and what does not.


@both
@given(data=st.data())
def test_phi_and_curvature_are_free(solve, data):
    """phi_k = x'Ax/2 - b'x, and Bi-CG-STAB's x_curvature = x'Ax, both without a product."""
    system = data.draw(systems(definite, *([] if solve is cg else [nonsymmetric, indefinite])))
    start = chosen(system, data.draw(options))
    A = Counting(system.A)
    for it in itertools.islice(ITERATES[solve](A.operator, system.b, **start), 4):
        calls = A.calls
        x_curvature = it.x @ system.A @ it.x
        scale = np.linalg.norm(it.x) * (np.linalg.norm(system.b) + np.linalg.norm(system.A) * np.linalg.norm(it.x))
        assert abs(it.phi - (x_curvature / 2 - system.b @ it.x)) <= 1e-11 * scale
        if solve is bicgstab:
            assert abs(it.x_curvature - x_curvature) <= 1e-11 * scale
        assert A.calls == calls


@both
@pytest.mark.parametrize("k", [0, 1, 3])
def test_stopping_at_an_iterate_costs_no_product_more(solve, k):
    """Stopping on x_k or r_k costs k iterations: CG computes A p_k only when it is accessed."""
    A = Counting(poisson1d(9))
    it, _ = advance(ITERATES[solve](A.operator, integers(9)), iteration_limit(k))
    assert (it.k, A.calls) == (k, PRODUCTS[solve] * k)


@both
def test_products_of_a_solve(solve):
    """A converged solve costs its iterations' products, one for the true residual, and one for a start."""
    for x0 in (None, np.ones(9)):
        A = Counting(poisson1d(9))
        _, info = solve(A.operator, integers(9), x0)
        assert info == 0
        assert A.calls == PRODUCTS[solve] * info.iterations + 1 + (x0 is not None)


# Curvature.


@given(systems(indefinite, whole_symmetric))
def test_negative_curvature_ends_before_the_update(system):
    """CG stops at the first p_k with p'Ap <= 0, at x_k, not x_{k+1}, and hands over that p_k."""
    A, b = system.A, system.b
    rules = small_residual(b, 1e-5, 0.0), iteration_limit(30)
    last, stop = advance(cg_iterates(A, b, stop_at=negative_curvature), *rules)
    for it in itertools.islice(cg_iterates(A, b), last.k + 1):
        noise = 2 * ROUNDING * EPS * np.linalg.norm(it.p) * np.linalg.norm(A @ it.p)
        assert it.k == last.k or it.p @ A @ it.p > -noise
    assert it.x.tobytes() == last.x.tobytes()
    assert it.phi <= 0
    if stop in (Stop.NEGATIVE_CURVATURE, Stop.ZERO_CURVATURE):
        assert it.p.any()
        assert it.p @ A @ it.p <= noise
        _, info = cg(A, b)
        assert (info.stop, info.iterations) == (stop, it.k)
        assert info.direction.tobytes() == it.p.tobytes()


@given(st.floats(0.01, 100), st.integers(-300, 300), st.integers(-100, 100), st.sampled_from([np.float32, np.float64]))
def test_curvature_test_knows_scale_and_precision(ratio, i, j, dtype):
    """Curvature counts as negative below 32 eps ||p|| ||Ap||, with the dtype's eps, at every scale of p and A."""
    assume(abs(ratio - 1) > 0.01)
    i, j = (i // 10, j // 10) if dtype == np.float32 else (i, j)
    p, product = np.array([3, 4], dtype) * 2.0**i, np.array([-8, 6], dtype) * 2.0**j
    curvature = ratio * ROUNDING * float(np.finfo(dtype).eps) * 5.0 * 2.0**i * 10.0 * 2.0**j
    stop = negative_curvature(SimpleNamespace(p=p.astype(dtype), Ap=product.astype(dtype), curvature=curvature))
    assert (stop is Stop.NEGATIVE_CURVATURE) == (ratio < 1)


# Stopping rules.


def martens(phis, window=10, tolerance=5e-4):
    """Martens 2010, section 4.4, word for word: the first i > k with phi_i < 0 and a relative fall below k eps."""
    for i, phi in enumerate(phis):
        k = max(window, -(-i // 10))
        if i > k and phi < 0 and (phi - phis[i - k]) / phi < k * tolerance:
            return i
    return None


@given(
    st.floats(0.3, 0.999),
    st.floats(-2, 2),
    st.sampled_from([0.0, 1e-4, 1e-2]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([{}, {"window": 3, "tolerance": 1e-3}]),
)
def test_no_progress_is_martens_rule(rate, start, noise, seed, constants):
    """The rule stops where Martens' does, also from a warm start with phi_0 > 0, and the same when used again."""
    steps = np.arange(300)
    phis = -1 + (1 + start) * rate**steps + noise * np.random.default_rng(seed).standard_normal(300)
    rule = no_progress(**constants)
    for _ in range(2):
        iterates = (SimpleNamespace(k=k, phi=float(phi), stop=None) for k, phi in enumerate(phis))
        it, stop = advance(iterates, rule)
        assert (it.k if stop else None) == martens([float(phi) for phi in phis], **constants)
        assert stop in (None, Stop.NO_PROGRESS)


def test_no_progress_on_conjugate_gradients():
    """On a real run the rule ends CG while x still moves, at a phi within a few per cent of the minimum."""
    A, b = conditioned(4, 200), np.ones(200)
    it, stop = advance(cg_iterates(A, b), iteration_limit(2000), no_progress())
    assert stop is Stop.NO_PROGRESS
    assert it.k == martens([it.phi for it in itertools.islice(cg_iterates(A, b), 500)])
    assert it.phi < 0.9 * (-b @ np.linalg.solve(A, b) / 2)


@pytest.mark.parametrize(
    ("rtol", "atol", "tolerance"), [(0.1, 0.0, 0.5), (0.1, 0.75, 0.75), (0.1, 0.25, 0.5), (0, 0, 0)]
)
def test_tolerance(rtol, atol, tolerance):
    """A residual is small where ||r|| <= max(rtol ||b||, atol), the bound included."""
    rule = small_residual(np.array([3.0, -4.0]), rtol, atol)
    assert rule(SimpleNamespace(r=np.array([0, tolerance]))) is Stop.CONVERGED
    assert rule(SimpleNamespace(r=np.array([0, tolerance * (1 + 1e-15) + 1e-300]))) is None


# Convergence is reported on b - A x, not on the recurrence.


def test_convergence_is_claimed_on_the_true_residual():
    """At condition 1e10 the recurrence drifts: it meets the tolerance where b - A x, as computed, does not.

    SciPy's cg says 0 there. Of such systems refhf's solves some by a restart, and says of the others that it did
    not; it never claims a residual that is not there, and a restart never loses what it began with.
    """
    mended, admitted = 0, 0
    for rtol, seed in itertools.product([1e-7, 3e-8], range(20)):
        A, b = aslinearoperator(with_spectrum(np.logspace(0, -10, 12), seed)), np.ones(12)
        x, info = cg(A, b, rtol=rtol)
        tolerance = rtol * np.linalg.norm(b)
        residual = np.linalg.norm(b - A @ x)
        assert residual <= tolerance or info > 0
        drifted, _ = advance(cg_iterates(A, b), small_residual(b, rtol, 0.0))
        assert np.linalg.norm(drifted.r) <= tolerance
        if np.linalg.norm(b - A @ drifted.x) > 2 * tolerance:
            assert scipy.sparse.linalg.cg(A, b, rtol=rtol)[1] == 0
            assert residual <= np.linalg.norm(b - A @ drifted.x) * (1 + 1e-12)
            mended += info == 0
            admitted += info.stop in (Stop.STAGNATED, Stop.ITERATION_LIMIT)
    assert mended >= 1
    assert admitted >= 1


# Precision.


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_result_has_the_arguments_precision(solve, dtype):
    """x is of the precision of A, b and M together, also where no iteration is done; x0 does not raise it."""
    A, b = poisson1d(5).astype(dtype), integers(5).astype(dtype)
    for right in (b, 0 * b):
        assert solve(A, right)[0].dtype == dtype
        assert solve(A, right, np.ones(5), M=np.eye(5, dtype=dtype))[0].dtype == dtype
        assert solve(poisson1d(5), right)[0].dtype == np.float64
        assert solve(A, right.astype(float))[0].dtype == np.float64
        assert solve(A, right, M=np.eye(5))[0].dtype == np.float64
    for it in itertools.islice(ITERATES[solve](A, b), 3):
        assert it.x.dtype == it.r.dtype == it.p.dtype == dtype


def test_inner_products_are_silent():
    """Overflow and NaN appear in the report and never as a warning; an empty vector has norm 0."""
    huge = np.full(3, 1e200)
    assert inner(huge, huge) == np.inf
    for dtype in np.float32, np.float64:
        assert np.isnan(inner(np.array([np.inf, 1], dtype), np.array([0, 1], dtype)))
        assert norm(np.empty(0, dtype)) == 0.0


@both
def test_a_preconditioner_that_overflows_is_reported(solve):
    """Mr beyond the largest number, at the start or later, ends the run as not finite, without a warning."""
    A, b = np.diag([1.0, 2.0, 3.0]), np.ones(3)
    for factors in [1e308], [1.0, 1e308]:
        factor = iter(factors)
        M = LinearOperator((3, 3), matvec=lambda r, factor=factor: r * next(factor) * 10, dtype=float)
        x, info = solve(A, b, M=M)
        assert info.stop is Stop.NON_FINITE
        assert np.isfinite(x).all()
    large = LinearOperator((3, 3), matvec=lambda v: v * 1e308 * 10, dtype=float)
    assert solve(large, b, x0=b)[1].stop is Stop.NON_FINITE  # b - A x0


def test_only_negative_curvature_has_a_direction():
    """A solver that stops for another reason has no direction to offer."""
    turn, b = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    for _, info in (bicgstab(turn, b), cg(np.eye(2), b, M=-np.eye(2)), cg(np.diag([1.0, 9]), b + 1, maxiter=1)):
        assert info != 0
        assert info.direction is None
    assert cg(turn - 2 * np.eye(2), b)[1].direction is not None


@both
@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_a_negative_tolerance(solve, name):
    """A tolerance below 0 is refused by its name."""
    with pytest.raises(ValueError, match=rf"{name}: .* \[0, inf\]; got -1"):
        solve(np.eye(2), np.ones(2), **{name: -1.0})


@both
def test_ten_iterations_an_unknown(solve):
    """maxiter is 10 n where none is given; a generator has no limit, and its last half step has a direction too."""
    basis, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    _, info = solve(basis * np.geomspace(1, 1e15, 8) @ basis.T, np.ones(8))
    assert (int(info), info.stop) == (80, Stop.ITERATION_LIMIT)
    rough = np.diag(np.geomspace(1, 1e6, 300))
    assert next(itertools.islice(ITERATES[solve](rough, np.ones(300)), 140, None)).k == 140
    *_, last = bicgstab_iterates(np.eye(3), np.ones(3))
    assert (last.stop, last.k, last.p.shape) == (Stop.HALF_STEP, 1, (3,))


def test_float32_inner_products_are_summed_in_float64():
    """4096^2 + 1 - 4096^2 is 1, and 0 in float32: the sign of a curvature can depend on it."""
    assert np.float32(2**24) + np.float32(1) - np.float32(2**24) == 0
    A, b = np.diag([1, 1, -1]).astype(np.float32), np.array([4096, 1, 4096], np.float32)
    it, _ = advance(cg_iterates(A, b, stop_at=lambda it: Stop.NEGATIVE_CURVATURE))
    assert it.p.dtype == np.float32
    assert it.curvature == 1.0
    start = np.array([4096, 1, -4096], np.float32)
    for iterates in (cg_iterates, bicgstab_iterates):
        it = next(iterates(np.eye(3, dtype=np.float32), b, start))
        assert it.phi == (2 * 4096**2 + 1) / 2 - 1
    assert it.x_curvature == 2 * 4096**2 + 1


@given(
    st.integers(1, 20),
    st.integers(-1020, 1000) | st.integers(-540, -490),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.float32, np.float64]),
)
def test_norm_at_the_ends_of_the_range(n, exponent, seed, dtype):
    """norm agrees with extended precision wherever x is normal, though its squares under- or overflow."""
    exponent = exponent // 8 if dtype == np.float32 else exponent
    x = np.ldexp(np.random.default_rng(seed).uniform(1, 2, n), exponent).astype(dtype)
    expected = float(np.sqrt(np.sum(x.astype(np.longdouble) ** 2)))
    assert norm(x) == pytest.approx(expected, rel=n * float(np.finfo(dtype).eps), abs=0)
    assert norm(0 * x) == 0
    assert np.isnan(norm(x * np.nan))


@given(st.floats(-4, 4), st.integers(-300, 300), st.integers(-300, 300))
def test_zero_to_rounding_knows_scale(multiple, i, j):
    """(x, y) is zero to rounding where |(x, y)| <= 32 eps ||x|| ||y||, and scaling x or y does not change it."""
    assume(abs(abs(multiple) - 1) > 1e-6)
    x, y = np.ldexp([1.0, multiple * ROUNDING * EPS], i), np.ldexp([0.0, 1.0], j)
    assert is_zero(inner(x, y), x, y) == (abs(multiple) <= 1)


# R21: callers.


@both
def test_arguments_are_not_modified(solve):
    """A, b, x0 and M are read only; x shares no memory with them; a callback may do as it likes with its x."""
    A, b, x0, M = arguments = poisson1d(7), integers(7), np.ones(7), np.diag(np.arange(1.0, 8))
    copies = [a.copy() for a in arguments]
    for array in arguments:
        array.flags.writeable = False
    x, _ = solve(A, b, x0, M=M)
    assert [a.tobytes() for a in arguments] == [a.tobytes() for a in copies]
    assert x.tobytes() == solve(A, b, x0, M=M, callback=lambda x: x.fill(np.nan))[0].tobytes()
    for start in (x0, None):
        for right in (b, A @ x0, 0 * b):  # the last two return at once
            assert not any(np.shares_memory(solve(A, right, start, M=M)[0], a) for a in (b, x0, right))
        for it in itertools.islice(ITERATES[solve](A, b, start), 3):
            assert not any(np.shares_memory(v, a) for v in (it.x, it.r, it.p) for a in (b, x0))


MISTAKES = [  # argument given, what the message says
    ({"A": poisson1d(3)[:2]}, r"A: expected a square matrix.* got float64 of shape \(2, 3\)"),
    ({"A": poisson1d(3) * 1j}, r"A: expected .* real numbers; got complex128"),
    ({"A": np.ma.masked_less(poisson1d(3), 0)}, r"A: expected numbers throughout; got masked ones"),
    ({"b": np.ma.masked_less(integers(3), 1e9)}, r"b: expected numbers throughout; got masked ones"),
    ({"x0": np.ma.masked_less(np.ones(3), 2)}, r"x0: expected numbers throughout; got masked ones"),
    ({"M": np.ma.masked_less(np.eye(3), 1)}, r"M: expected numbers throughout; got masked ones"),
    ({"b": ["1", "2", "3"]}, r"b: expected a real vector \(3,\); got <U1"),
    ({"b": [[1], [1, 2], 3]}, r"b: expected an array of real numbers; got list"),
    ({"b": np.array([1, 2, 3], "M8[s]")}, r"b: expected a real vector \(3,\); got datetime64"),
    ({"A": "poisson"}, r"A: expected an array, sparse matrix, LinearOperator or function; got 'poisson'"),
    ({"b": np.ones(2)}, r"b: expected a real vector \(3,\); got float64 of shape \(2,\)"),
    ({"b": np.ones((3, 1))}, r"b: expected a real vector \(3,\); got float64 of shape \(3, 1\)"),
    ({"b": 1j * np.ones(3)}, r"b: expected a real vector \(3,\); got complex128"),
    ({"x0": np.ones(4)}, r"x0: expected a real vector \(3,\); got float64 of shape \(4,\)"),
    ({"M": np.eye(2)}, r"M: expected shape \(3, 3\).* got float64 of shape \(2, 2\)"),
    ({"M": 3.0j * np.eye(3)}, r"M: expected .* real numbers; got complex128"),
]
MISTAKES_OF_DRIVERS = [
    ({"rtol": -1.0}, r"rtol: expected a finite number in \[0, inf\]; got -1"),
    ({"rtol": np.nan}, r"rtol: expected .*; got nan"),
    ({"atol": np.inf}, r"atol: expected .*; got inf"),
    ({"maxiter": 0}, r"maxiter: expected an integer >= 1; got 0"),
    ({"maxiter": 2.5}, r"maxiter: expected an integer >= 1; got 2.5"),
]


@pytest.mark.parametrize(
    ("function", "mistake", "message"),
    [(f, *m) for f in (*SOLVERS, *ITERATES.values()) for m in MISTAKES]
    + [(f, *m) for f in SOLVERS for m in MISTAKES_OF_DRIVERS]
    + [(bicgstab_iterates, {"shadow": np.ones(2)}, r"shadow: expected a real vector \(3,\); got .* \(2,\)")],
)
def test_mistakes(function, mistake, message):
    """A ValueError names the argument, what was expected and what came, before any product."""
    A = Counting(poisson1d(3))
    with pytest.raises(ValueError, match=message):
        next(iter(function(**{"A": A.operator, "b": np.ones(3), **mistake})))
    assert A.calls == 0


def test_info_is_scipys_integer():
    """Info is an int, 0 only for convergence, negative for a breakdown, else the iterations; and says which."""
    assert Info(Stop.CONVERGED, 7) == 0
    assert Info(Stop.ITERATION_LIMIT, 7) == Info(Stop.STAGNATED, 7) == 7
    assert Info(Stop.STAGNATED, 0) > 0
    assert {CODES[stop] < 0 for stop in CODES} == {True, False}
    assert [stop for stop, code in CODES.items() if code == 0] == [Stop.CONVERGED]
    assert "7" in repr(Info(Stop.RHO_BREAKDOWN, 7))


# Products that are given in one array again and again, in another precision, or are no real numbers.


class Reused:
    """A matrix whose products are all in one array; M may have the same one."""

    def __init__(self, A, out=None):
        self.A, self.out = A, np.empty(len(A), A.dtype) if out is None else out
        self.operator = LinearOperator(A.shape, matvec=self, dtype=A.dtype)

    def __call__(self, v):
        np.matmul(self.A, v, out=self.out)
        return self.out


@both
@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("which", ["A", "M", "both", "both in one"])
def test_buffers_of_the_caller(solve, which, n):
    """The bits are those of products in fresh arrays, at every iterate, which stays as it is when the next is made."""
    A, M, b = poisson1d(n), np.linalg.inv(poisson1d(n) + np.eye(n)), integers(n)
    reused = Reused(A)
    others = reused.operator, Reused(M, reused.out if which == "both in one" else None).operator
    fresh = aslinearoperator(A), aslinearoperator(M)
    mixed = {"A": (others[0], fresh[1]), "M": (fresh[0], others[1])}.get(which, others)
    (x, info), (want, told) = solve(mixed[0], b, M=mixed[1]), solve(fresh[0], b, M=fresh[1])
    assert (x.tobytes(), int(info), info.iterations) == (want.tobytes(), int(told), told.iterations)
    kept = [list(itertools.islice(ITERATES[solve](m[0], b, M=m[1]), 4)) for m in (mixed, fresh)]
    for one, other in zip(*kept, strict=True):
        assert all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("x", "r", "p"))


@both
@pytest.mark.parametrize("wide", [np.float64, np.longdouble])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wider_products_do_not_widen_the_solution(solve, dtype, wide):
    """A and M may compute in more digits than they say: vectors stay in the precision of the system."""
    A, b = poisson1d(5), integers(5).astype(dtype)
    product = LinearOperator((5, 5), matvec=lambda v: A.astype(wide) @ v, dtype=dtype)
    scale = LinearOperator((5, 5), matvec=lambda r: r.astype(wide) / 2, dtype=dtype)
    for M in None, scale:
        x, info = solve(product, b, np.ones(5), M=M)
        assert (x.dtype, info) == (dtype, 0)
        np.testing.assert_allclose(A @ x, b, rtol=1e-4, atol=1e-4)
        for it in itertools.islice(ITERATES[solve](product, b, M=M), 3):
            assert it.x.dtype == it.r.dtype == it.p.dtype == dtype


@both
@pytest.mark.parametrize("place", ["A", "M"])
@pytest.mark.parametrize(
    "bad", [np.array([1j, 1]), np.array(["1", "2"]), [None, None], None, np.array([1, 2], "m8[s]")]
)
def test_a_product_that_is_not_real_is_refused(solve, place, bad):
    """A caller's product of complex numbers, words or nothing is a ValueError, and no number is made of it."""
    given = {"A": poisson1d(2), "M": np.eye(2), place: LinearOperator((2, 2), matvec=lambda v: bad, dtype=float)}
    with pytest.raises(ValueError, match=f"product with {place}|reshape"):
        solve(given["A"], np.ones(2), M=given["M"])


@both
@pytest.mark.parametrize("x0", [[1.0, 2.0, 3.0], [1, 2, 3], [1e300, -1e300, 0]])
def test_b_zero_is_solved_by_zero(solve, x0):
    """As in SciPy: x = 0 and info = 0, from any start, with any M and tolerance, also where A is singular."""
    for A in (poisson1d(3), np.zeros((3, 3)), -poisson1d(3)):
        for options in ({}, {"M": np.eye(3)}, {"atol": 1e-3}, {"rtol": 0.0}):
            for b in (np.zeros(3), -np.zeros(3), [0, 0, 0]):
                x, info = solve(A, b, np.array(x0), **options)
                assert (x.tolist(), info, info.iterations) == ([0, 0, 0], 0, 0)
    assert solve(poisson1d(3), np.zeros(3), np.full(3, np.nan))[1].stop is Stop.NON_FINITE


@both
@pytest.mark.parametrize(
    ("rtol", "atol"), [(np.float16(1e-3), 0), (Fraction(1, 1000), 0), (np.float32(1e-3), np.int8(0)), (0.0, 10**20)]
)
def test_tolerances_are_plain_numbers(solve, rtol, atol):
    """A tolerance of any type of real number means its value: nothing is compared in half precision."""
    A, b = np.diag([1.0, 3.0, 9.0]), np.full(3, 1e6)
    x, info = solve(A, b, rtol=rtol, atol=atol)
    want, told = solve(A, b, rtol=float(rtol), atol=float(atol))
    assert (x.tobytes(), info, info.iterations) == (want.tobytes(), 0, told.iterations)


@both
def test_numpy_errors_are_not_raised(solve):
    """Under np.seterr(all="raise") what under- or overflows is still a number, or a reason."""
    systems = [
        (poisson1d(3) * 1e-150, np.full(3, 1e-200)),
        (np.diag([1.0, 2.0, 3.0]), np.array([1, 1e-200, 1e-310])),
        (poisson1d(3) * 1e200, np.full(3, 1e200)),
        (np.zeros((3, 3)), np.ones(3)),
        (np.eye(3, dtype=np.float32), np.full(3, 1e-30, np.float32)),
    ]
    for A, b in systems:
        want = solve(A, b, M=np.diag([1.0, 1e-150, 1e-10]))
        small, large = np.array([1e-200, 1e-310, 0], b.dtype), np.full(3, 1e38, b.dtype)
        with np.errstate(all="raise"):
            got = solve(A, b, M=np.diag([1.0, 1e-150, 1e-10]))
            assert inner(small, small) == 0 <= norm(small) < norm(large) < inner(large, large)
        assert (got[0].tobytes(), got[1].stop) == (want[0].tobytes(), want[1].stop)
