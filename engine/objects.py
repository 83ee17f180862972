"""The objects of a video: ids, channels and groups; masks of ids in, logits of all objects out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.recurrence import one_hot

ABSENT = -1e10
"""logit of identities that no object has"""


class ObjectTable:
    """Which channel and which group each object of a video has.

    Objects take channels from 1 on, in the order they are given. The identity bank has M identities, so every M
    channels in a row are a group. Groups that come on the same frame share a memory bank and run as one batch. A
    forgotten object keeps its channel, as frames in memory still show it, until its whole batch is forgotten.
    """

    def __init__(self, identities: int) -> None:
        self.identities = identities
        self.by_channel: list[int] = []
        """id of the object of each channel from 1 on; 0 where it was forgotten"""
        self.batches: list[range] = []
        """groups of each batch, in order"""

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects in the order they were given, without forgotten ones."""
        return tuple(number for number in self.by_channel if number)

    @property
    def groups(self) -> int:
        """How many groups have a batch."""
        return self.batches[-1].stop if self.batches else 0

    def channels_of(self, mask: np.ndarray) -> Tensor:
        """Channels H×W int64 of a mask of ids; ids that are new join the table in ascending order."""
        present, inverse = np.unique(mask, return_inverse=True)
        self.by_channel += [int(n) for n in present if n and int(n) not in self.by_channel]
        channels = {**{number: channel for channel, number in enumerate(self.by_channel, start=1)}, 0: 0}
        table = np.array([channels[int(number)] for number in present])
        return torch.from_numpy(table[inverse.reshape(mask.shape)])

    def open_batches(self, *, one_by_one: bool) -> int:
        """Put groups that have no batch into one, or each into its own; how many batches that makes."""
        first, needed = self.groups, -(-len(self.by_channel) // self.identities)
        if needed == first:
            return 0
        step = 1 if one_by_one else needed - first
        opened = [range(start, start + step) for start in range(first, needed, step)]
        self.batches += opened
        return len(opened)

    def forget(self, number: int) -> int | None:
        """Forget an object; the index of its batch if that is now empty and gone, and later groups moved up.

        Raises:
            ValueError: no such object.
        """
        channel = self.by_channel.index(number)
        self.by_channel[channel] = 0
        index = next(i for i, groups in enumerate(self.batches) if channel // self.identities in groups)
        groups = self.batches[index]
        members = slice(groups.start * self.identities, groups.stop * self.identities)
        if any(self.by_channel[members]):
            return None
        del self.by_channel[members], self.batches[index]
        later = self.batches[index:]
        self.batches[index:] = [range(g.start - len(groups), g.stop - len(groups)) for g in later]
        return index

    def split(self, channels: Tensor) -> list[Tensor]:
        """Masks G×(M+1)×H×W of every batch from channels H×W; other groups' objects are background."""
        masks = []
        for groups in self.batches:
            first = torch.arange(groups.start, groups.stop, device=channels.device) * self.identities
            local = channels - first[:, None, None]  # G×H×W
            masks.append(
                one_hot(local.where((local >= 1) & (local <= self.identities), 0), self.identities + 1)
            )
        return masks

    def suppress_absent(self, logits: Tensor) -> None:
        """Set in place the logits G×(m+1)×H×W of identities without an object to `ABSENT`."""
        for channel in range(len(logits) * (logits.shape[1] - 1)):
            if channel >= len(self.by_channel) or not self.by_channel[channel]:
                group, identity = divmod(channel, self.identities)
                logits[group, identity + 1] = ABSENT

    def fuse(self, logits: Tensor) -> Tensor:
        """Logits of all groups' objects on one scale: G×(M+1)×H×W to (1+n)×H×W.

        Background is what every group calls background. A pixel's probabilities need not add up to 1 before the
        softmax that follows (the rule of the published evaluation).
        """
        probabilities = logits.softmax(1)
        background = probabilities[:, 0].prod(0, keepdim=True)
        joined = torch.cat([background, probabilities[:, 1:].flatten(0, 1)]).clamp(1e-5, 1 - 1e-5)
        return torch.logit(joined)[: len(self.by_channel) + 1]

    def without_forgotten(self, logits: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (1+n)×H×W and channels H×W of all objects to those of the objects that are left."""
        if all(self.by_channel):
            return logits, channels
        kept = torch.tensor([0, *(c for c, number in enumerate(self.by_channel, start=1) if number)])
        renumbered = torch.zeros(len(self.by_channel) + 1, dtype=torch.long)
        renumbered[kept] = torch.arange(len(kept))
        return logits[kept.to(logits.device)], renumbered.to(channels.device)[channels]

    def state_dict(self) -> dict[str, Any]:
        """The table as lists of numbers."""
        return {
            "by_channel": list(self.by_channel),
            "batches": [(groups.start, groups.stop) for groups in self.batches],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the table that gave this state.

        Raises:
            ValueError: its batches are not those of its objects.
        """
        by_channel = [int(number) for number in state["by_channel"]]
        batches = [range(*pair) for pair in state["batches"]]
        groups = [group for batch in batches for group in batch]
        if groups != list(range(-(-len(by_channel) // self.identities))):
            raise ValueError(f"groups {groups} for {len(by_channel)} objects")
        self.by_channel, self.batches = by_channel, batches


def overrule(predicted: Tensor, given: Tensor, objects: int) -> Tensor:
    """A frame's channels H×W where a mask corrects its prediction.

    The mask decides where it is not 0, and an object that it shows has no other pixel.

    Args:
        predicted: H×W.
        given: of any size.
        objects: largest channel.
    """
    size = (predicted.shape[0], predicted.shape[1])
    given = F.interpolate(given[None, None].float(), size, mode="nearest")[0, 0].long()
    shown = torch.zeros(objects + 1, dtype=torch.bool, device=given.device).scatter_(0, given.flatten(), True)
    return torch.where(given > 0, given, torch.where(shown[predicted], 0, predicted))


def certain(channels: Tensor, objects: int) -> Tensor:
    """Logits (1+n)×H×W of n objects that leave no doubt of the channels H×W."""
    return torch.where(one_hot(channels, objects + 1) > 0, 0.0, ABSENT)
