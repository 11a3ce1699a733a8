"""`refhf info`: versions, processor, BLAS, threads and MPI."""

import argparse
import os
import platform
from typing import Any

import numpy as np

from refhf.lab.cli.shared_arguments import add_json
from refhf.lab.runs.output_folder import to_json, versions
from refhf.text import columns

EXAMPLE = "example: the facts for a bug report\n  refhf info"


def add_info_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    add_json(commands.add_parser("info", help="show versions, BLAS, threads, MPI", epilog=EXAMPLE))


def run_info_command(args: argparse.Namespace) -> int:
    """Print the facts, or their JSON."""
    facts = machine_facts()
    print(to_json(facts) if args.json else "\n".join(columns(facts.items(), 2)))
    return 0


def machine_facts() -> dict[str, str]:
    """Versions, processor, BLAS and its threads, MPI."""
    found = {name: version or "not installed" for name, version in versions().items()}
    mpi = found.pop("mpi4py")
    blas, threads = _blas()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    return {**found, "machine": machine, "BLAS": blas, "BLAS threads": threads, "MPI": _mpi(mpi)}


def _mpi(version: str) -> str:
    return f"mpi4py {version}" if version != "not installed" else "mpi4py is not installed: one process"


def _blas() -> tuple[str, str]:
    """NumPy's BLAS and its threads, from threadpoolctl if installed, else from NumPy's build settings."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{built['name']} {built['version']}", os.environ.get("OMP_NUM_THREADS", "not known (no threadpoolctl)")
    _ = np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    names = sorted({f"{pool['internal_api']} {pool['version']}" for pool in pools})
    return ", ".join(names) or "not known", ", ".join(sorted({str(pool["num_threads"]) for pool in pools}))
