"""Ideas that gained nothing on fresh clips; docs/concepts/identities.md has their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

import cv2
import numpy as np
from torch import Tensor

from aotlab.engine.memory.bank import Decision, MemoryBank, MemoryPolicy
from aotlab.engine.tracking import ownership
from aotlab.engine.tracking.objects import ObjectTable
from aotlab.engine.tracking.ownership import Component, ComponentOwnership
from aotlab.engine.tracking.tracker import Tracker

MIN_CONFIDENCE = 0.8
AREA_RANGE = 0.8, 1.2
"""smallest and largest area of an object, relative to the median of its last `AREAS` non-zero ones"""
AREAS = 10
MIN_GAP = 5
"""number of frames after an object's anchor without another one"""
MIN_RUNNER_UP = 0.2
"""smallest calibrated probability of an object on the pixels where it is runner-up"""
MAX_BOX_IOU = 0.7
"""largest IoU of the boxes of a mask with and without its distractor"""
MAX_ANCHORS = 3
"""largest number of anchors besides reference frames"""


@dataclass
class AnchorMemory(MemoryPolicy):
    """Keeps reference frames, anchors and the newest frame of every ``interval``; for up to `max_objects` objects."""

    interval: int
    capacity = 2 + MAX_ANCHORS
    every = 1
    is_anchor: bool = False
    """whether the next frame is an anchor"""
    anchors: list[int] = field(default_factory=list)
    last: int = 0
    """index of the last frame stored that is no anchor"""

    def decide(self, bank: MemoryBank, relevance: object) -> Decision:
        """Evict the oldest anchor for an anchor, else the frame stored before."""
        if self.is_anchor:
            self.anchors.append(bank.last_index)
            full = len(self.anchors) > MAX_ANCHORS
            return Decision(True, [bank.frames.index(self.anchors.pop(0))] if full else None)
        if bank.last_index - self.last < self.interval:
            return Decision(store=False)
        self.last = bank.last_index
        tracked = [i for i in bank.evictable(0) if bank.frames[i] not in self.anchors]
        return Decision(True, tracked[:1] or None)


@dataclass(kw_only=True)
class AnchorDetector(ComponentOwnership):
    """Ownership that also makes anchors of frames on which an object is certain beside a distractor (DAM4SAM)."""

    policy: AnchorMemory
    temperature: float
    """divisor of the logits"""
    areas: dict[int, list[int]] = field(default_factory=dict)
    """last areas by channel"""
    last: dict[int, int] = field(default_factory=dict)
    """index of the last anchor by channel"""
    frames: int = 0

    def correct(
        self, frame: np.ndarray, logits: Tensor, channels: Tensor, objects: ObjectTable, *, cut: bool
    ) -> Tensor:
        """Correct ownership, then decide whether the frame is an anchor of any object."""
        channels = super().correct(frame, logits, channels, objects, cut=cut)
        if not objects.ids:  # the first frame
            return channels
        self.frames += 1
        probabilities, labels = (logits / self.temperature).softmax(0).numpy(), channels.numpy()
        best, second = logits.topk(2, 0).indices.numpy()
        second = np.where(best == labels, second, best)
        self.policy.is_anchor = False
        for channel, probability in enumerate(probabilities[1:], start=1):
            own = labels == channel
            if not own.any():
                continue
            area, known = int(own.sum()), self.areas.setdefault(channel, [])
            ratio = area / float(np.median(known or [area]))
            known[:] = [*known, area][-AREAS:]
            if (
                probability[own].mean() > MIN_CONFIDENCE
                and AREA_RANGE[0] <= ratio <= AREA_RANGE[1]
                and self.frames - self.last.get(channel, 0) > MIN_GAP
                and shows_distractor(own, (second == channel) & (probability > MIN_RUNNER_UP))
            ):
                self.last[channel], self.policy.is_anchor = self.frames, True
        return channels


def shows_distractor(own: np.ndarray, other: np.ndarray) -> bool:
    """Return whether the largest component of ``other`` H×W bool widens the box of ``own``."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(other.astype(np.uint8))
    if count < 2:
        return False
    largest = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    boxes = [cv2.boundingRect(pixels.astype(np.uint8)) for pixels in (own, own | largest)]
    return boxes[0][2] * boxes[0][3] <= MAX_BOX_IOU * boxes[1][2] * boxes[1][3]


class PlaceOwnership(ComponentOwnership):
    """Ownership in which colors decide between lost objects only, not between them and others."""

    def _find_owner(self, part: Component, lost: Sequence[int], frame: np.ndarray) -> int | None:
        with patch.object(ownership, "MAX_CLAIM_COLOR_RATIO", 1e9):
            return super()._find_owner(part, lost, frame)


def use_place_ownership(tracker: Tracker) -> None:
    """Replace the ownership rule of a tracker without objects."""
    tracker.video.ownership = PlaceOwnership()


def use_anchors(tracker: Tracker) -> None:
    """Give a tracker without objects a memory with anchors."""
    policy = AnchorMemory(tracker.config.memory.every)
    tracker.video.ownership = AnchorDetector(policy=policy, temperature=tracker.temperature)
    tracker.video.build_bank = lambda: MemoryBank(policy)
