"""Memory settings of a protocol: bounded, or as in the paper's evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from aotlab.configs.load import apply_overrides
from aotlab.configs.schema import BOUNDED_POLICIES, Config, MemoryConfig
from aotlab.configs.settings import changed
from aotlab.utils.errors import require, require_choice

MemoryProtocol = Literal["bounded", "published"]
"""``published``: the memory used in the paper's evaluation; ``bounded``: at most ``memory.frames`` frames."""


def apply_protocol(config: Config, protocol: MemoryProtocol, overrides: Sequence[str] = ()) -> Config:
    """Return the settings for a protocol.

    ``bounded`` replaces `every_nth` with `rmem`, and `first_frame` with a `bounded_fifo` of reference frames only,
    unless ``overrides`` set a policy; a policy in a file of settings is replaced, as those of checkpoints.

    Raises:
        InputError: unknown protocol, or ``overrides`` set ``memory.frames`` for a policy that keeps all frames.
    """
    require_choice(protocol, get_args(MemoryProtocol), "protocol")
    overridden = apply_overrides({"memory": {}}, overrides)["memory"]
    if protocol == "bounded" and "policy" not in overridden:
        config = changed(config, memory=bound_memory(config.memory))
    require(
        "frames" not in overridden or config.memory.is_bounded,
        f"no effect with memory.policy {config.memory.policy}, which keeps all frames",
        subject="memory.frames",
        remedy=f"set the policy to one of {', '.join(BOUNDED_POLICIES)}",
    )
    return config


def bound_memory(memory: MemoryConfig) -> MemoryConfig:
    """Return the settings of a memory of at most ``memory.frames`` frames; until it is full, masks are the same."""
    if memory.policy == "every_nth":
        return changed(memory, policy="rmem")
    return changed(memory, policy="bounded_fifo", max_tracked=0) if memory.policy == "first_frame" else memory
