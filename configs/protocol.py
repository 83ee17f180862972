"""Memory protocols: the published one for benchmarks, a bounded one for videos of any length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from aotlab.configs.schema import Config
from aotlab.utils.errors import InputError

Protocol = Literal["bounded", "published"]
"""``published``: the memory used in the paper's evaluation; ``bounded``: at most ``memory.frames`` frames"""
BOUNDED_POLICY = "restricted"
"""replacement for a policy without a bound: same masks on short videos, bounded memory on long ones"""


def with_protocol(config: Config, protocol: Protocol, overrides: Sequence[str] = ()) -> Config:
    """Return the settings for a protocol.

    ``bounded`` replaces `every_nth` with `restricted` (RMem), unless ``overrides`` set a policy.

    Raises:
        InputError: unknown protocol.
    """
    known = get_args(Protocol)
    if protocol not in known:
        raise InputError(f"protocol: must be one of {', '.join(known)}, got {protocol!r}")
    overridden = any(override.startswith("memory.policy=") for override in overrides)
    if protocol == "published" or overridden or config.memory.policy != "every_nth":
        return config
    return replace(config, memory=replace(config.memory, policy=BOUNDED_POLICY))
