"""Ranks of a job started by torchrun."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from aotlab.utils.devices import pick_device, resolve_device
from aotlab.utils.environment import read_count
from aotlab.utils.errors import InputError, RunStopped, is_out_of_memory
from aotlab.utils.locks import locked_output


class RankFailure(RunStopped):
    """Another rank has ended or cannot be reached."""


class SharedInputError(InputError):
    """Bad input that all ranks of a job raise, so that none waits for another."""


@contextmanager
def detect_lost_ranks(remedy: str = "") -> Iterator[None]:
    """Raise `RankFailure` if an exchange between ranks fails in the block, unless memory ran out."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise RankFailure(f"lost contact between ranks ({_format_error(error)}){remedy and f'; {remedy}'}") from error


def _format_error(error: Exception) -> str:
    """Return the message of a PyTorch communication error without source file and explanation."""
    first = re.sub(r"^\[[^\]]*\.cc:[0-9]+\]\s*", "", str(error).partition("\n")[0])
    return re.split(r"\. (?=[A-Z])", first)[0].strip() or type(error).__name__


@dataclass(frozen=True)
class Distributed:
    """This process among the ranks of a job."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def mean(self, values: list[float]) -> list[float]:
        """Return the means of these numbers over all ranks; every rank must call it."""
        if self.world_size == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        with detect_lost_ranks():
            dist.all_reduce(sums)
            return (sums / self.world_size).tolist()

    @contextmanager
    def lock_output(self, folder: Path) -> Iterator[None]:
        """Lock an output folder as `locked_output` does, on the main rank; the others wait, and raise its error."""
        with ExitStack() as lock:
            with self.share_errors():
                if self.is_main:
                    lock.enter_context(locked_output(folder))
            yield

    @contextmanager
    def share_errors(self) -> Iterator[None]:
        """Raise the first `InputError` of any rank in the block on all ranks; the block must not exchange anything."""
        error = None
        try:
            yield
        except InputError as caught:
            error = caught
        first = next(filter(None, self.gather(error)), None)
        if first is not None and self.world_size > 1:
            raise SharedInputError(first.problem, subject=first.subject, remedy=first.remedy) from error
        if error is not None:
            raise error

    def barrier(self) -> None:
        """Wait until every rank calls this."""
        self.gather(None)

    def gather(self, item: Any, remedy: str = "") -> list[Any]:
        """Return the items of all ranks in order of rank; every rank must call it. ``remedy``: end of an error."""
        if self.world_size == 1:
            return [item]
        items: list[Any] = [None] * self.world_size
        with detect_lost_ranks(remedy):
            dist.all_gather_object(items, item)
        return items


@contextmanager
def join_process_group(device: str, *, timeout: timedelta | None = None) -> Iterator[Distributed]:
    """Join the processes started by torchrun: nccl between GPUs, gloo otherwise. Without torchrun: a single rank.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; with several ranks, each uses the GPU of its local rank.
        timeout: time after which waiting for other ranks fails; None: PyTorch's default.

    Raises:
        InputError: the device is not usable, or torchrun's variables are incomplete.
        SharedInputError: raised by the block, on all ranks.
        RunStopped: the processes cannot join, or the block of one of several ranks raised `InputError`.
    """
    ranks = read_count("WORLD_SIZE") if "WORLD_SIZE" in os.environ else 1
    if ranks == 1:
        yield Distributed(pick_device(device))
        return
    try:
        local_device = _init_process_group(device, timeout)
        yield Distributed(local_device, dist.get_rank(), ranks)
    except SharedInputError:
        raise
    except InputError as error:
        raise RunStopped(str(error)) from error  # other ranks may not see it
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _init_process_group(device: str, timeout: timedelta | None) -> torch.device:
    """Join the process group and return this rank's device."""
    name = resolve_device(device)
    local_device = pick_device(f"cuda:{read_count('LOCAL_RANK')}" if name == "cuda" else name)
    if local_device.type == "cuda":
        torch.cuda.set_device(local_device)
    try:
        dist.init_process_group("nccl" if local_device.type == "cuda" else "gloo", timeout=timeout)
    except (ValueError, RuntimeError) as error:
        address = ":".join(os.environ.get(name, name) for name in ("MASTER_ADDR", "MASTER_PORT"))
        raise InputError(
            f"the processes cannot join there ({_format_error(error)})",
            subject=address,
            remedy="start them with torchrun, on a free --master-port",
        ) from error
    return local_device
