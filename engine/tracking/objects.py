"""Objects of a video: ids, channels and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.tracking.inputs import ImageSize
from aotlab.networks.identity_bank import one_hot

NO_OBJECT = -1e10
"""logit of identities without an object"""
MAX_CONTIGUOUS_PLANES = 5
"""largest number of maps that are resized faster plane by plane than channels-last"""


@dataclass
class ObjectTable:
    """Maps the object ids of a video to channels and groups.

    Channels count from 1 in the order objects are given; each run of M channels forms a group of M identities. Groups
    that first appear on the same frame share a memory bank. A forgotten object keeps its channel, because stored frames
    still contain it, until all objects of its bank are forgotten.
    """

    group_size: int
    """number of objects in a group"""
    ids_by_channel: list[int] = field(default_factory=list)
    """object id of each channel from 1 on; 0: forgotten"""
    bank_groups: list[range] = field(default_factory=list)
    """groups of each memory bank, in order"""

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the objects in the order they were given, without forgotten ones."""
        return tuple(filter(None, self.ids_by_channel))

    @property
    def groups(self) -> int:
        """Number of groups that have a memory bank."""
        return self.bank_groups[-1].stop if self.bank_groups else 0

    def add_objects(self, mask: np.ndarray) -> Tensor:
        """Add the new ids of a mask H×W in ascending order; return the mask as channels, H×W int64."""
        self.ids_by_channel += [int(n) for n in np.unique(mask) if n and int(n) not in self.ids_by_channel]
        return mask_to_channels(mask, self.ids_by_channel)

    def add_bank(self) -> bool:
        """Put new groups into a new bank; return whether there are any."""
        needed = -(-len(self.ids_by_channel) // self.group_size)
        if needed == self.groups:
            return False
        self.bank_groups.append(range(self.groups, needed))
        return True

    def forget(self, object_id: int) -> int | None:
        """Forget an object; return the index of its bank if that became empty and was removed."""
        channel = self.ids_by_channel.index(object_id)
        self.ids_by_channel[channel] = 0
        index = next(i for i, groups in enumerate(self.bank_groups) if channel // self.group_size in groups)
        groups = self.bank_groups[index]
        members = slice(groups.start * self.group_size, groups.stop * self.group_size)
        if any(self.ids_by_channel[members]):
            return None
        del self.ids_by_channel[members], self.bank_groups[index]
        later = self.bank_groups[index:]
        self.bank_groups[index:] = [range(g.start - len(groups), g.stop - len(groups)) for g in later]
        return index

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state, in lists and numbers."""
        return {
            "ids_by_channel": [*self.ids_by_channel],
            "bank_groups": [[groups.start, groups.stop] for groups in self.bank_groups],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of a table with the same group size."""
        self.ids_by_channel = [*state["ids_by_channel"]]
        self.bank_groups = [range(start, stop) for start, stop in state["bank_groups"]]

    def split(self, channels: Tensor) -> list[Tensor]:
        """Convert channels H×W to masks G×(m+1)×H×W of every bank; objects of other groups are background.

        m = number of objects with one group, else M.
        """
        if len(self.ids_by_channel) <= self.group_size:
            return [one_hot(channels, len(self.ids_by_channel) + 1)[None]]
        masks = []
        for groups in self.bank_groups:
            first = torch.arange(groups.start, groups.stop, device=channels.device) * self.group_size
            local = channels - first[:, None, None]  # G×H×W
            masks.append(
                one_hot(local.where((local >= 1) & (local <= self.group_size), 0), self.group_size + 1)
            )
        return masks

    def merge(self, by_bank: list[Tensor], size: ImageSize, *, align_corners: bool) -> Tensor:
        """Merge the logits of all banks, G×(1+M)×h×w each, to (1+n)×H×W of all channels at a size (H, W)."""
        logits = torch.cat(by_bank).float()  # a copy, as memory policies read the logits unchanged
        if len(logits) == 1:
            logits = logits[:, : len(self.ids_by_channel) + 1]
        if len(logits) > 1 or 0 in self.ids_by_channel:
            self.suppress_absent(logits)
        if logits.shape[1] <= MAX_CONTIGUOUS_PLANES:
            logits = logits.contiguous()
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=align_corners)
        return logits[0] if len(logits) == 1 else self.fuse(logits)

    def suppress_absent(self, logits: Tensor) -> None:
        """Set in place the logits G×(m+1)×H×W of identities without an object to `NO_OBJECT`."""
        for channel in range(len(logits) * (logits.shape[1] - 1)):
            if channel >= len(self.ids_by_channel) or not self.ids_by_channel[channel]:
                group, identity = divmod(channel, self.group_size)
                logits[group, identity + 1].fill_(NO_OBJECT)

    def fuse(self, logits: Tensor) -> Tensor:
        """Merge the logits of all groups, G×(M+1)×H×W to (1+n)×H×W, as the published evaluation does.

        The background is the product of the groups' background probabilities; a pixel's sum need not be 1.
        """
        probabilities = logits.softmax(1)
        background = probabilities[:, 0].prod(0, keepdim=True)
        joined = torch.cat([background, probabilities[:, 1:].flatten(0, 1)]).clamp(1e-5, 1 - 1e-5)
        return torch.logit(joined)[: len(self.ids_by_channel) + 1]

    def to_ids(self, channels: Tensor) -> np.ndarray:
        """Convert channels H×W to object ids int32; waits for a GPU."""
        return np.array([0, *self.ids_by_channel], np.int32)[channels.cpu().numpy()]

    def remove_forgotten(self, logits: Tensor, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Remove forgotten objects from logits (1+n)×H×W and channels H×W, which then count the `ids`."""
        if all(self.ids_by_channel):
            return logits, channels
        kept = torch.tensor([0, *(c for c, n in enumerate(self.ids_by_channel, start=1) if n)])
        renumbered = torch.zeros(len(self.ids_by_channel) + 1, dtype=torch.long)
        renumbered[kept] = torch.arange(len(kept))
        return logits[kept.to(logits.device)], renumbered.to(channels.device)[channels]


def find_smallest_area(mask: np.ndarray) -> int | None:
    """Pixels of the smallest object of a mask H×W of ids; None without objects."""
    areas = np.unique(mask[mask > 0], return_counts=True)[1]
    return int(areas.min()) if len(areas) else None


def find_lost_ids(mask: np.ndarray, size: ImageSize) -> list[int]:
    """Return the ids of a mask H×W that have no pixel after it is resized to (height, width)."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, mask.shape, strict=True))
    return [int(object_id) for object_id in np.setdiff1d(mask, mask[np.ix_(rows, columns)]) if object_id]


def mask_to_channels(mask: np.ndarray, ids: Sequence[int]) -> Tensor:
    """Convert a mask of object ids to channels H×W int64: 0, or the place in ``ids``, counted from 1."""
    present, inverse = np.unique(mask, return_inverse=True)
    channels = {**{object_id: channel for channel, object_id in enumerate(ids, start=1)}, 0: 0}
    table = np.array([channels[int(object_id)] for object_id in present])
    return torch.from_numpy(table[inverse.reshape(mask.shape)])


def apply_given_mask(predicted: Tensor, mask: Tensor, objects: int) -> Tensor:
    """Correct the predicted channels H×W of a frame by a mask of any size.

    The mask decides where it is not 0; objects in the mask lose all other pixels. ``objects``: largest channel.
    """
    mask = resize_channels(mask, predicted.shape)
    relabeled = torch.zeros(objects + 1, dtype=torch.bool, device=mask.device).scatter_(
        0, mask.flatten(), True
    )
    return torch.where(mask > 0, mask, torch.where(relabeled[predicted], 0, predicted))


def resize_channels(channels: Tensor, size: Sequence[int]) -> Tensor:
    """Resize channels H×W with nearest-neighbor interpolation."""
    return F.interpolate(channels[None, None].float(), tuple(size), mode="nearest")[0, 0].long()


def one_hot_logits(channels: Tensor, objects: int) -> Tensor:
    """Return logits (1+n)×H×W of n objects: 0 for the channels H×W, `NO_OBJECT` for all others."""
    return torch.where(one_hot(channels, objects + 1) > 0, 0.0, NO_OBJECT).float()
