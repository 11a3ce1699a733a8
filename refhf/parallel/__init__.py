"""Ranks: communicators that count, shards, sums over ranks, model parallelism, and what communication costs."""

from refhf.parallel.communicator import serial
from refhf.parallel.launch import (
    agree,
    as_communicator,
    end_all,
    guard,
    launched,
    launched_rank,
    mpi,
    share_cores,
)
from refhf.parallel.shards import load_shard, shard
from refhf.parallel.thread_ranks import in_process, run

__all__ = [
    "agree",
    "as_communicator",
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
