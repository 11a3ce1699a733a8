"""GNU Octave: pcg, pcr, bicgstab, bicg, cgs and gmres, each call a process."""

import shutil
import subprocess

import numpy as np

PACKAGE = "octave"
if not shutil.which("octave-cli"):
    raise ImportError("no octave-cli on the path")
VERSION = subprocess.run(["octave-cli", "--version"], capture_output=True, text=True, check=True).stdout.split()[3]


def matrix(A):
    return "[" + ";".join(" ".join(repr(float(x)) for x in row) for row in A) + "]"


def of(name, restarts=False):
    def solver(A, b, x0=None, rtol=1e-5, maxiter=None):
        if not isinstance(A, np.ndarray):
            raise TypeError("arrays only")
        start = "[]" if x0 is None else matrix(x0[:, None])
        count = f"[], {rtol!r}, {len(b)}" if restarts else f"{rtol!r}, {maxiter}"
        call = f"[x, flag] = {name}(A, b, {count}, [], [], {start});"
        system = f"warning('off'); A = {matrix(A)}; b = {matrix(b[:, None])};"
        text = f"{system} {call} printf('%d', flag); printf(' %.17g', x);"
        run = subprocess.run(["octave-cli", "--norc", "--eval", text], capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(run.stderr.strip())
        flag, *x = run.stdout.split()
        return np.array([float(number) for number in x]), int(flag)

    return solver


SOLVERS = {
    "pcg": ("cg", of("pcg")),
    "pcr": (None, of("pcr")),
    "bicgstab": (None, of("bicgstab")),
    "bicg": (None, of("bicg")),
    "cgs": (None, of("cgs")),
    "gmres": (None, of("gmres", restarts=True)),
}
