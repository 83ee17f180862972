"""The processes that work on one job, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from aotlab.utils.devices import pick_device
from aotlab.utils.errors import InputError


@dataclass(frozen=True)
class World:
    """This process among all that share the job."""

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def lead(self) -> bool:
        """Whether this process writes files and speaks for all."""
        return self.rank == 0

    def mean(self, values: list[float]) -> list[float]:
        """The means of these numbers over all ranks; every rank must call it."""
        if self.ranks == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return (sums / self.ranks).tolist()

    def gather(self, item: Any) -> list[Any]:
        """The items of all ranks in order of rank; every rank must call it."""
        if self.ranks == 1:
            return [item]
        items: list[Any] = [None] * self.ranks
        dist.all_gather_object(items, item)
        return items

    def share(self, costs: Sequence[int]) -> list[int]:
        """Numbers of the items that are this rank's: each goes, dearest first, to the rank with the least so far.

        One rank alone takes them in their order.
        """
        if self.ranks == 1:
            return list(range(len(costs)))
        loads: list[int] = [0] * self.ranks
        own = []
        for number in sorted(range(len(costs)), key=lambda number: -costs[number]):
            rank = loads.index(min(loads))
            loads[rank] += costs[number]
            if rank == self.rank:
                own.append(number)
        return own


@contextmanager
def open_world(device: str, *, patience: timedelta | None = None) -> Iterator[World]:
    """Join the processes that torchrun started: nccl between GPUs, gloo otherwise. Alone without torchrun.

    Args:
        device: ``cpu`` or ``cuda``; with several ranks each takes the GPU of its local rank.
        patience: how long a rank waits for the others before it takes them for lost; None: torch's own limit.

    Raises:
        InputError: the device is not usable, or a machine has fewer GPUs than ranks.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        yield World(pick_device(device))
        return
    local = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise InputError(
                f"--nproc-per-node: rank {local} of this machine has no GPU, there are "
                f"{torch.cuda.device_count()}; start no more processes than that"
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    here = pick_device(device)
    dist.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=patience)
    try:
        yield World(here, dist.get_rank(), ranks)
    finally:
        dist.destroy_process_group()
