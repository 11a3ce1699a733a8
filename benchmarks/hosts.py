"""Four hosts on one machine: MPI over TCP alone, and a host that is lost in the middle of a run.

    python benchmarks/hosts.py [--calls N] [FOLDER [WORDS OF refhf train ...]]

Each host is a network namespace with its own address and name, on a bridge. `mpiexec` reaches them by a launcher of
two lines. All of it runs inside `unshare`: the system takes the namespaces and all processes away when the program ends
or is killed. It needs Linux with `ip`, `unshare` and `setpriv`, as root or where users may make namespaces.

1. An all-reduce of 318,013 float32 on 2 and on 4 hosts: the best and the median of the calls, and the bytes that the
   first host sent.
2. `refhf train --reduction reproducible` on 4 hosts, in FOLDER/run. After some steps the first host, whose rank writes
   the checkpoints, loses its link and all its processes. `mpiexec` is ended, as a batch system does when it loses a
   node. Two other hosts resume the run.

Prints JSON. MPIR_CVAR_NOLOCAL=1 keeps MPICH's own shared memory out, and UCX_TLS=tcp,self that of UCX beneath it;
with the first alone, UCX sends nothing over the link.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NUMBERS = 318_013  # of a gradient of 784-400-10 and what travels with it (refhf.parallel.reduction)
HOSTS = 1, 2, 3, 4
LOST, STEPS = 1, 4  # the host that is lost, after so many steps
FURTHER = 10  # steps of the resumed run
INSIDE = [  # setpriv: `unshare` ignores SIGTERM, and would outlive this process
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--uts",
    "--pid",
    "--mount-proc",
    "--fork",
    "--kill-child",
]
TCP = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "OPENBLAS_NUM_THREADS": "1"}
LAUNCHER = """#!/bin/sh
# mpiexec -launcher rsh calls it as: launcher ADDRESS WORDS OF A SHELL COMMAND ...
host=host${1##*.}
shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"
"""
TRAIN = ["--data", "mnist-mini", "--hidden", "20", "--method", "gn-cg", "--curvature-batch", "500"]


def ip(*words):
    """What `ip WORDS` prints."""
    return subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True).stdout


def connect(folder):
    """Make the hosts and the bridge; write the launcher."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    ip("link", "set", "lo", "up")
    ip("link", "add", "bridge0", "type", "bridge")
    ip("address", "add", "10.77.0.254/24", "dev", "bridge0")
    ip("link", "set", "bridge0", "up")
    for n in HOSTS:
        ip("netns", "add", f"host{n}")
        ip("link", "add", f"port{n}", "type", "veth", "peer", "name", "eth0", "netns", f"host{n}")
        ip("link", "set", f"port{n}", "master", "bridge0", "up")
        ip("-n", f"host{n}", "address", "add", f"10.77.0.{n}/24", "dev", "eth0")
        for link in "lo", "eth0":
            ip("-n", f"host{n}", "link", "set", link, "up")
    launcher = folder / "launcher"
    launcher.write_text(LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)


def start(folder, hosts, *words):
    """`mpiexec` of `python WORDS`, a rank on each of the hosts; stderr goes to a file."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [shutil.which("mpiexec", path=path), "-iface", "bridge0", "-launcher", "rsh"]
    command += ["-launcher-exec", folder / "launcher", "-hosts", ",".join(f"10.77.0.{n}" for n in hosts)]
    with (folder / "stderr.txt").open("a", encoding="utf-8") as said:
        return subprocess.Popen(
            [*command, sys.executable, *words], stdout=subprocess.PIPE, stderr=said, text=True, env=os.environ | TCP
        )


def finished(folder, process):
    """The standard output of a process that ends well."""
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"ended with {process.returncode}:\n" + (folder / "stderr.txt").read_text(encoding="utf-8"))
    return out


def sent(host):
    """Bytes that the bridge received from a host so far."""
    return json.loads(ip("-json", "-statistics", "link", "show", f"port{host}"))[0]["stats64"]["rx"]["bytes"]


def all_reduce(folder, hosts, calls):
    """Seconds of an all-reduce, and the bytes a call that the first host sent."""
    before = sent(1)
    seconds = json.loads(finished(folder, start(folder, hosts, __file__, "--rank", str(calls))))
    each = (sent(1) - before) / calls
    return {"best": min(seconds), "median": statistics.median(seconds), "bytes": round(each)}


def rank(calls):
    """One rank of `all_reduce`; the first prints its seconds."""
    import numpy as np
    from mpi4py import MPI

    comm, x, seconds = MPI.COMM_WORLD, np.zeros(NUMBERS, np.float32), []
    for _ in range(calls):
        comm.Barrier()
        begin = time.perf_counter()
        comm.Allreduce(MPI.IN_PLACE, x)
        seconds.append(time.perf_counter() - begin)
    if comm.rank == 0:
        print(json.dumps(seconds))


def wait_for(what, process, limit=600.0):
    """Return once `what()` is true; exit if the process ends before, or at the limit."""
    end = time.monotonic() + limit
    while not what():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            sys.exit(f"mpiexec: ended with {process.returncode}, or not within {limit:.0f} s")
        time.sleep(0.002)


def lose_a_host(folder, words):
    """Train on all hosts, lose one, resume on two: seconds since the loss, and the steps at each point."""
    run, begin = folder / "run", time.monotonic()

    def steps():
        """Steps that are in the history on disk."""
        path = run / "history.jsonl"
        return path.read_bytes().count(b"\n") - 1 if path.exists() else -1

    train = ["-m", "refhf", "train", "--reduction", "reproducible", "--checkpoint-every", "2", "--quiet"]
    process = start(folder, HOSTS, *train, "--steps", "100000", "--out", str(run), *words)
    wait_for(lambda: steps() >= STEPS, process)
    first, loss = time.monotonic() - begin, time.monotonic()
    ip("link", "set", f"port{LOST}", "down")
    for pid in ip("netns", "pids", f"host{LOST}").split():
        with contextlib.suppress(ProcessLookupError):  # it ended with another
            os.kill(int(pid), signal.SIGKILL)
    told = process.poll()  # None: mpiexec does not see it
    process.kill()
    process.wait()
    others = [n for n in HOSTS if n != LOST]
    while any(ip("netns", "pids", f"host{n}").strip() for n in others):
        time.sleep(0.002)
    ended, reached = time.monotonic() - loss, steps()
    resume = ["-m", "refhf", "train", "--resume", str(run), "--steps", str(reached + FURTHER), "--quiet"]
    process = start(folder, others[:2], *resume)
    wait_for(lambda: steps() > reached or process.poll() == 0, process)
    resumed = time.monotonic() - loss
    finished(folder, process)
    return {
        "first steps": first,
        "noticed": told,
        "ended": ended,
        "reached": reached,
        "resumed": resumed,
        "steps": steps(),
    }


def inside(arguments):
    """Everything."""
    folder = arguments.folder
    connect(folder)
    found = {f"all-reduce on {n}": all_reduce(folder, HOSTS[:n], arguments.calls) for n in (2, 4)}
    print(json.dumps(found | lose_a_host(folder, arguments.words or TRAIN), indent=1))


def outside(arguments):
    """The status of this program inside the namespaces, which end with this process, whatever ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the temporary folder goes away
    with tempfile.TemporaryDirectory() as temporary:
        words = ["--inside", "--calls", arguments.calls, arguments.folder or temporary, *arguments.words]
        return subprocess.call([*INSIDE, sys.executable, __file__, *map(str, words)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=50, help="all-reduces that are timed; default: %(default)s")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("folder", type=Path, nargs="?", help="an empty folder; default: a temporary one")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="of refhf train: the data and the method")
    given = parser.parse_args()
    if given.rank:
        rank(given.rank)
    elif given.inside:
        inside(given)
    else:
        sys.exit(outside(given))
