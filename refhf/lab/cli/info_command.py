"""`refhf info`: versions, processor, BLAS, threads and MPI; or the options of a method."""

import argparse
import os
import platform
import textwrap
from typing import Any

import numpy as np

from refhf.driver.method_options import MethodOption, options
from refhf.lab.cli.shared_arguments import add_json
from refhf.lab.runs.output_folder import to_json, versions
from refhf.text import columns

EXAMPLE = """\
example: the options of a method, with their defaults, values and meanings
  refhf info gn-cg"""
WIDTH = 110  # letters of a line; our choice


def add_info_command(commands: Any) -> None:
    """Add the command to argparse's subcommands."""
    command = commands.add_parser("info", help="show versions, BLAS, threads, MPI; a method's options", epilog=EXAMPLE)
    command.add_argument("method", nargs="?", metavar="METHOD", help="show its options instead")
    add_json(command)


def run_info_command(args: argparse.Namespace) -> int:
    """Print the facts or the method's options, or their JSON."""
    if args.method is not None:
        found = options(args.method)
        print(to_json({name: option._asdict() for name, option in found.items()}) if args.json else _described(found))
        return 0
    facts = machine_facts()
    print(to_json(facts) if args.json else "\n".join(columns(facts.items(), 2)))
    return 0


def _described(found: dict[str, MethodOption]) -> str:
    """For each option a line of its name, default and values, and its meaning below."""
    lines: list[str] = []
    for name, option in found.items():
        lines.append(f"{name} = {str(option.default).lower()}  ({option.allowed})")
        lines += textwrap.wrap(option.meaning, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


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
