"""Memory settings of a protocol: bounded, or as in the paper's evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from aotlab.configs.load import apply_overrides
from aotlab.configs.schema import Config, MemoryConfig
from aotlab.utils.errors import require_choice

MemoryProtocol = Literal["bounded", "published"]
"""``published``: the memory used in the paper's evaluation; ``bounded``: at most ``memory.frames`` frames"""
BOUNDED_MEMORY = {
    "every_nth": {"policy": "restricted"},
    "first_frame": {"policy": "bounded_fifo", "newest": 0},
}
"""bounded replacements of unbounded policies; masks are the same for up to ``memory.frames`` stored frames"""


def apply_protocol(config: Config, protocol: MemoryProtocol, overrides: Sequence[str] = ()) -> Config:
    """Return the settings for a protocol.

    ``bounded`` replaces `every_nth` with `restricted` (RMem), and `first_frame` with a `bounded_fifo` of reference
    frames only, unless ``overrides`` set a policy; a policy in a file of settings is replaced, as those of checkpoints.
    """
    require_choice(protocol, get_args(MemoryProtocol), "protocol")
    sets_policy = "policy" in apply_overrides({"memory": {}}, overrides)["memory"]
    if protocol == "published" or sets_policy or config.memory.policy not in BOUNDED_MEMORY:
        return config
    return replace(config, memory=bound_memory(config.memory))


def bound_memory(memory: MemoryConfig) -> MemoryConfig:
    """Return the settings of a memory of at most ``memory.frames`` frames."""
    return replace(memory, **BOUNDED_MEMORY.get(memory.policy, {}))  # type: ignore[arg-type]
