"""Newton's relatives at saddles: which stay, which leave, and what the report says gave a step its direction."""

import numpy as np
import pytest

import refhf
from refhf.driver.minimize import Status
from refhf.driver.registry import METHODS
from refhf.krylov.stopping import Stop
from refhf.krylov.symmetric_operator import SymmetricOperator
from refhf.methods.newton import exact_newton, negative_curvature, saddle_free, truncated_newton
from refhf.methods.report import Kind, Outcome, Source
from refhf.surfaces.saddles import SURFACES, high_dimensional, quadratic_saddle, rosenbrock, saddle, two_weights, xor

FOUR = ["newton", "truncated-newton", "saddle-free-newton", "negative-curvature-newton"]
LINE = [(x, 0.0) for x in np.random.default_rng(0).uniform(-2, 2, 50)]

STAYING = {
    "newton": ("newton", {}),
    "truncated-newton": ("truncated-newton", {}),
    "truncated-newton, Steihaug": ("truncated-newton", {"rule": "steihaug"}),
    "saddle-free-newton": ("saddle-free-newton", {}),
    "saddle-free-newton, undamped": ("saddle-free-newton", {"damping": 0.0}),
    "saddle-free-newton, Krylov": ("saddle-free-newton", {"subspace": 2}),
    "gradient-descent": ("gradient-descent", {}),
    "sgd": ("sgd", {}),
    "gn-cg": ("gn-cg", {}),
    "hessian-cg": ("hessian-cg", {}),
    "hybrid-cg": ("hybrid-cg", {}),
    "hessian-bicgstab": ("hessian-bicgstab", {}),
}
LEAVING = {
    "negative-curvature-newton": ("negative-curvature-newton", {}),
    "gradient-descent, noise": ("gradient-descent", {"noise": 1e-7}),
    "gn-cg, delta_0": ("gn-cg", {"delta_0_norm": 1e-3}),
    "hessian-cg, delta_0": ("hessian-cg", {"delta_0_norm": 1e-3}),
    "hybrid-cg, delta_0": ("hybrid-cg", {"delta_0_norm": 1e-3}),
}


def objective(surface):
    return refhf.from_functions(*surface.functions)


def from_a_minimum(theta):
    return np.hypot(theta[0], abs(theta[1]) - 1)


def path(method, options, start, steps=None, rng=0):
    """The reports of a run on the paper's surface, until it is stationary, or at a minimum to 1e-8."""
    steps, reports = steps or (400 if method in ("gradient-descent", "sgd") else 60), []
    for report in refhf.iterate(objective(saddle), start, method=method, rng=rng, **options):
        reports.append(report)
        if report.outcome is Outcome.STATIONARY or report.k == steps or from_a_minimum(report.theta) <= 1e-8:
            return reports


@pytest.mark.parametrize("name", STAYING)
def test_what_is_made_of_the_gradient_stays_on_the_line(name):
    """From (x, 0) each of these methods ends at the saddle, and y is exactly 0 at every step (He et al., Figure 2)."""
    method, options = STAYING[name]
    for start in LINE:
        reports = path(method, options, start)
        assert all(report.theta[1] == 0 and not report.source.random for report in reports)
        assert abs(reports[-1].theta[0]) <= 1e-8


@pytest.mark.parametrize("name", LEAVING)
def test_what_has_a_random_part_leaves_and_says_so(name):
    """From (x, 0) it reaches (0, +-1) to 1e-6, and the step that first has y != 0 reports a random source."""
    method, options = LEAVING[name]
    for seed, start in enumerate(LINE):
        reports = path(method, options, start, rng=seed)
        assert from_a_minimum(reports[-1].theta) <= 1e-6
        assert next(report for report in reports if report.theta[1] != 0).source.random


