"""Rules of a tracker: detection of cuts, and ownership of components, each if ``rules`` of the config turns it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import RulesConfig
from aotlab.engine.rules.cuts import CutDetector, make_thumbnail
from aotlab.engine.rules.ownership import ComponentOwnership, Reassignment


class RuleResult(NamedTuple):
    """What the rules found on a frame."""

    cut: bool = False
    """whether it follows a cut"""
    thumbnail: np.ndarray | None = None
    """`make_thumbnail` of the frame if cuts are detected"""
    reassigned: Sequence[Reassignment] = ()
    """pixels that belong to another object than predicted, see `ComponentOwnership`"""


class Rules:
    """Finds cuts before a frame is segmented, and corrections of its prediction.

    Only `observe` and `forget` change it.
    """

    def __init__(self, config: RulesConfig) -> None:
        self.cuts = CutDetector() if config.cuts else None
        self.ownership = ComponentOwnership() if config.ownership else None

    def inspect(self, frame: np.ndarray) -> RuleResult:
        """Compare a frame H×W×3 uint8 with the last observed one."""
        if self.cuts is None:
            return RuleResult()
        thumbnail = make_thumbnail(frame)
        return RuleResult(self.cuts.is_cut(thumbnail), thumbnail)

    def correct(
        self, result: RuleResult, frame: np.ndarray, channels: Tensor, ids: Sequence[int]
    ) -> RuleResult:
        """Return the result of `inspect` with the pixels to reassign; waits for a GPU if there are two objects.

        Args:
            result: from `inspect`.
            frame: H×W×3 uint8.
            channels: H×W, its most likely channels.
            ids: id of each channel from 1 on.
        """
        if self.ownership is None or result.cut or len(ids) < 2:
            return result
        return result._replace(reassigned=self.ownership.find_detached(to_labels(channels, ids), frame))

    def observe(
        self,
        result: RuleResult,
        frame: np.ndarray,
        channels: Tensor,
        ids: Sequence[int],
        given: Sequence[int],
    ) -> None:
        """Remember a frame H×W×3 uint8 with the channels H×W that memory stores.

        Args:
            result: from `correct`.
            frame: the frame.
            channels: may differ from the prediction's after a given mask, or in an ensemble.
            ids: id of each channel from 1 on.
            given: ids of the objects of a given mask.
        """
        if self.ownership is not None:
            if result.cut:
                self.ownership.clear_positions()
            if given or len(ids) > 1:
                self.ownership.update(to_labels(channels, ids), frame, given, result.reassigned)
        if self.cuts is not None:
            self.cuts.previous = result.thumbnail

    def forget(self, object_id: int) -> None:
        """Forget an object."""
        if self.ownership is not None:
            self.ownership.forget(object_id)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state in containers, numbers and tensors."""
        return {
            "cuts": None if self.cuts is None else self.cuts.state_dict(),
            "ownership": None if self.ownership is None else self.ownership.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of rules with the same settings."""
        if self.cuts is not None:
            self.cuts.load_state_dict(state["cuts"])
        if self.ownership is not None:
            self.ownership.load_state_dict(state["ownership"])


def drop_unavailable_rules(config: RulesConfig) -> RulesConfig:
    """Return the settings without ownership if OpenCV is missing."""
    return config if find_spec("cv2") else replace(config, ownership=False)


def to_labels(channels: Tensor, ids: Sequence[int]) -> np.ndarray:
    """Convert channels H×W to object ids int32; waits for a GPU."""
    return np.array([0, *ids], np.int32)[channels.cpu().numpy()]


def swap_channels(
    logits: Tensor, channels: Tensor, reassigned: Sequence[Reassignment], ids: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the logits (1+n)×H×W and channels H×W with both objects of each reassignment swapped in its pixels."""
    logits = logits.clone()
    for move in reassigned:
        pixels = torch.from_numpy(move.pixels).to(channels.device)
        source, target = ids.index(move.source) + 1, ids.index(move.target) + 1
        pair = logits[[target, source]]
        logits[[source, target]] = torch.where(pixels, pair, pair.flip(0))
        channels = torch.where(pixels, target, channels)
    return logits, channels
