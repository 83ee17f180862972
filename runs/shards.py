"""Shards of a list of jobs, tracked by processes that do not communicate."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from aotlab.utils.environment import read_count
from aotlab.utils.errors import InputError, require

SHARD_SYNTAX = "expected I/N with I from 0 to N-1, for example 0/8; or auto, in a job of Slurm or Kubernetes"


@dataclass(frozen=True)
class Shard:
    """Part of a list of jobs: ``index`` of ``count``, from 0."""

    index: int
    count: int

    def __post_init__(self) -> None:
        require(self.index in range(self.count), SHARD_SYNTAX, subject=self)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``, or ``auto``: the shard of this process of Slurm or Kubernetes."""
        if text == "auto":
            return _read_scheduler()
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if match is None:
            raise InputError(SHARD_SYNTAX, subject=text[:40])
        return cls(int(match[1]), int(match[2]))


def _read_scheduler() -> Shard:
    """Return the shard in environment variables; each srun task takes a part of the shard of its array task."""
    shards = []
    if "SLURM_ARRAY_TASK_ID" in os.environ:  # --array=1-15:2 counts from 1 in steps of 2
        first, last, count = (read_count(f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "MAX", "COUNT"))
        step = read_count("SLURM_ARRAY_TASK_STEP")
        if (last - first) // step + 1 != count:
            raise InputError(
                "must be a range such as --array=0-15", subject=f"array of {count} tasks from {first} to {last}"
            )
        shards.append(Shard((read_count("SLURM_ARRAY_TASK_ID") - first) // step, count))
    if "SLURM_STEP_NUM_TASKS" in os.environ:  # only srun sets it; outside, SLURM_PROCID is 0
        shards.append(Shard(read_count("SLURM_PROCID"), read_count("SLURM_STEP_NUM_TASKS")))
    if "JOB_COMPLETION_INDEX" in os.environ:
        shards.append(Shard(read_count("JOB_COMPLETION_INDEX"), read_count("JOB_COMPLETIONS")))
    require(shards, "no variables of a scheduler", subject="auto", remedy=SHARD_SYNTAX)
    shard = shards[0]
    for part in shards[1:]:
        shard = Shard(shard.index + part.index * shard.count, shard.count * part.count)
    return shard
