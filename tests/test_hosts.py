"""Ranks on hosts of their own: network namespaces on a bridge, MPI over TCP alone, and a host that is lost."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import LONG, finish, long_only, needs_mpi
from test_ranks_cli import history, tiny

from refhf.lab.cli import entry_point
from refhf.lab.plots import run_figures

HOSTS = Path(__file__).parents[1] / "benchmarks" / "hosts.py"
NUMBERS, CALLS = 318_013, 3
INSIDE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
TRY = "mount -t tmpfs tmpfs /run && ip netns add a && ip link add port1 type veth peer name eth0 netns a"


def hosts_can_be_made():
    """Whether this user may make network namespaces, links between them, and what they need; tried if it matters."""
    if not LONG:
        return False
    if not all(map(shutil.which, ("unshare", "setpriv", "ip"))):
        return False
    return subprocess.run([*INSIDE, "sh", "-c", TRY], check=False, capture_output=True).returncode == 0


pytestmark = [
    needs_mpi,
    long_only,  # 12 processes
    pytest.mark.skipif(
        not hosts_can_be_made(), reason="needs Linux with `ip`, `unshare`, `setpriv`, and leave to make namespaces"
    ),
]


def naming(path):
    """The processes that have this path among their words."""
    found = []
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended
            if str(path).encode() in words.read_bytes():
                found.append(words.parent.name)
    return found


def test_a_run_on_four_hosts_loses_one_and_goes_on_with_two(tmp_path, monkeypatch):
    """R15 over TCP: a host loses its link and its processes; two others end the run with the bits of one process.

    All that an all-reduce sums goes over the link, and none of it through memory that ranks share.
    """
    monkeypatch.setattr(run_figures, "save_figure", lambda *_: None)
    words = ["--data", str(tiny(tmp_path)), "--hidden", "4", "--dtype", "float64", "--method", "gn-cg"]
    command = [sys.executable, str(HOSTS), "--calls", str(CALLS), str(tmp_path), *words]
    code, out, err, _ = finish(command, 900.0, {})
    assert code == 0, err
    found = json.loads(out)
    for ranks in 2, 4:
        sent = 4 * NUMBERS * 2 * (ranks - 1) / ranks  # by halving, the least that any algorithm sends
        assert found[f"all-reduce on {ranks}"]["bytes"] >= sent
    assert found["steps"] > found["reached"] >= 4
    alone = ["train", "--reduction", "reproducible", "--steps", str(found["steps"]), "--out", str(tmp_path / "alone")]
    assert entry_point.main([*alone, *words, "--quiet"]) == 0
    assert history(tmp_path / "run") == history(tmp_path / "alone")
    bits = [np.load(tmp_path / name / "theta.npz")["theta"].tobytes() for name in ("run", "alone")]
    assert bits[0] == bits[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_outlives_the_program(tmp_path, number, code):
    """A signal to the program alone ends what it started: `unshare`, which ignores SIGTERM, `mpiexec` and the ranks."""

    def stop(process):
        while process.poll() is None and len(naming(tmp_path)) < 4:  # itself, `unshare`, the program in it, `mpiexec`
            time.sleep(0.05)
        process.send_signal(number)

    assert finish([sys.executable, str(HOSTS), str(tmp_path)], 60.0, {}, stop)[0] == code
    end = time.monotonic() + 20
    while left := naming(tmp_path):
        assert time.monotonic() < end, left
        time.sleep(0.05)
