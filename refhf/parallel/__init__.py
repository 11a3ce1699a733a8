"""Ranks: communicators that count, shards, sums over ranks, model parallelism, and what communication costs."""

from refhf.parallel.communicator import launched, launched_rank, mpi, serial
from refhf.parallel.launch import agree, end_all, guard, share_cores
from refhf.parallel.shards import load_shard, shard
from refhf.parallel.threads import in_process, run

__all__ = [
    "agree",
    "end_all",
    "guard",
    "in_process",
    "launched",
    "launched_rank",
    "load_shard",
    "mpi",
    "run",
    "serial",
    "shard",
    "share_cores",
]