def test_bicgstab_forgets_its_start():
    """Against the issue's expectation: delta_0 gives Bi-CG-STAB a y, and it still ends in the saddle.

    Near the saddle its converged step is (-x/(1 + lambda), -y/(lambda - 1)), towards the saddle for lambda < 1, and is
    turned around only where g'd > 0: where |y| > |x| sqrt((1 - lambda)/(1 + lambda)). A y of 1e-3 |x| is not enough.
    """
    for seed, start in enumerate(start for start in LINE if abs(start[0]) >= 0.5):
        reports = path("hessian-bicgstab", {"delta_0_norm": 1e-3}, start, 60, seed)
        assert reports[0].source is Source.RANDOM_START
        assert 0 < abs(reports[0].theta[1]) <= 2e-3
        assert np.abs(reports[-1].theta).max() <= 1e-8


@pytest.mark.parametrize("name", STAYING)
def test_at_the_saddle_the_others_say_what_it_is(name):
    """At (0, 0) they stop at once, without success: stationary, not a minimum: smallest eigenvalue -1."""
    method, options = STAYING[name]
    result = refhf.minimize(objective(saddle), (0.0, 0.0), method, rng=0, **options)
    assert (result.nit, result.success, result.status) == (1, False, Status.NOT_A_MINIMUM.value[0])
    assert result.message == "Stationary, not a minimum: smallest eigenvalue -1."
    assert (result.x == 0).all()
    assert result.history[0]["kind"] == "not a minimum"


@pytest.mark.parametrize("tolerance", [0.0, 1e-5])
def test_from_the_saddle_itself(tolerance):
    """From (0, 0) negative-curvature-newton reaches a minimum in at most 25 steps, both of them, and says it is one."""
    ends = set()
    for seed in range(20):
        result = refhf.minimize(objective(saddle), (0.0, 0.0), FOUR[3], 25, rng=seed, gradient_tolerance=tolerance)
        assert result.success
        assert from_a_minimum(result.x) <= 1e-6
        assert result.history[0]["source"] == "probe"
        ends.add(np.sign(result.x[1]))
        if not tolerance:
            assert result.message == "Stationary, a minimum: smallest eigenvalue 1."
    assert ends == {-1.0, 1.0}


def discs():
    """100 starts in discs of radius 1e-6 .. 1e-1 around the saddle (promise R18)."""
    rng = np.random.default_rng(0)
    radii, angles = 10 ** rng.uniform(-6, -1, 100), rng.uniform(0, 2 * np.pi, 100)
    return np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("negative-curvature-newton", 10),
        ("truncated-newton", 45),
        ("truncated-newton, Steihaug", 15),
        ("saddle-free-newton", 45),
        ("saddle-free-newton, undamped", 45),
        ("hessian-cg", 45),
        ("hybrid-cg", 20),
        ("gn-cg", 20),
    ],
)
def test_leaves_discs(name, steps):
    """From 100 starts in discs around the saddle a minimum is reached to 1e-6 within the stated steps (R18)."""
    method, options = {**STAYING, **LEAVING}[name]
    for seed, start in enumerate(discs()):
        assert from_a_minimum(path(method, options, start, steps, seed)[-1].theta) <= 1e-6


def test_steihaug_converges_past_rounding():
    """Near a minimum changes of f drown in rounding, and steps are not refused: ||g|| reaches 1e-10 from each disc."""
    for start in discs():
        result = refhf.minimize(
            objective(saddle), start, "truncated-newton", 60, rule="steihaug", gradient_tolerance=1e-10
        )
        assert result.success
        assert result.history[-1]["gradient_norm"] <= 1e-10


def test_newton_is_attracted_from_discs():
    """From the same 100 starts Newton ends at the saddle, and reports it."""
    for start in discs():
        result = refhf.minimize(objective(saddle), start, "newton", 10)
        assert np.abs(result.x).max() <= 1e-8
        assert result.message == "Stationary, not a minimum: smallest eigenvalue -1."


