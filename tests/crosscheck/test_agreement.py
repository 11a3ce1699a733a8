"""refhf against other libraries: the digits to which they agree, printed as a table. Run by `make crosscheck`.

Products on small networks in float64, by the peers of `benchmarks/curvature_products.py`; solvers iterate by iterate.
"""

import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import refhf

pytestmark = pytest.mark.filterwarnings("ignore")  # what other libraries say of themselves
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "curvature_products.py"
DIGITS = 11  # at least: sums in another order
ITERATIONS = 12


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("curvature_products", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if importlib.util.find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)  # without it float64 is float32 there
    return module


def digits(x, y):
    """Digits of agreement of two vectors, by norm; 17 are all."""
    return -np.log10(max(np.linalg.norm(np.asarray(x) - y) / np.linalg.norm(y), 1e-17))


@pytest.mark.parametrize("hessian", [True, False], ids=["hessian", "gauss-newton"])
@pytest.mark.parametrize("place", [0, 1], ids=["one hidden layer", "two"])
def test_products_agree(place, hessian, bench, capsys):
    """Each library that is installed gives refhf's product to 11 digits."""
    sizes, batch = bench.SMALL[place]
    _, found, absent = bench.prepare(bench.make_case(sizes, batch, np.float64, hessian), bench.PEERS)
    with capsys.disabled():
        print(f"\n{'-'.join(map(str, sizes))}, {'Hessian' if hessian else 'Gauss-Newton'}: digits of agreement")
        for name in bench.PEERS:
            print(f"  {name:<16}{f'{found[name]:5.1f}' if name in found else absent[name]}")
    assert len(found) > 1, "no other library is installed"
    assert {name: value for name, value in found.items() if value < DIGITS} == {}
    assert not [why for why in absent.values() if why.startswith("WRONG")]


def system(n=40):
    """A symmetric positive definite system of condition 100."""
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return vectors @ np.diag(np.geomspace(1, 100, n)) @ vectors.T, rng.normal(size=n)


def iterates_of(solve, A, b, **options):
    """The x of each iteration, as the library's callback gets it."""
    kept = []
    solve(A, b, callback=lambda x: kept.append(np.array(x)), **options)
    return kept


def libraries():
    """(name, its kind, its iterates of a system)."""
    from scipy.sparse import linalg

    options = {"rtol": 0.0, "atol": 0.0, "maxiter": ITERATIONS}
    yield "SciPy", "cg", lambda A, b: iterates_of(linalg.cg, A, b, **options)
    yield "SciPy", "bicgstab", lambda A, b: iterates_of(linalg.bicgstab, A, b, **options)
    if importlib.util.find_spec("pyamg"):
        from pyamg import krylov

        other = {"tol": 1e-300, "maxiter": ITERATIONS}
        yield "pyamg", "cg", lambda A, b: iterates_of(krylov.cg, A, b, **other)
        yield "pyamg", "bicgstab", lambda A, b: iterates_of(krylov.bicgstab, A, b, **other)


@pytest.mark.parametrize(
    ("library", "kind", "iterates"), list(libraries()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_solvers_agree_iterate_by_iterate(library, kind, iterates, capsys):
    """Twelve iterates of each solver are refhf's, to nine digits: the later have had more rounding to grow from."""
    A, b = system()
    mine = refhf.cg_iterates(A, b) if kind == "cg" else refhf.bicgstab_iterates(A, b)
    mine = [it.x.copy() for it in islice(mine, ITERATIONS + 1)][1:]
    theirs = iterates(A, b)
    theirs = theirs[-ITERATIONS:] if len(theirs) > ITERATIONS else theirs
    assert len(theirs) == ITERATIONS
    found = [digits(x, y) for x, y in zip(theirs, mine, strict=True)]
    with capsys.disabled():
        print(f"\n{kind}, {library}: digits of agreement, iterate by iterate: " + " ".join(f"{d:.1f}" for d in found))
    assert min(found) > 9
