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
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import describe_error, reading
from aotlab.utils.versioned_files import FileKind, digest, unwrap, wrap

TRACKER_STATE = FileKind("tracker state", 19, "save it again")


def save_state(video: VideoState, hooks: Sequence[Hook], fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a tracker in containers, numbers and tensors; ``fingerprint``: `describe_tracker`'s."""
    hook_states = [{"hook": describe_hook(hook), "state": hook.state_dict()} for hook in hooks]
    return wrap(TRACKER_STATE, {"fingerprint": dict(fingerprint), **video.state_dict(), "hooks": hook_states})


def load_state(
    state: dict[str, Any], hooks: Sequence[Hook], fingerprint: Mapping[str, Any], config: Config, device: torch.device
) -> VideoState:
    """Load hooks from a state of `save_state`; return the state of its video.

    Raises:
        InputError: see `Tracker.load_state_dict`; the hooks are unchanged.
    """
    # JSON and PyTorch raise these for values that no state has
    with reading("tracker state", TRACKER_STATE.remedy, RuntimeError, TypeError):
        content = unwrap(TRACKER_STATE, state)
    saved_fingerprint = content["fingerprint"]
    for name, value in fingerprint.items():  # precision first: it changes weights too
        require(saved_fingerprint.get(name) == value, f"saved with other {name}", subject="tracker state")
    is_same = [saved["hook"] for saved in content["hooks"]] == [describe_hook(hook) for hook in hooks]
    require(is_same, "saved with other hooks", subject="tracker state", remedy="give those that it was saved with")
    video = VideoState.from_state_dict(content, config, device)
    states = [(hook, saved["state"]) for hook, saved in zip(hooks, content["hooks"], strict=True)]
    for hook, hook_state in states:  # copies first, so that an error leaves the tracker unchanged
        hook.fresh().load_state_dict(hook_state)
    for hook, hook_state in states:
        hook.load_state_dict(hook_state)
    return video


def describe_hook(hook: Hook) -> str:
    """Return the class of a hook and the digest of its settings, which are its attributes after `Hook.reset`.

    Raises:
        InputError: an attribute is not a number, text, container, array or tensor.
    """
    name = type(hook).__qualname__
    try:
        return f"{name} {digest(vars(hook.fresh()))}"
    except (TypeError, ValueError, RuntimeError) as error:
        problem = f"its attributes cannot be compared ({describe_error(error)})"
        remedy = "let them be numbers, texts, containers, arrays or tensors"
        raise InputError(problem, subject=f"hook {name}", remedy=remedy) from error


def describe_tracker(config: Config, dtype: torch.dtype, checksum: int) -> dict[str, Any]:
    """Return what a tracker's states depend on: precision, checksum of the weights, settings."""
    settings = {name: getattr(config, name).model_dump() for name in ("model", "memory", "input", "rules")}
    return {"precision": str(dtype), "weights": checksum, **settings}


def checksum_weights(model: VOSModel) -> int:
    """Return the CRC-32 of the names and values of a model's weights."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    return checksum