def test_newtons_map():
    """Newton takes y to 2 y^3 / (3 y^2 - 1): cubically to the saddle for |y| < 1/sqrt 5, and there from y to -y."""
    for y in (0.001, 0.1, 0.4, 0.447):
        first, *_, last = path("newton", {}, (0.3, y), 60)
        assert first.theta[1] == pytest.approx(2 * y**3 / (3 * y**2 - 1), rel=1e-12)
        assert np.abs(last.theta).max() <= 1e-8
    fixed = 1 / np.sqrt(5)
    assert path("newton", {}, (0.0, fixed), 1)[0].theta[1] == pytest.approx(-fixed, rel=1e-12)
    assert from_a_minimum(path("newton", {}, (0.3, 0.6), 60)[-1].theta) <= 1e-8


def test_newton_on_the_quadratic_saddle():
    """On x^2 - y^2 one step lands on (0, 0), uphill where |y| > |x|, and is taken all the same."""
    for start in np.random.default_rng(0).normal(size=(20, 2)):
        report = next(refhf.iterate(objective(quadratic_saddle), start, method="newton"))
        assert report.accepted
        assert np.abs(report.theta).max() <= 1e-14
        assert report.smallest_eigenvalue == -2


def test_saddle_free_doubles():
    """Undamped saddle-free Newton takes a small y to 2 y: the way out of a distance eps takes log2(1/eps) steps."""
    for y in (1e-9, 1e-6, 1e-3):
        report = next(refhf.iterate(objective(saddle), (0.5, y), method="saddle-free-newton", damping=0.0))
        assert report.theta == pytest.approx([0, 2 * y], rel=1e-5, abs=1e-14)


def small_network(dtype=float):
    rng = np.random.default_rng(0)
    net = refhf.mlp([4, 5, 3])
    X = rng.normal(size=(40, 4)).astype(dtype)
    return refhf.supervised(net, X, rng.integers(3, size=40)), net.init(rng=1, dtype=dtype)


def test_against_dense_algebra():
    """On a network newton solves (H + lambda I) s = -g, and saddle-free (|H| + lambda I) s = -g, |H| = (H H)^(1/2)."""
    problem, theta = small_network()
    g = problem.value_and_gradient(theta)[1]
    H = problem.hessian(theta) @ np.eye(theta.size)
    s = next(refhf.iterate(problem, theta, method="newton", damping=0.3)).theta - theta
    assert np.linalg.norm(H @ s + 0.3 * s + g) <= 1e-12 * np.linalg.norm(g) * np.linalg.norm(H)
    for subspace in (None, theta.size):
        report = next(refhf.iterate(problem, theta, method="saddle-free-newton", damping=0.3, subspace=subspace))
        s = report.theta - theta
        t = -(g + 0.3 * s)  # |H| s, so that s'|H|^2 s = s'H H s
        assert np.linalg.norm(t) == pytest.approx(np.linalg.norm(H @ s), rel=1e-9)
        assert s @ t == pytest.approx(np.abs(np.linalg.eigvalsh(H)) @ (np.linalg.eigh(H)[1].T @ s) ** 2, rel=1e-9)


def test_krylov_subspace_of_saddle_free():
    """In a subspace of dimension m the step is the saddle-free step of H's projection, and lies in it."""
    problem, theta = small_network()
    g = problem.value_and_gradient(theta)[1]
    H = problem.hessian(theta) @ np.eye(theta.size)
    report = next(refhf.iterate(problem, theta, method="saddle-free-newton", damping=0.1, subspace=4))
    basis = np.linalg.qr(np.column_stack([np.linalg.matrix_power(H, j) @ g for j in range(4)]))[0]
    values, vectors = np.linalg.eigh(basis.T @ H @ basis)
    lifted = basis @ vectors
    assert report.theta - theta == pytest.approx(-lifted @ (lifted.T @ g / (abs(values) + 0.1)), abs=1e-9)
    assert (report.source, report.detail.solver_iterations, report.counts.curvature_products) == (Source.KRYLOV, 4, 4)


