"""The state of a tracker in the middle of a video: whose it is, and reading it before anything is changed."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import Any, NamedTuple

import torch

from aotlab.configs.schema import Config
from aotlab.engine.inputs import Size
from aotlab.engine.memory import MemoryBank, build_bank
from aotlab.engine.objects import ObjectTable
from aotlab.networks.model import Model
from aotlab.networks.preprocess import network_size
from aotlab.utils.errors import InputError


class TrackerState(NamedTuple):
    """What `Tracker.load_state_dict` takes over."""

    length: int | None
    objects: ObjectTable
    banks: list[MemoryBank]
    frame_shape: tuple[int, ...] | None
    network_size: Size
    one_group_at_a_time: bool


def made_by(model: Model, config: Config) -> dict[str, Any]:
    """What must be the same for a state to mean the same."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    settings = {name: asdict(getattr(config, name)) for name in ("model", "memory", "input")}
    return {"weights": checksum, **settings}


def read_state(state: object, expected: dict[str, Any], config: Config, device: torch.device) -> TrackerState:
    """Read what `Tracker.state_dict` gave.

    Args:
        state: what was given.
        expected: `made_by` of the tracker that reads it.
        config: of that tracker.
        device: for its memory.

    Raises:
        InputError: the state is of other weights or settings, or damaged.
    """
    found = state.get("made_by") if isinstance(state, dict) else None
    if not isinstance(state, dict) or not isinstance(found, dict):
        raise InputError("tracker state: is none; give what state_dict() of a tracker returned")
    other = [key for key, value in expected.items() if found.get(key) != value]
    if other:
        raise InputError(
            f"tracker state: was saved with other settings of {', '.join(other)}; load it with the model, "
            "config and memory settings that it was saved with"
        )
    try:
        return _read(state, config, device)
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"tracker state: damaged ({reason}); save it again") from error


def _read(state: dict[str, Any], config: Config, device: torch.device) -> TrackerState:
    """The state; raises whatever a damaged one raises."""
    objects, length = ObjectTable(config.model.max_objects), state["length"]
    objects.load_state_dict(state["objects"])
    banks = [build_bank(config.memory, length=length) for _ in objects.batches]
    for bank, groups, bank_state in zip(banks, objects.batches, state["banks"], strict=True):
        _require_numbers(bank_state, len(groups))
        _require_tensors(bank_state, len(groups), [stage.depth for stage in config.model.stages])
        bank.load_state_dict(bank_state, device)
    shape = None if state["frame_shape"] is None else tuple(state["frame_shape"])
    size: Size = (0, 0)
    if shape is not None:
        _require(len(shape) == 3 and all(_counts(side) and side > 0 for side in shape), "frame_shape")
        size = network_size(shape[:2], config.input, align_corners=config.model.align_corners)
    return TrackerState(length, objects, banks, shape, size, bool(state["one_group_at_a_time"]))


def _require_numbers(state: dict[str, Any], groups: int) -> None:
    """Raise ValueError unless a bank's frames can be those of this many groups."""
    kept, count = state["kept"], len(state["kept"][0])
    frames = [number for group in kept for number in group]
    _require(len(kept) == groups and count > 0 and all(len(group) == count for group in kept), "kept")
    numbers = [*frames, *state["references"], state["newest"], state["inserted"], state["room"] - count]
    _require(all(map(_counts, numbers)), "numbers of frames")


def _require_tensors(state: dict[str, Any], groups: int, depths: list[int]) -> None:
    """Raise ValueError unless a bank's tensors are those of so many groups, and of stages of these depths."""
    count, frames = len(state["kept"][0]), state["short"]
    _require(len(frames) > 0, "short")
    for name, memory in [("long", state["long"]), *(("short", frame) for frame in frames)]:
        _require([len(stage) for stage in memory] == depths, name)
        for tensor in (tensor for stage in memory for pair in stage for tensor in _both(pair)):
            _require(tensor.ndim == 3 and len(tensor) == groups and tensor.is_floating_point(), name)
            _require(tensor.isfinite().all() and (name != "long" or tensor.shape[1] % count == 0), name)


def _both(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    key, value = pair
    return key, value


def _counts(number: object) -> bool:
    return isinstance(number, int) and number >= 0


def _require(holds: object, name: str) -> None:
    if not holds:
        raise ValueError(name)
