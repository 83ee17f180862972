"""States of trackers as dicts for `torch.save`, and what they depend on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from aotlab.configs.schema import Config
from aotlab.engine.hooks.hook import Hook
from aotlab.engine.tracking.state import VideoState
from aotlab.networks.model import VOSModel
from aotlab.utils.errors import require
from aotlab.utils.files import MALFORMED, reading
from aotlab.utils.versioned_files import FileKind, unwrap, wrap

TRACKER_STATE = FileKind("tracker state", 18, "save it again")


def save_state(video: VideoState, hooks: Sequence[Hook], fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a tracker in containers, numbers and tensors; ``fingerprint``: `describe_tracker`'s."""
    hook_states = [hook.state_dict() for hook in hooks]
    return wrap(TRACKER_STATE, {"fingerprint": dict(fingerprint), **video.state_dict(), "hooks": hook_states})


def load_state(
    state: dict[str, Any], hooks: Sequence[Hook], fingerprint: Mapping[str, Any], config: Config, device: torch.device
) -> VideoState:
    """Load hooks from a state of `save_state`; return the state of its video.

    Raises:
        InputError: see `Tracker.load_state_dict`; the hooks are unchanged.
    """
    with reading("tracker state", TRACKER_STATE.remedy, RuntimeError, *MALFORMED):
        content = unwrap(TRACKER_STATE, state)
    saved_fingerprint = content["fingerprint"]
    for name, value in fingerprint.items():  # precision first: it changes weights too
        require(saved_fingerprint.get(name) == value, f"saved with other {name}", subject="tracker state")
    video = VideoState.from_state_dict(content, config, device)
    states = list(zip(hooks, content["hooks"], strict=True))
    for hook, hook_state in states:  # copies first, so that an error leaves the tracker unchanged
        hook.fresh().load_state_dict(hook_state)
    for hook, hook_state in states:
        hook.load_state_dict(hook_state)
    return video


def describe_tracker(config: Config, hooks: Sequence[Hook], dtype: torch.dtype, checksum: int) -> dict[str, Any]:
    """Return what a tracker's states depend on: precision, checksum of the weights, settings, hooks."""
    settings = {name: getattr(config, name).model_dump() for name in ("model", "memory", "input", "rules")}
    return {"precision": str(dtype), "weights": checksum, **settings, "hooks": [type(hook).__name__ for hook in hooks]}


def checksum_weights(model: VOSModel) -> int:
    """Return the CRC-32 of the names and values of a model's weights."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    return checksum