def test_newton_in_krylov_subspaces(monkeypatch):
    """Above DENSE unknowns newton solves the same system by Bi-CG-STAB, within its iteration limit, and reports it."""
    problem, theta = small_network()
    want = next(refhf.iterate(problem, theta, method="newton", damping=0.3)).theta
    monkeypatch.setattr(exact_newton, "DENSE", theta.size - 1)
    report = next(refhf.iterate(problem, theta, method="newton", damping=0.3))
    assert report.theta - theta == pytest.approx(want - theta, rel=1e-5, abs=1e-7)
    assert (report.source, report.detail.solver_stop) == (Source.KRYLOV, Stop.CONVERGED)
    assert report.counts.curvature_products >= 2 * report.detail.solver_iterations > 4
    cut = next(refhf.iterate(problem, theta, method="newton", damping=0.3, solver_iterations=2))
    assert (cut.detail.solver_iterations, cut.detail.solver_stop) == (2, Stop.ITERATION_LIMIT)
    monkeypatch.setattr(saddle_free, "DENSE", theta.size - 1)
    report = next(refhf.iterate(problem, theta, method="saddle-free-newton"))
    assert (report.source, report.detail.solver_stop) == (Source.KRYLOV, Stop.INVARIANT_SUBSPACE)
    assert 20 < report.detail.solver_iterations <= min(theta.size, saddle_free.SUBSPACE)


def symmetric(rng, n, shift):
    A = rng.normal(size=(n, n))
    return (A + A.T) / 2 + shift * np.eye(n)


@pytest.mark.parametrize("shift", [0.0, 3.0, 20.0])
def test_truncated_directions_keep_their_promises(shift):
    """Both rules predict g'p + p'Hp/2; Steihaug's p has norm <= radius and is no worse than the Cauchy point."""
    rng = np.random.default_rng(int(shift))
    for _ in range(40):
        n, radius = int(rng.integers(1, 12)), 10.0 ** rng.uniform(-2, 1)
        A, g = symmetric(rng, n, shift), rng.normal(size=n)
        cut = truncated_newton.cut_at_negative_curvature(A, g, 250)
        p = truncated_newton.steihaug(A, g, 250, radius)
        for direction in (cut, p):
            exact = g @ direction.vector + direction.vector @ A @ direction.vector / 2
            assert direction.predicted == pytest.approx(exact, rel=1e-9)
            assert g @ direction.vector < 0
            if direction.negative is not None:
                assert direction.negative @ A @ direction.negative <= 1e-12 * np.linalg.norm(A)
        assert np.linalg.norm(p.vector) <= radius * (1 + 1e-12)
        curvature, length = g @ A @ g, np.linalg.norm(g)
        tau = 1.0 if curvature <= 0 else min(1.0, length**3 / (radius * curvature))
        cauchy = -tau * radius / length * g
        assert p.predicted <= (g @ cauchy + cauchy @ A @ cauchy / 2) * (1 - 1e-9)
        if p.source is Source.NEGATIVE_CURVATURE or p.stop is Stop.TRUST_BOUNDARY:
            assert np.linalg.norm(p.vector) == pytest.approx(radius, rel=1e-12)


def test_the_papers_rule_takes_the_gradient():
    """On two weights from (a, a), a^2 < 1/3, CG meets negative curvature first thing: the step is along -g."""
    report = next(refhf.iterate(objective(two_weights), (0.5, 0.5), method="truncated-newton"))
    assert (report.source, report.detail.solver_stop, report.detail.solver_iterations) == (
        Source.GRADIENT,
        Stop.NEGATIVE_CURVATURE,
        0,
    )
    assert (report.negative_direction == [0.375, 0.375]).all()
    steihaug = next(refhf.iterate(objective(two_weights), (0.5, 0.5), method="truncated-newton", rule="steihaug"))
    assert steihaug.source is Source.NEGATIVE_CURVATURE
    assert np.linalg.norm(steihaug.theta - 0.5) in (pytest.approx(1), 0)


