"""Which memory a tracker has: that of the paper's benchmarks, or one for videos of any length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from aotlab.configs.schema import Config
from aotlab.utils.errors import InputError

Protocol = Literal["bounded", "published"]
"""``published``: memory as the paper evaluates a model; ``bounded``: a memory that never outgrows ``memory.frames``"""
BOUNDED_POLICY = "restricted"
"""stands in for a policy that keeps all frames: the same masks on short videos, bounded memory on long ones"""


def with_protocol(config: Config, protocol: Protocol, overrides: Sequence[str] = ()) -> Config:
    """The settings of a video's tracker under a protocol.

    ``bounded`` replaces `every_nth`, which keeps ever more frames, by `restricted` (RMem), unless ``overrides`` name a
    policy.

    Raises:
        InputError: no such protocol.
    """
    known = get_args(Protocol)
    if protocol not in known:
        raise InputError(f"protocol: must be one of {', '.join(known)}, got {protocol!r}")
    overridden = any(override.startswith("memory.policy=") for override in overrides)
    if protocol == "published" or overridden or config.memory.policy != "every_nth":
        return config
    return replace(config, memory=replace(config.memory, policy=BOUNDED_POLICY))
