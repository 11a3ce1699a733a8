"""The cells of tests/portability.py, as this machine has them: kernels of OpenBLAS, Pythons, settings and users."""

import glob
import itertools
import json
import os
import platform
import re
import subprocess
import sys
from typing import NamedTuple

KERNELS = {  # what OpenBLAS calls them; which of them are built in, and run on this processor, is tried
    "x86_64": ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids"),
    "aarch64": ("ARMV8", "CORTEXA57", "NEOVERSEN1", "NEOVERSEV1", "NEOVERSEN2", "A64FX"),
}
NUMERICAL = tuple(
    f"tests/test_{name}.py"
    for name in (
        "convolution", "first_order", "krylov", "lanczos", "methods", "network", "newton", "nonlinear_cg",
        "numerical_faults", "objective", "parallel", "pitfalls", "replica_newton", "surfaces", "vectors",
    )
)  # fmt: skip
PROBE = """
import json, platform, sys
import numpy as np, scipy, scipy.linalg
for dtype in np.float32, np.float64:
    x = np.random.default_rng(0).normal(size=(90, 90)).astype(dtype)
    (x @ x.T, x @ x[0], x[0] @ x[1], scipy.linalg.eigh(x @ x.T), scipy.linalg.cholesky(x.T @ x + np.eye(90)))
try:
    from threadpoolctl import threadpool_info
    blas = [(p["architecture"], p["num_threads"]) for p in threadpool_info() if p["internal_api"] == "openblas"]
except ImportError:
    blas = []
try:
    from matplotlib import __version__ as matplotlib
except ImportError:
    matplotlib = None
print(json.dumps({"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
                  "matplotlib": matplotlib, "blas": blas}))
"""


class Home(NamedTuple):
    """A checkout with a virtual environment. Cells of equal homes share one."""

    name: str
    python: str = sys.executable
    extras: str = "[all,test]"
    lowest: bool = False  # the lowest versions that pyproject.toml admits
    editable: bool = True  # otherwise installed apart from the checkout, and the checkout is read-only
    nobody: bool = False  # what runs is a user who is not root, and the checkout is that user's


class Cell(NamedTuple):
    """One way to run the suite."""

    name: str
    meaning: str
    home: Home = Home("plain")
    environment: dict[str, str] = {}
    arguments: tuple[str, ...] = ()


def clean():
    """The environment without what changes Python or the BLAS."""
    return {k: v for k, v in os.environ.items() if not re.match("PYTHON|OPENBLAS_NUM|OMP_|NPY_|MPLBACKEND|LC_|LANG", k)}


def probe(python, **environment):
    """The BLAS and processor of NumPy and SciPy in this environment, or an error text if they do not run."""
    done = subprocess.run(
        [python, "-W", "error", "-c", PROBE], env=clean() | environment, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else (done.stderr.strip().splitlines() or ["died"])[-1]


def kernels(python):
    """Names of the kernels that run here with this Python's NumPy: of two names for one kernel, the first."""
    wanted, names = os.environ.get("OPENBLAS_CORETYPE"), {}
    for name in [wanted] if wanted else KERNELS.get(platform.machine(), ()):
        found = probe(python, OPENBLAS_CORETYPE=name)
        if isinstance(found, dict) and found["blas"]:
            names.setdefault(found["blas"][0][0], name)
    return names.values()


def pythons():
    """The newest interpreter of each minor version from 3.11 on."""
    found = {}
    places = "~/.pyenv/versions/*/bin/python", "/usr/bin/python3.*", "/usr/local/bin/python3.*", sys._base_executable
    for path in itertools.chain.from_iterable(sorted(glob.glob(os.path.expanduser(place))) for place in places):
        ask = "import sys, ensurepip; print(*sys.version_info[:3])"
        done = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False)
        version = tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()
        if version >= (3, 11):
            found.setdefault(version[:2], {})[version] = path
    return {minor: paths[max(paths)] for minor, paths in sorted(found.items())}


def cells(here):
    """All cells of this machine; the table is in their order."""
    for kernel, threads in itertools.product(kernels(sys.executable), "12"):
        setting = {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": threads}
        yield Cell(f"kernel-{kernel}-{threads}", f"{kernel}, BLAS threads: {threads}", environment=setting)
    if here:
        return
    known = pythons()
    for (_, minor), path in known.items():
        yield Cell(f"python-3.{minor}", f"Python 3.{minor}", Home(f"python-3.{minor}", path))
    oldest = known[min(known)]
    yield Cell("lowest", "the lowest versions that pyproject.toml admits", Home("lowest", oldest, lowest=True))
    yield Cell("bare", "without the optional packages", Home("bare", extras="[test]"))
    yield Cell("optimised", "`python -O`", environment={"PYTHONOPTIMIZE": "1"})
    ascii_only = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}  # LC_ALL: with LANG alone Python takes C.UTF-8
    yield Cell("ascii", "`LANG=C`, `PYTHONUTF8=0`", environment=ascii_only)
    yield Cell("blanks", "in a folder with blanks and umlauts", Home("mit Leerzeichen und Ümläuten"))
    public, homeless = "/usr/bin/python3", {"HOME": "/nonexistent"}  # another user may not enter a home folder
    yield Cell("nobody", "a user who is not root", Home("nobody", public, nobody=True), homeless)
    apart = Home("read-only", public, editable=False, nobody=True)
    yield Cell("read-only", "a read-only checkout, installed apart from it", apart, homeless)
    order = "--random-order-bucket=global", f"--random-order-seed={os.getpid()}"
    yield Cell("random-order", f"in random order, seed {os.getpid()}", arguments=order)
    no_avx2 = {"NPY_DISABLE_CPU_FEATURES": "X86_V3"}
    if isinstance(probe(sys.executable, **no_avx2), dict):
        yield Cell("no-X86_V3", "NumPy without AVX2", environment=no_avx2)