def test_negative_curvature_after_the_first_iteration():
    """CG's iterate is the step, and the direction that ended it is told; without products there is no probe."""
    B = np.diag([4.0, -1.0])
    p = truncated_newton.cut_at_negative_curvature(B, np.array([1.0, 0.5]), 10)
    assert (p.iterations, p.stop, p.source) == (1, Stop.NEGATIVE_CURVATURE, Source.KRYLOV)
    assert p.negative @ B @ p.negative < 0
    none = negative_curvature.probe(np.full((3, 3), np.nan), 3, np.random.default_rng(0), 1.0, 9)
    assert (none.iterations, none.stop, none.vector) == (0, Stop.NON_FINITE, None)


def test_steihaugs_radius():
    """The trust region grows after good steps at its boundary and shrinks after poor ones, which are not taken."""
    options = truncated_newton.TruncatedNewtonOptions(rule="steihaug", radius=1e-3)
    problem, state = (objective(rosenbrock), truncated_newton.init(rosenbrock.start, options, np.random.default_rng(0)))
    state, report = truncated_newton.step(state, problem, options, 1, None)
    assert (state.radius, report.outcome) == (2e-3, Outcome.ACCEPTED)
    assert np.linalg.norm(report.theta - rosenbrock.start) == pytest.approx(1e-3)
    assert (report.source, report.detail.solver_stop) == (
        Source.KRYLOV,
        Stop.TRUST_BOUNDARY,
    )  # the curvature is positive
    bowl = refhf.from_functions(lambda t: float(t @ t), lambda t: 2 * t, hessp=lambda t, v: 2 * v)
    inside, report = truncated_newton.step(
        truncated_newton.TruncatedNewtonState(np.ones(2), 9.0), bowl, options, 1, None
    )
    assert (report.step_length, report.detail.solver_iterations) == (1.0, 1)
    assert (inside.radius, report.detail.rho) == (9.0, pytest.approx(1))  # a good step, and not at the boundary
    state = truncated_newton.TruncatedNewtonState(np.array([0.0, 0.01]), 100.0)
    for radius in (100 / 4, 100 / 16):
        state, report = truncated_newton.step(state, objective(quartic_wall()), options, 2, None)
        assert (state.radius, report.outcome) == (radius, Outcome.POOR_RATIO)
        assert (state.theta == [0.0, 0.01]).all()


def quartic_wall():
    """x^4 + y^4 - y^2: from near the origin the model promises a fall to the boundary, and there is a wall."""
    return saddle._replace(
        value=lambda t: t[0] ** 4 + t[1] ** 4 - t[1] ** 2,
        gradient=lambda t: np.array([4 * t[0] ** 3, 4 * t[1] ** 3 - 2 * t[1]]),
        hessp=lambda t, v: np.array([12 * t[0] ** 2 * v[0], (12 * t[1] ** 2 - 2) * v[1]]),
    )


@pytest.mark.parametrize("mu", [0.1, 0.5, 0.9])
def test_probe_is_sufficient(mu):
    """On 40 indefinite matrices the probe's unit d has d'Hd <= min(0, mu lambda_min), lambda_min by eigh (He, 4.2)."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        n = int(rng.integers(2, 60))
        A = symmetric(rng, n, 0.0) - 0.1 * np.eye(n)
        found = negative_curvature.probe(A, n, rng, mu, 100)
        assert found.negative
        assert found.at_least <= np.linalg.eigvalsh(A)[0] + 1e-12 * np.linalg.norm(A)
        assert np.linalg.norm(found.vector) == pytest.approx(1)
        assert found.vector @ A @ found.vector == pytest.approx(found.value)
        assert found.value <= min(0, mu * np.linalg.eigvalsh(A)[0])


def test_probe_bounds_from_below():
    """When Lanczos is slow, eigenvalues 0.9 - cos(pi i/n), `at_least` is below lambda_min and rises towards it."""
    values = 0.9 - np.cos(np.pi * np.arange(2000) / 2000)
    H = SymmetricOperator(lambda v: values * v, 2000, float)
    for seed in range(5):
        bounds = [
            negative_curvature.probe(H, 2000, np.random.default_rng(seed), 1 - 1e-9, k).at_least for k in (15, 40, 90)
        ]
        assert -np.inf < bounds[0] < bounds[1] < bounds[2] < values[0] < bounds[2] + 0.02


def test_probe_knows_its_kinds():
    """Positive, semidefinite and indefinite matrices give a minimum, a degenerate point and no minimum."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    kinds = {1e-3: Kind.MINIMUM, 1e-12: Kind.DEGENERATE, -1e-12: Kind.DEGENERATE, -1e-3: Kind.NOT_A_MINIMUM}
    for lowest, kind in kinds.items():
        A = (basis * np.append(lowest, np.linspace(1, 5, 19))) @ basis.T
        assert negative_curvature.probe(A, 20, rng, 1.0, 300).kind is kind
    assert negative_curvature.probe(np.zeros((3, 3)), 3, rng, 1.0, 300).kind is Kind.DEGENERATE
    assert negative_curvature.probe(np.full((3, 3), np.nan), 3, rng, 1.0, 300).kind is Kind.UNKNOWN


