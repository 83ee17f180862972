"""Objects that go: what is left of a prediction without forgotten ones, and a flag for those out of sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory import MemoryBank

LOST_AFTER = 5
"""Frames in a row without a sure pixel after which an object counts as lost."""

SURE = 0.6
"""Least mean probability over its own pixels of an object that is seen; guessing between two gives 0.5."""


def overrule(places: Tensor, given: Tensor) -> Tensor:
    """What holds where a mask is given on a frame of its own prediction: H×W places of the objects each.

    The mask rules where it is not 0, and an object that it has is nowhere else.

    Args:
        places: predicted.
        given: of any size.
    """
    size = (places.shape[0], places.shape[1])
    given = F.interpolate(given[None, None].float(), size, mode="nearest")[0, 0].long()
    corrected = torch.isin(places, given[given > 0].unique())
    return torch.where(given > 0, given, torch.where(corrected, 0, places))


class Confident(Protocol):
    """What the flags need of a prediction."""

    @property
    def confidence(self) -> dict[int, float]:
        """Mean probability of each object over its own pixels; 0 where it has none."""


@dataclass
class LostFlags:
    """Which objects are out of sight: those unseen for ``frames`` frames in a row, until they are seen again.

    Seen is an object with a pixel, and with a confidence of at least ``confidence``.
    """

    frames: int = LOST_AFTER
    confidence: float = SURE
    _unseen: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 <= self.confidence <= 1:
            raise ValueError(f"expected frames from 1 and a confidence in 0 to 1, got {self}")

    def update(self, prediction: Confident) -> dict[int, bool]:
        """Take in the next frame; whether each of its objects is lost on it."""
        unseen = {}
        for number, confidence in prediction.confidence.items():
            seen = confidence > 0 and confidence >= self.confidence
            unseen[number] = 0 if seen else self._unseen.get(number, 0) + 1
        self._unseen = unseen
        return {number: count >= self.frames for number, count in unseen.items()}


def without_forgotten(ids: Sequence[int], logits: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (1+n)×H×W and places H×W, no pixel of which is a forgotten object's, of the objects that are left.

    Args:
        ids: of places 1 to n, 0 for a forgotten object.
        logits: background and then the objects.
        places: 0 to n.
    """
    if all(ids):
        return logits, places
    kept = torch.tensor([0, *(place for place, number in enumerate(ids, start=1) if number)])
    moved = torch.zeros(len(ids) + 1, dtype=torch.long)
    moved[kept] = torch.arange(len(kept))
    return logits[kept.to(logits.device)], moved.to(places.device)[places]


def drop_forgotten(ids: list[int], banks: list[MemoryBank], groups: list[range], identities: int) -> None:
    """Take out, in place, the banks all of whose objects are forgotten; what comes after them moves up.

    Args:
        ids: of places 1 to n, 0 for a forgotten object.
        banks: memory of the objects, each of one run of groups.
        groups: of ``identities`` places each; the last may have free ones.
    """
    for index in reversed(range(len(banks))):
        own = slice(groups[index].start * identities, groups[index].stop * identities)
        if any(ids[own]):
            continue
        del ids[own], banks[index]
        count = len(groups.pop(index))
        groups[index:] = [range(later.start - count, later.stop - count) for later in groups[index:]]
