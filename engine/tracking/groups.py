"""Groups of objects: their ids, and masks as indices of objects or as one mask per identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.tracking.inputs import ImageSize
from aotlab.networks.identity_bank import one_hot

NO_OBJECT = -1e10
"""Logit of every other object where the user's mask decides."""
MAX_CONTIGUOUS_CHANNELS = 5
"""Largest number of channels that CPUs resize faster contiguous than channels-last (measured at 480p)."""


@dataclass
class Group:
    """Up to M objects that share one pass of the model, and their memory."""

    ids: list[int]
    """Object id of each identity from 1 on; 0 if forgotten, which counts as background."""
    memory: MemoryBank


def list_tracked_ids(groups: Sequence[Group]) -> tuple[int, ...]:
    """Return the ids of the objects in the order they were added, without forgotten ones.

    The index of object ``ids[k]`` is k + 1; background is 0.
    """
    return tuple(object_id for group in groups for object_id in group.ids if object_id)


def add_objects(
    groups: Sequence[Group], ids: Iterable[int], max_objects: int, build_bank: Callable[[], MemoryBank]
) -> list[Group]:
    """Return the groups with those ``ids`` that are new, in ascending order; the input is not modified.

    New objects have the next identities of the last group, then of new groups with an empty memory.
    """
    groups = [replace(group, ids=[*group.ids]) for group in groups]
    for object_id in sorted({*ids}.difference(list_tracked_ids(groups))):
        if not groups or len(groups[-1].ids) == max_objects:
            groups.append(Group([], build_bank()))
        groups[-1].ids.append(object_id)
    return groups


def forget_object(groups: Sequence[Group], object_id: int) -> list[Group]:
    """Return the groups without an object; a group without objects is left out. The input is not modified."""
    remaining = [replace(group, ids=[0 if n == object_id else n for n in group.ids]) for group in groups]
    return [group for group in remaining if any(group.ids)]


def number_identities(groups: Sequence[Group], indices: Tensor, forgotten: Tensor | None) -> Tensor:
    """Return the identity of every pixel of indices H×W, numbered through all groups; 0 is background.

    ``forgotten``: H×W, identities where the background is a forgotten object, which stays apart in memory; see
    `drop_forgotten`.
    """
    if forgotten is None:
        return indices
    object_ids = [object_id for group in groups for object_id in group.ids]
    tracked = [0, *(number for number, object_id in enumerate(object_ids, start=1) if object_id)]
    return torch.where(indices > 0, torch.tensor(tracked, device=indices.device)[indices], forgotten)


def split_by_group(groups: Sequence[Group], numbers: Tensor, size: ImageSize, max_objects: int) -> list[Tensor]:
    """Resize `number_identities` and convert them to masks 1×(m+1)×H×W of every group, at a size (H, W).

    Objects of other groups are background. m is the number of identities in use if there is one group, else M.
    """
    numbers = resize_indices(numbers, size)
    if len(groups) == 1:
        return [one_hot(numbers, 1 + len(groups[0].ids))[None]]
    masks, offset = [], 0
    for group in groups:
        identities = numbers - offset
        identities = identities.where((identities >= 1) & (identities <= len(group.ids)), 0)
        masks.append(one_hot(identities, 1 + max_objects)[None])
        offset += len(group.ids)
    return masks


def merge_logits(
    groups: Sequence[Group], group_logits: Sequence[Tensor], size: ImageSize, *, align_corners: bool
) -> Tensor:
    """Merge the logits of all groups, 1×(1+M)×h×w each, to (1+N)×H×W of all identities in use, at a size (H, W).

    With several groups, they are logarithms of probabilities: of the background the product of the groups', and clamped
    to [1e-5, 1 - 1e-5], both as in the published evaluation; a softmax makes a pixel's probabilities add up to 1.
    """
    resized = [
        resize_logits(logits[:, : len(group.ids) + 1], size, align_corners=align_corners)
        for group, logits in zip(groups, group_logits, strict=True)
    ]
    if len(resized) == 1:
        return resized[0]
    probabilities = [logits.softmax(0) for logits in resized]
    background = torch.stack([p[0] for p in probabilities]).prod(0, keepdim=True)
    return torch.cat([background, *(p[1:] for p in probabilities)]).clamp(1e-5, 1 - 1e-5).log()