def test_probe_does_not_claim_what_it_has_not_seen():
    """With one negative eigenvalue among 10,000, a probe of few products says unknown, and of more not a minimum."""
    values = np.append(np.linspace(1, 2, 9999), -1e-3)
    H = SymmetricOperator(lambda v: values * v, 10_000, float)
    for iterations, kind in ((1, Kind.UNKNOWN), (4, Kind.UNKNOWN), (60, Kind.NOT_A_MINIMUM)):
        assert negative_curvature.probe(H, 10_000, np.random.default_rng(0), 1.0, iterations).kind is kind


def test_curvilinear_search():
    """The accepted alpha meets f <= f0 + c alpha^2 (g's + d'Hd/2), and alpha/0.8 does not; a rising path gives 0."""
    for scale in (1e-3, 1.0, 30.0, 1e4):

        def along(alpha, scale=scale):
            t = scale * alpha
            return t**4 - t**2

        search = negative_curvature.curvilinear(along, 0.0, 0.0, -2 * scale**2)
        assert along(search.step_length) == search.value <= -1e-2 * search.step_length**2 * scale**2
        before = search.step_length / 0.8
        assert before > 1 or along(before) > -1e-2 * before**2 * scale**2
    assert negative_curvature.curvilinear(lambda alpha: alpha, 0.0, 0.0, -1.0).step_length == 0
    assert negative_curvature.curvilinear(lambda alpha: np.nan, 0.0, 0.0, -1.0).step_length == 0


def test_the_step_is_on_the_curve():
    """With negative curvature the step is alpha^2 s + alpha d, ||d|| = 1, g'd <= 0, s the truncated Newton step."""
    for seed in range(20):
        surface = high_dimensional(30, 3) if seed % 2 else fenced(0.9)  # the fence makes alpha < 1
        problem = objective(surface)
        theta = 0.2 * np.random.default_rng(seed).normal(size=surface.size)
        g = surface.gradient(theta)
        report = next(refhf.iterate(problem, theta, method=FOUR[3], rng=seed))
        alpha, d = report.step_length, report.negative_direction
        s = truncated_newton.cut_at_negative_curvature(problem.hessian(theta), g, 250).vector
        assert report.source is Source.PROBE
        assert report.theta - theta == pytest.approx(alpha**2 * s + alpha * d, abs=1e-12)
        assert np.linalg.norm(d) == pytest.approx(1)
        assert g @ d <= 0
        assert d @ surface.hessp(theta, d) == pytest.approx(report.smallest_eigenvalue)
        assert (alpha < 1) == (surface.size == 2)


def test_damping():
    """Near a minimum truncated Newton's step solves (H + lambda I) p = -g, as far as its forcing goes."""
    start = np.array([1e-10, 1 + 1e-10])
    report = next(refhf.iterate(objective(saddle), start, method="truncated-newton", damping=3.0))
    assert report.theta - start == pytest.approx(-saddle.gradient(start) / [4, 5], rel=1e-4)


