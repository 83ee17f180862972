"""States of trackers in mid-video: kind, version and origin."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import Any

import torch

from aotlab.configs.schema import Config
from aotlab.networks.model import VOSModel
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import FileKind, reading_kind, unwrap, wrap

STATES = FileKind("tracker state", 11, "save it again")


def describe_origin(model: VOSModel, config: Config) -> dict[str, Any]:
    """Return the weights' checksum and the settings that a state depends on."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    settings = {name: asdict(getattr(config, name)) for name in ("model", "memory", "input", "rules")}
    return {"weights": checksum, **settings}


def wrap_state(content: dict[str, Any], origin: dict[str, Any]) -> dict[str, Any]:
    """Return a state with its kind, version and digest, and with its origin, the result of `describe_origin`."""
    return wrap(STATES, {"origin": origin, **content})


def unwrap_state(state: object, origin: dict[str, Any]) -> dict[str, Any]:
    """Return the content given to `wrap_state`; raise `InputError` for a state of another origin, or a damaged one."""
    with reading_kind("tracker state", STATES):
        content = unwrap(STATES, state)
        stored = content.pop("origin")
        other = [key for key, value in origin.items() if stored.get(key) != value]
    if other:
        raise InputError(
            f"tracker state: was saved with other settings of {', '.join(other)}; load it with the model, "
            "config and memory settings that it was saved with"
        )
    return content