def drop_forgotten(groups: Sequence[Group], logits: Tensor) -> tuple[Tensor, Tensor | None]:
    """Count forgotten objects as background: its logit is the largest of its own and theirs.

    Return the logits (1+n)×H×W of the tracked objects, and the identities of the forgotten ones where they are, H×W,
    0 elsewhere; None if none is forgotten.
    """
    object_ids = [object_id for group in groups for object_id in group.ids]
    if all(object_ids):
        return logits, None
    tracked = [number for number, object_id in enumerate(object_ids, start=1) if object_id]
    untracked = [0, *(number for number, object_id in enumerate(object_ids, start=1) if not object_id)]
    numbers = find_indices(logits)
    is_forgotten = torch.tensor([False, *(not object_id for object_id in object_ids)], device=logits.device)
    forgotten = numbers.where(is_forgotten[numbers], 0)
    return torch.cat([logits[untracked].amax(0, keepdim=True), logits[tracked]]), forgotten


def resize_logits(logits: Tensor, size: ImageSize, *, align_corners: bool) -> Tensor:
    """Resize logits 1×C×h×w bilinearly to C×H×W float32 of ``size`` (H, W)."""
    if logits.shape[1] <= MAX_CONTIGUOUS_CHANNELS:
        logits = logits.contiguous()
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=align_corners)[0]


def find_indices(scores: Tensor) -> Tensor:
    """Return the channel with the largest score of C×H×W in every pixel, H×W int64."""
    return scores.max(0).indices  # faster than argmax on CPUs


def find_smallest_area(mask: np.ndarray) -> int | None:
    """Return the pixels of the smallest object in a mask H×W of ids; None without objects."""
    areas = np.unique(mask[mask > 0], return_counts=True)[1]
    return int(areas.min()) if len(areas) else None


def find_vanished_ids(mask: np.ndarray, ids: Iterable[int], size: ImageSize) -> list[int]:
    """Return those of the ``ids`` of a mask H×W that have no pixel after it is resized to (height, width)."""
    rows, columns = (  # pixels that `resize_indices` reads, computed on the host, in float32 as there
        (np.arange(new, dtype=np.float32) * np.float32(old / new)).astype(int).clip(max=old - 1)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return sorted({*ids}.difference(np.unique(mask[np.ix_(rows, columns)]).tolist()))


def mask_to_indices(mask: np.ndarray, ids: Sequence[int]) -> Tensor:
    """Convert a mask of object ids to indices H×W int64: the position in ``ids``, counted from 1; 0 is background."""
    present, inverse = np.unique(mask, return_inverse=True)
    index_by_id = {0: 0, **{object_id: index for index, object_id in enumerate(ids, start=1)}}
    table = np.array([index_by_id[int(object_id)] for object_id in present])
    return torch.from_numpy(table[inverse.reshape(mask.shape)])


def overwrite_with_mask(predicted: Tensor, mask: Tensor, objects: int) -> Tensor:
    """Correct the predicted indices H×W of a frame with a mask of any size.

    Nonzero pixels of the mask override the prediction; objects in it lose all other pixels. ``objects``: their number.
    """
    mask = resize_indices(mask, predicted.shape)
    in_mask = torch.zeros(objects + 1, dtype=torch.bool, device=mask.device).scatter_(0, mask.flatten(), True)
    return torch.where(mask > 0, mask, torch.where(in_mask[predicted], 0, predicted))


def resize_indices(indices: Tensor, size: Sequence[int]) -> Tensor:
    """Resize indices H×W with nearest-neighbor interpolation."""
    return F.interpolate(indices[None, None].float(), tuple(size), mode="nearest")[0, 0].long()


def one_hot_logits(indices: Tensor, objects: int) -> Tensor:
    """Return logits (1+n)×H×W of n objects: 0 for the indices H×W, `NO_OBJECT` for all others."""
    return torch.where(one_hot(indices, objects + 1) > 0, 0.0, NO_OBJECT).float()
