"""State of a video in a tracker, in memory and as a dict for `torch.save`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch

from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import build_bank
from aotlab.engine.tracking.cuts import CutDetector
from aotlab.engine.tracking.inputs import ImageSize
from aotlab.engine.tracking.objects import ObjectTable
from aotlab.engine.tracking.ownership import ComponentOwnership
from aotlab.networks.model import VOSModel
from aotlab.utils.errors import InputError
from aotlab.utils.versioned_json import FileKind, reading_kind, unwrap, wrap

STATES = FileKind("tracker state", 13, "save it again")


@dataclass
class VideoState:
    """All that a tracker stores of a video: `Tracker.predict` reads it, `Tracker.commit` updates it."""

    length: int | None
    """number of frames, if known"""
    objects: ObjectTable
    ownership: ComponentOwnership | None
    cuts: CutDetector | None
    build_bank: Callable[[], MemoryBank]
    """returns an empty memory bank"""
    banks: list[MemoryBank] = field(default_factory=list)
    """memory of the groups first seen on the same frame"""
    frame_shape: tuple[int, ...] | None = None
    """(H, W, 3) of its frames; None before the first"""
    input_size: ImageSize | None = None
    """(height, width) of frames in the network; None before the first mask"""
    revision: int = 0
    """number of changes: frames stored and objects forgotten"""
    consistent: bool = True
    """False while a frame is being stored, and forever if that failed"""

    @classmethod
    def begin(cls, config: Config, length: int | None = None) -> VideoState:
        """Return the state before the first frame of a video."""
        return cls(
            length,
            ObjectTable(config.model.max_objects),
            ComponentOwnership() if config.rules.ownership else None,
            CutDetector() if config.rules.cuts else None,
            partial(build_bank, config.memory, length=length),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return a copy in containers, numbers and tensors."""
        return {
            "length": self.length,
            "frame_shape": self.frame_shape,
            "input_size": self.input_size,
            "revision": self.revision,
            "objects": self.objects.state_dict(),
            "ownership": None if self.ownership is None else self.ownership.state_dict(),
            "cuts": None if self.cuts is None else self.cuts.state_dict(),
            "banks": [bank.state_dict() for bank in self.banks],
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any], config: Config, device: torch.device) -> VideoState:
        """Return the state of a `state_dict` on a device; raises an exception if it does not fit ``config``."""
        video = cls.begin(config, state["length"])
        video.frame_shape, video.input_size = state["frame_shape"], state["input_size"]
        video.revision = state["revision"]
        video.objects.load_state_dict(state["objects"])
        if video.ownership is not None:
            video.ownership.load_state_dict(state["ownership"])
        if video.cuts is not None:
            video.cuts.load_state_dict(state["cuts"])
        for bank_state in state["banks"]:
            video.banks.append(video.build_bank())
            video.banks[-1].load_state_dict(bank_state, device)
        return video


def fingerprint_model(model: VOSModel, config: Config) -> dict[str, Any]:
    """Return the checksum of the weights and the settings that a state depends on."""
    checksum = 0
    for name, weight in model.state_dict().items():
        content = weight.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    settings = {name: asdict(getattr(config, name)) for name in ("model", "memory", "input", "rules")}
    return {"weights": checksum, **settings}


def wrap_state(content: dict[str, Any], fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return a state with its kind, version and digest, and the result of `fingerprint_model`."""
    return wrap(STATES, {"fingerprint": fingerprint, **content})


def unwrap_state(state: object, fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Return the content given to `wrap_state`; raise `InputError` for another fingerprint, or a damaged state."""
    with reading_kind("tracker state", STATES):
        content = unwrap(STATES, state)
        stored = content.pop("fingerprint")
        other = [key for key, value in fingerprint.items() if stored.get(key) != value]
    if other:
        raise InputError(
            f"tracker state: was saved with other settings of {', '.join(other)}; load it with the model, "
            "precision, config and memory settings that it was saved with"
        )
    return content
