"""Shards of a list of jobs, tracked by processes that do not communicate."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aotlab.utils.environment import count_ranks, read_count
from aotlab.utils.errors import InputError

ARRAY_VARIABLES = (
    "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP",
)  # fmt: skip
"""index, count, first index and step of a Slurm array"""
SHARD_VARIABLES = (
    ARRAY_VARIABLES,
    ("RANK", "WORLD_SIZE"),
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)
"""index and count as set by Slurm arrays, torchrun, Kubernetes (which sets the index only) and srun, in this order"""


@dataclass(frozen=True)
class Shard:
    """Part of a list of jobs: ``index`` of ``count``, from 0."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``, or ``auto``: the values of the first `SHARD_VARIABLES` of which the index is set.

        The processes of torchrun divide the shard of their Slurm array task, or ``I/N``.
        """
        index, _, count = (_read_scheduler() if text == "auto" else text).partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise InputError(
                f"{text[:40]}: expected I/N with I from 0 to N-1, for example 0/8; or auto, in a job of Slurm, "
                f"torchrun or Kubernetes (found {index or 'nothing'}/{count or 'nothing'})"
            )
        shard = cls(int(index), int(count))
        has_rank = text == "auto" and ARRAY_VARIABLES[0] not in os.environ
        return shard if has_rank else shard.divide()

    def divide(self) -> Shard:
        """Return the part of this process of torchrun; the shard itself without torchrun."""
        ranks = count_ranks()
        rank = read_count("RANK") if ranks > 1 else 0
        return Shard(self.index + rank * self.count, self.count * ranks)


def _read_scheduler() -> str:
    """Return ``I/N`` of the first `SHARD_VARIABLES` of which the index is set; empty without any."""
    names = next((names for names in SHARD_VARIABLES if names[0] in os.environ), ())
    values = [read_count(name, minimum=int(name.endswith("STEP"))) for name in names]
    if len(values) > 2:  # --array=1-15:2 counts from 1 in steps of 2
        values[0] = (values[0] - values[2]) // values[3]
    return "/".join(map(str, values[:2]))
