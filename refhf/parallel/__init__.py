"""Ranks: communicators that count, shards, sums over ranks, model parallelism, and what communication costs."""

from refhf.parallel.communicator import launched, mpi, serial
from refhf.parallel.launch import agree, guard, share_cores
from refhf.parallel.shards import load_shard, shard
from refhf.parallel.threads import in_process, run

__all__ = ["agree", "guard", "in_process", "launched", "load_shard", "mpi", "run", "serial", "shard", "share_cores"]
