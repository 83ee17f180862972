"""Memory settings of a protocol: bounded, or as in the paper's evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from aotlab.configs.load import apply_overrides, read_own_settings
from aotlab.configs.schema import BOUNDED_POLICIES, Config, MemoryConfig
from aotlab.utils.errors import require, require_choice

MemoryProtocol = Literal["bounded", "published"]
"""``published``: the memory used in the paper's evaluation; ``bounded``: at most ``memory.frames`` frames."""


def apply_protocol(
    settings: Config, protocol: MemoryProtocol, *, config: str | Path | None = None, overrides: Sequence[str] = ()
) -> Config:
    """Return the settings for a protocol.

    ``bounded`` replaces `every_nth` with `rmem`, and `first_frame` with a `bounded_fifo` of reference frames only,
    unless the file ``config`` or ``overrides`` set a policy; those of presets and checkpoints are replaced.

    Raises:
        InputError: unknown protocol, or ``overrides`` set ``memory.frames`` for a policy without this limit.
    """
    require_choice(protocol, get_args(MemoryProtocol), "protocol")
    overridden = apply_overrides({"memory": {}}, overrides)["memory"]
    if protocol == "bounded" and "policy" not in {*overridden, *read_own_settings(config).get("memory", ())}:
        settings = settings.replace(memory=bound_memory(settings.memory))
    require(
        "frames" not in overridden or settings.memory.is_bounded,
        f"no effect with memory.policy {settings.memory.policy}, which does not limit the number of frames",
        subject="memory.frames",
        remedy=f"set the policy to one of {', '.join(BOUNDED_POLICIES)}",
    )
    return settings


def bound_memory(memory: MemoryConfig) -> MemoryConfig:
    """Return the settings of a memory of at most ``memory.frames`` frames; until it is full, masks are the same."""
    if memory.policy == "every_nth":
        return memory.replace(policy="rmem")
    return memory.replace(policy="bounded_fifo", max_tracked=0) if memory.policy == "first_frame" else memory
