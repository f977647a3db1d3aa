"""The processes that train together: torchrun starts them and tells each its place."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import distributed

from ml.errors import KennelError
from ml.launch import die_with_parent

T = TypeVar("T")

# A rank waits so long for the others: decoding and extraction of uneven shares take their time.
_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Group:
    """A place among `world` processes. The collective calls are made by all of them, in the same order."""

    rank: int = 0  # from 0, over all machines
    world: int = 1
    local_rank: int = 0  # on this machine: the number of the GPU

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share(self, items: list[T]) -> list[T]:
        """Every world-th item, from the rank-th on."""
        return items[self.rank :: self.world]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank, in every one of them."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return cast("list[T]", values)

    def broadcast(self, value: T) -> T:
        """Rank 0's value."""
        if self.world == 1:
            return value
        values: list[Any] = [value]
        distributed.broadcast_object_list(values, src=0)
        return cast(T, values[0])

    def barrier(self) -> None:
        if self.world > 1:
            distributed.barrier()


SINGLE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """The group that torchrun's environment names; without one, a group of one."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        die_with_parent()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield SINGLE
        return
    group = Group(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))
    backend = "gloo"
    if torch.cuda.is_available():
        if group.local_rank >= torch.cuda.device_count():
            raise KennelError(
                "Each process on a machine has a GPU of its own",
                f"{os.environ['LOCAL_WORLD_SIZE']} processes, {torch.cuda.device_count()} GPUs",
                "use fewer processes, or device=cpu",
            )
        torch.cuda.set_device(group.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    store, rank, world = next(distributed.rendezvous("env://", timeout=_TIMEOUT))
    # torchrun's store outlives a restart, and would tell the addresses of the processes that died.
    store = distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=_TIMEOUT)
    try:
        yield group
    except RuntimeError as error:
        if "by peer" not in str(error):  # gloo's words: closed, or reset
            raise
        # What happened, that one tells, or nobody can.
        sys.exit("error: another process of this training has ended")
    finally:
        distributed.destroy_process_group()
