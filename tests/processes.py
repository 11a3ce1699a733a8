"""Programs as processes with a hard time limit, under `mpiexec` and alone. Nothing here loads MPI."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
LIMIT = 20  # seconds, R13
OWN_WARNINGS = [  # of a Python: they are errors, but for those of other packages of their future
    "-W", "error", "-W", "default::DeprecationWarning", "-W", "default::PendingDeprecationWarning",
    "-W", "default::FutureWarning",
]  # fmt: skip
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None, reason="needs mpiexec and mpi4py: refhf[mpi]"
)

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
long_only = pytest.mark.skipif(not LONG, reason="needs HYPOTHESIS_PROFILE=long")

NAMESPACES = shutil.which("unshare") and subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True)
needs_namespaces = pytest.mark.skipif(
    not NAMESPACES or NAMESPACES.returncode != 0, reason="needs user namespaces, for a disk of its own"
)


def in_namespace(script, *args):
    """Run a shell's script where it may mount disks; ARGS are its $1, $2 and so on, and $python is this Python."""
    return finish(["unshare", "-rm", "sh", "-c", script, "sh", *map(str, args)], 60.0, {"python": sys.executable})


def mpiexec(ranks, *args, limit=60.0, meanwhile=None, **environment):
    """Run `python ARGS` on that many ranks; kill all of it after `limit` seconds. (exit code, stdout, stderr, seconds).

    With ":" among the arguments, what follows it is run by one rank more. `meanwhile` is called with the launcher's
    process while it runs.
    """
    command, begin = [MPIEXEC], [*map(str, args), ":"]
    while begin:
        end = begin.index(":")
        first = 2 if begin[0] == "-wdir" else 0
        command += ["-n", str(ranks), *begin[:first], sys.executable, *begin[first:end], ":"]
        ranks, begin = 1, begin[end + 1 :]
    return finish(command[:-1], limit, environment, meanwhile)


@contextmanager
def room_for(size):
    """Within it no file grows beyond so many bytes, as on a disk that is full: a write of more is an OSError."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def python(code, **environment):
    """Run this code in a process of its own."""
    return finish([sys.executable, "-c", code], LIMIT, environment)


def finish(command, limit, environment, meanwhile=None):
    """Run a command to its end; a variable of value None is left out of its environment."""
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={name: value for name, value in (os.environ | ONE_THREAD | environment).items() if value is not None},
    )
    if meanwhile:
        meanwhile(process)
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"no end after {limit} s: {command}\n{out}\n{err}")
    return process.returncode, out, err, time.monotonic() - begin