def fenced(limit):
    """The paper's surface where ||theta|| < limit, not a number beyond."""
    return saddle._replace(value=lambda t: saddle.value(t) if np.linalg.norm(t) < limit else np.nan)


def test_beyond_the_fence():
    """A step to where f is not a number is not taken by newton, and passed over by the searches of the others."""
    start = (0.1, 0.6)  # H is nearly singular there: Newton's y is 5.4
    report = next(refhf.iterate(objective(fenced(2)), start, method="newton"))
    assert (report.outcome, tuple(report.theta)) == (Outcome.NON_FINITE, start)
    for method in FOUR[1:]:
        report = next(refhf.iterate(objective(fenced(2)), start, method=method, rng=0))
        assert report.accepted
        assert report.loss == saddle.value(report.theta) < saddle.value(start)


def test_a_lying_gradient():
    """If the gradient points downhill, only Newton, which has no line search, takes a step."""
    liar = rosenbrock._replace(gradient=lambda t: -rosenbrock.gradient(t))
    for method, outcomes in (
        ("truncated-newton", {Outcome.NO_DECREASE}),
        ("saddle-free-newton", {Outcome.NO_DECREASE}),
        ("newton", {Outcome.ACCEPTED}),
    ):
        report = next(refhf.iterate(objective(liar), rosenbrock.start, method=method, rng=0))
        assert report.outcome in outcomes
        assert (report.theta == rosenbrock.start).all() == (not report.accepted)


@pytest.mark.parametrize("name", ["saddle", "rotated-saddle", "two-weights", "high-dimensional", "xor"])
def test_reaches_the_lowest_point_from_each_saddle(name):
    """From every saddle of a bounded surface negative-curvature-newton reaches a global minimum; no other method moves.

    The report says of which kind the end is: a minimum, or on a valley one that H does not decide.
    """
    surface = SURFACES[name]
    for seed in range(3):
        result = refhf.minimize(objective(surface), surface.saddle.theta, FOUR[3], 40, rng=seed)
        assert result.fun - surface.lowest <= 1e-12
        valley = name in ("two-weights", "xor")
        assert result.history[-1]["kind"] == ("degenerate" if valley else "minimum")
        assert result.success
    for method in FOUR[:3]:
        result = refhf.minimize(objective(surface), surface.saddle.theta, method, 40)
        assert (result.nit, result.success) == (1, False)
        assert result.history[0]["smallest_eigenvalue"] == pytest.approx(surface.saddle.eigenvalues[0], rel=1e-7)


def test_a_third_order_saddle_is_not_claimed():
    """At the monkey saddle H = 0: no method moves, none says minimum, and all say that H does not decide."""
    monkey = SURFACES["monkey-saddle"]
    for method in FOUR:
        result = refhf.minimize(objective(monkey), (0.0, 0.0), method)
        assert "does not decide: smallest eigenvalue 0." in result.message


def test_high_dimensional_escape():
    """In 10,000 dimensions with 10 negative eigenvalues it gets from the saddle to the bottom in < 3,000 products."""
    surface = high_dimensional(10_000, 10)
    result = refhf.minimize(objective(surface), surface.saddle.theta, FOUR[3], 25, rng=0)
    assert result.fun - surface.lowest <= 1e-12
    assert result.history[-1]["kind"] == "minimum"
    assert result.history[-1]["curvature_products"] < 3000


