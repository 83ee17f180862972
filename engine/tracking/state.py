"""States of trackers in mid-video: packing, origin and reading."""

from __future__ import annotations

import zlib
from copy import deepcopy
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import BankState
from aotlab.engine.tracking.objects import ObjectTable
from aotlab.engine.tracking.rules import RULES, Rule
from aotlab.engine.tracking.view import View, WholeFrame
from aotlab.engine.tracking.window import FollowingWindow
from aotlab.networks.model import VOSModel
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import FileKind, reading_kind, unwrap, wrap

VIEWS = (WholeFrame, FollowingWindow)
STATES = FileKind("tracker state", 7, "save it again")


@dataclass
class TrackerState:
    """State of a tracker in the middle of a video."""

    length: int | None
    steps: int
    frame_shape: tuple[int, ...] | None
    objects: ObjectTable
    view: View | None
    rules: list[Rule]
    banks: list[BankState]


def describe_origin(model: VOSModel, config: Config) -> dict[str, Any]:
    """Return the weights' checksum and the settings that a state depends on."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    settings = {name: asdict(getattr(config, name)) for name in ("model", "memory", "input", "rules")}
    return {"weights": checksum, **settings}


def write_state(state: TrackerState, origin: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a state in containers, numbers and tensors; ``origin``: result of `describe_origin`."""
    return wrap(STATES, {"origin": origin, **pack(state)})


def read_state(state: object, origin: dict[str, Any], device: torch.device) -> TrackerState:
    """Copy the result of `write_state` to a device.

    Raises:
        InputError: a state of another origin, or damaged.
    """
    with reading_kind("tracker state", STATES):
        content = unwrap(STATES, state)
        stored = content.pop("origin")
        other = [key for key, value in origin.items() if stored.get(key) != value]
    if other:
        raise InputError(
            f"tracker state: was saved with other settings of {', '.join(other)}; load it with the model, "
            "config and memory settings that it was saved with"
        )
    with reading_kind("tracker state", STATES):
        return unpack(TrackerState, content, device)


def pack(value: Any) -> Any:
    """Copy dataclasses, containers, arrays and numbers to what ``torch.load(weights_only=True)`` reads.

    A dataclass becomes a dictionary of its fields and of its name under ``class``.
    """
    if is_dataclass(value):
        packed = {field.name: pack(getattr(value, field.name)) for field in fields(value) if field.init}
        return {"class": type(value).__name__, **packed}
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    if isinstance(value, range):
        return [value.start, value.stop]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value.clone() if isinstance(value, Tensor) else value


def unpack(kind: Any, value: Any, device: torch.device) -> Any:
    """Copy a value of `pack` to an annotated type, for `View` and `Rule` to one of `VIEWS` and `RULES`.

    Raises an exception if it does not fit.
    """
    container, inner = get_origin(kind) or kind, get_args(kind)
    if container is UnionType:  # with None
        (kind,) = (option for option in inner if option is not NoneType)
        return None if value is None else unpack(kind, value, device)
    if container in (list, tuple):  # all of one type
        return container(unpack(inner[0], item, device) for item in value)
    if container is dict:
        return {key: unpack(inner[1], item, device) for key, item in value.items()}
    if kind is Tensor:
        if not value.isfinite().all():
            raise ValueError("memory that is not finite")
        return value.to(device, copy=True)
    if kind is np.ndarray:
        return value.numpy().copy()
    if kind is range:
        return range(*value)
    if kind in (int, float, bool):
        return kind(value)
    if kind is Any:
        return deepcopy(value)
    if issubclass(kind, tuple):  # a NamedTuple
        parts = zip(get_type_hints(kind).values(), value, strict=True)
        return kind(*(unpack(*part, device) for part in parts))
    kinds = (kind, *(option for option in (*VIEWS, *RULES.values()) if issubclass(option, kind)))
    kind = {option.__name__: option for option in kinds}[value["class"]]
    hints = get_type_hints(kind)
    return kind(
        **{name: unpack(hints[name], item, device) for name, item in value.items() if name != "class"}
    )
