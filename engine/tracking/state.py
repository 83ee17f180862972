"""State of a video in a tracker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import build_bank
from aotlab.engine.tracking.groups import Group
from aotlab.engine.tracking.inputs import ImageSize


@dataclass
class VideoState:
    """Everything that a tracker stores of a video, except the states of its hooks."""

    length: int | None
    """Number of frames, if known."""
    groups: list[Group] = field(default_factory=list)
    frame_shape: tuple[int, ...] | None = None
    """(H, W, 3) of its frames; None before the first frame."""
    input_size: ImageSize | None = None
    """(height, width) of frames in the network; None before the first mask."""
    version: int = 0
    """Number of changes; drafts of an earlier one are out of date."""
    is_complete: bool = True
    """False while a change is being made, and after one has failed."""

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Count the change that the block makes; if it fails, the state stays incomplete."""
        self.is_complete = False
        yield
        self.version, self.is_complete = self.version + 1, True

    def state_dict(self) -> dict[str, Any]:
        """Return a copy in containers, numbers and tensors."""
        return {
            "length": self.length,
            "frame_shape": self.frame_shape,
            "input_size": self.input_size,
            "groups": [{"ids": [*group.ids], "memory": group.memory.state_dict()} for group in self.groups],
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any], config: Config, device: torch.device) -> VideoState:
        """Return the state of a `state_dict` on a device; raises an exception if it does not fit ``config``."""
        video = cls(state["length"], frame_shape=state["frame_shape"], input_size=state["input_size"])
        for group in state["groups"]:
            memory = build_bank(config.memory, length=video.length)
            memory.load_state_dict(group["memory"], device)
            video.groups.append(Group([*group["ids"]], memory))
        return video