def test_beyond_dense():
    """Beyond 500 dimensions newton and saddle-free run in Krylov subspaces; the first is attracted, the second not."""
    surface = high_dimensional(exact_newton.DENSE + 1, 5)
    start = 1e-3 * np.random.default_rng(0).normal(size=surface.size)
    attracted = refhf.minimize(objective(surface), start, "newton", 10, gradient_tolerance=1e-8)
    assert np.linalg.norm(attracted.x) <= 1e-6
    escaped = refhf.minimize(objective(surface), start, "saddle-free-newton", 30)
    assert escaped.fun - surface.lowest <= 1e-6
    assert {record["source"] for record in attracted.history + escaped.history} <= {"krylov", "none"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", list(STAYING)[:6] + FOUR[3:])
def test_on_networks(name, dtype):
    """All run on a network in either precision; those with a line search or a ratio never raise its loss."""
    method, options = {**STAYING, **LEAVING}[name]
    plain = name in ("newton", "saddle-free-newton, undamped", "saddle-free-newton, Krylov")
    problem, theta = small_network(dtype)
    losses = [problem.value(theta)]
    for report in refhf.iterate(problem, theta, method=method, rng=0, **options):
        assert report.theta.dtype == dtype
        if report.accepted and not plain:
            assert report.loss <= losses[-1]
        losses.append(report.loss)
        if report.k == 15 or report.outcome is Outcome.STATIONARY:
            break
    assert np.isfinite(losses).all()
    if not plain:
        assert losses[-1] < 0.5 * losses[0]


def test_xor_units_part_by_the_probe():
    """From equal units a truncated Newton ends above 1/3, where one unit ends; the probe parts them and f goes to 0."""
    alike = refhf.minimize(objective(xor), xor.start, "truncated-newton", 20)
    assert alike.fun >= 1 / 3
    parted = refhf.minimize(objective(xor), xor.start, FOUR[3], 40, rng=0)
    assert parted.fun <= 1e-12
    assert "probe" in {record["source"] for record in parted.history}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("fault", ["value", "gradient", "product"])
@pytest.mark.parametrize("method", FOUR)
def test_faults(method, fault, bad):
    """NaN or Inf in the value, the gradient or a product at call 1 .. 5 never reaches theta, and is not a success."""
    for call in range(1, 6):
        calls = {"value": 0, "gradient": 0, "product": 0}

        def spoilt(name, result, call=call, calls=calls):
            calls[name] += 1
            return result * bad if name == fault and calls[name] == call else result

        problem = refhf.from_functions(
            lambda t: spoilt("value", float(rosenbrock.value(t))),
            lambda t: spoilt("gradient", rosenbrock.gradient(t)),
            lambda t, v: spoilt("product", rosenbrock.hessp(t, v)),
        )
        result = refhf.minimize(problem, rosenbrock.start, method, 8, rng=0)
        assert np.isfinite(result.x).all()
        if calls[fault] >= call and fault != "value":
            assert not result.success


@pytest.mark.parametrize("method", [name for name in METHODS if name.endswith("newton") and name != "replica-newton"])
def test_needs_a_hessian(method):
    """An objective without Hessian products is refused before any work."""
    with pytest.raises(ValueError, match="hessian"):
        METHODS[method].checked(refhf.from_functions(saddle.value, saddle.gradient))


@pytest.mark.parametrize(
    ("method", "option", "given"),
    [
        ("newton", "damping", np.nan),
        ("newton", "solver_iterations", 0),
        ("truncated-newton", "rule", "steihaugh"),
        ("truncated-newton", "radius", 0.0),
        ("truncated-newton", "damping", -1.0),
        ("saddle-free-newton", "damping", -1.0),
        ("saddle-free-newton", "subspace", 0),
        ("negative-curvature-newton", "mu", 1.0),
        ("negative-curvature-newton", "mu", 0),
        ("negative-curvature-newton", "gradient_tolerance", -1.0),
        ("negative-curvature-newton", "probe_iterations", 0),
    ],
)
def test_mistakes(method, option, given):
    """An option out of range is refused by its name, before any work."""
    with pytest.raises(ValueError, match=option):
        refhf.minimize(objective(saddle), (1.0, 0.0), method, **{option: given})


def test_reproducible():
    """The same rng gives the same path to the last bit; y's sign is the random probe's."""
    paths = [path(FOUR[3], {}, (0.0, 0.0), rng=seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert all((a.theta == b.theta).all() for a, b in zip(*paths[:2], strict=True))
    assert len({np.sign(reports[-1].theta[1]) for reports in paths}) == 2
