"""States of trackers in mid-video: origin and restoring."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from typing import Any, NamedTuple

import torch

from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import MemoryBank, build_bank
from aotlab.engine.tracking.cuts import CutDetector
from aotlab.engine.tracking.objects import ObjectTable
from aotlab.engine.tracking.ownership import ComponentOwnership
from aotlab.engine.tracking.window import Window, WindowSelector
from aotlab.networks.model import Model
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import FileKind, reading_kind, unwrap

STATES = FileKind("tracker state", 3, "save it again")


class TrackerState(NamedTuple):
    """Content of a tracker's state."""

    length: int | None
    objects: ObjectTable
    banks: list[MemoryBank]
    frame_shape: tuple[int, ...] | None
    window: Window
    one_group_at_a_time: bool
    ownership: ComponentOwnership | None
    cuts: CutDetector | None
    window_selector: WindowSelector | None


def describe_origin(model: Model, config: Config) -> dict[str, Any]:
    """Return the weights' checksum and the settings that a state depends on."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    settings = {name: asdict(getattr(config, name)) for name in ("model", "memory", "input", "rules")}
    return {"weights": checksum, **settings}


def read_state(state: object, expected: dict[str, Any], config: Config, device: torch.device) -> TrackerState:
    """Read a `Tracker.state_dict`.

    Args:
        expected: `describe_origin` of the tracker that reads it.
        config: settings of that tracker.
        device: device of its memory.

    Raises:
        InputError: a state of other weights or settings, or damaged.
    """
    with reading_kind("tracker state", STATES):
        content = unwrap(STATES, state)
        other = [key for key, value in expected.items() if content["made_by"].get(key) != value]
    if other:
        raise InputError(
            f"tracker state: was saved with other settings of {', '.join(other)}; load it with the model, "
            "config and memory settings that it was saved with"
        )
    with reading_kind("tracker state", STATES):
        return _restore(content, config, device)


def _restore(state: dict[str, Any], config: Config, device: torch.device) -> TrackerState:
    """Build objects and banks from a checked state."""
    objects, length = ObjectTable(config.model.max_objects), state["length"]
    objects.load_state_dict(state["objects"])
    banks = [build_bank(config.memory, length=length) for _ in objects.batches]
    for bank, bank_state in zip(banks, state["banks"], strict=True):
        bank.load_state_dict(bank_state, device)
        if not all(
            x.isfinite().all() for stage in bank.read() for block in stage for kv in block for x in kv
        ):
            raise ValueError("memory that is not finite")
    ownership = ComponentOwnership() if config.rules.ownership else None
    if ownership is not None:
        ownership.load_state_dict(state["ownership"])
    cuts = CutDetector() if config.rules.cuts else None
    if cuts is not None:
        cuts.load_state_dict(state["cuts"])
    shape = None if state["frame_shape"] is None else tuple(state["frame_shape"])
    selector = state["window_selector"]
    return TrackerState(
        length=length,
        objects=objects,
        banks=banks,
        frame_shape=shape,
        window=Window.from_list(state["window"]),
        one_group_at_a_time=bool(state["one_group_at_a_time"]),
        ownership=ownership,
        cuts=cuts,
        window_selector=None if selector is None else WindowSelector.from_state_dict(selector),
    )
