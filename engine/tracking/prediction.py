"""Predictions of trackers: masks of one frame, and the values with which `Tracker.commit` stores it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.tracking.groups import (
    NO_OBJECT,
    find_indices,
    list_tracked_ids,
    mask_to_indices,
    one_hot_logits,
    overwrite_with_mask,
)
from aotlab.engine.tracking.host_copy import HostCopy
from aotlab.utils.errors import require
from aotlab.utils.text import format_count

if TYPE_CHECKING:
    from aotlab.engine.recurrence import DecodedFrame
    from aotlab.engine.tracking.inputs import ImageSize
    from aotlab.engine.tracking.state import VideoState
    from aotlab.networks.model import Features


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Masks of one frame, as logits, probabilities or object ids."""

    ids: tuple[int, ...]
    """Ids of the tracked objects in the order they were added."""
    logits: Tensor
    """(1+n)×H×W float32 on the tracker's device: channel 0 is background, channel k + 1 is object ``ids[k]``."""
    indices: Tensor
    """H×W int64, the most likely channel of ``logits`` in every pixel: 0 is background, k + 1 is object ``ids[k]``."""
    cut: bool = field(default=False, kw_only=True)
    """Whether the frame did not read short-term memory because it follows a cut, see ``rules.cuts``."""
    hidden: frozenset[int] = field(default=frozenset(), kw_only=True)
    """Ids of the objects that a hook has hidden, see `Draft.hide`."""
    temperature: float = field(default=1.0, kw_only=True)
    """Divisor of the logits for `confidence`."""
    edges: Tensor | None = field(default=None, kw_only=True)
    """(1+n)×H×W, `probabilities` of a frame with a mask after `Tracker.soften_edges`; None: those of ``logits``."""
    _host_copy: HostCopy | None = field(default=None, init=False)
    """Copies of `indices` and, if asked for, of the values of `confidence`."""

    @classmethod
    def from_logits(cls, ids: Sequence[int], logits: Tensor, *, temperature: float = 1.0) -> Prediction:
        """Return the prediction of any model.

        Args:
            ids: object ids.
            logits: (1+n)×H×W, background first, then the objects in the order of ``ids``; `Tensor.softmax` over the
                channels makes them probabilities.
            temperature: see `temperature`.

        Raises:
            InputError: not one channel for the background and one per object.
        """
        _require_channels("logits", logits, ids)
        return cls(tuple(ids), logits.float(), find_indices(logits), temperature=temperature)

    @classmethod
    def from_probabilities(cls, ids: Sequence[int], probabilities: Tensor, *, temperature: float = 1.0) -> Prediction:
        """Return the prediction of any model, as `from_logits`, from probabilities (1+n)×H×W of at least 0."""
        _require_channels("probabilities", probabilities, ids)
        logits, indices = probabilities.float().clamp(min=1e-30).log(), find_indices(probabilities)
        return cls(tuple(ids), logits, indices, temperature=temperature)

    @classmethod
    def empty(cls, size: ImageSize, device: torch.device | str = "cpu", *, temperature: float = 1.0) -> Prediction:
        """Return a prediction of (height, width) without objects."""
        return cls.from_logits((), torch.zeros(1, *size, device=device), temperature=temperature)

    def with_mask(self, mask: np.ndarray) -> Prediction:
        """Return the prediction with the objects of a mask H×W of object ids, all of which are in ``ids``.

        They have the pixels of the mask and no others; its other pixels stay as predicted.
        """
        indices = mask_to_indices(mask, self.ids).to(self.indices.device)
        indices = overwrite_with_mask(self.indices, indices, len(self.ids))
        return replace(self, logits=one_hot_logits(indices, len(self.ids)), indices=indices)

    def resize(self, size: ImageSize, *, align_corners: bool) -> Prediction:
        """Return the prediction at a size (height, width)."""
        if self.indices.shape == size:
            return self
        logits = F.interpolate(self.logits[None], size, mode="bilinear", align_corners=align_corners)[0]
        return replace(self, logits=logits, indices=find_indices(logits))

    def start_host_copy(self, *, confidence: bool = False) -> None:
        """Start copies of a GPU's indices, and of `confidence`, to pinned memory; reading them waits only for this."""
        if not self.indices.is_cuda:
            return
        tensors = [self.indices.to(torch.int16), *([self._mean_probabilities] if confidence else [])]
        object.__setattr__(self, "_host_copy", HostCopy(tensors))

    @cached_property
    def labels(self) -> np.ndarray:
        """H×W object ids, 0 is background; ``labels == object_id`` is the mask of an object.

        An array of unsigned integers as wide as the largest id needs; waits for a GPU.
        """
        table = np.array([0, *self.ids], np.min_scalar_type(max(self.ids, default=0)))
        return table[self._host_copy.wait()[0] if self._host_copy else self.indices.cpu().numpy()]

    def __repr__(self) -> str:
        """Name ids and size in one line."""
        height, width = self.indices.shape
        return f"Prediction(ids={list(self.ids)}, height={height}, width={width}, device={self.indices.device})"

    @cached_property
    def probabilities(self) -> Tensor:
        """(1+n)×H×W that sum to 1 in every pixel: channel 0 is background, channel k + 1 is object ``ids[k]``.

        They are not calibrated: `confidence` divides the logits by ``temperature`` first, and so differs. On a frame
        with a mask, they are 0 or 1 until `Tracker.soften_edges`.
        A tensor on the tracker's device; ``probabilities.numpy(force=True)`` is an array.
        """
        return self.logits.softmax(0) if self.edges is None else self.edges

    @cached_property
    def confidence(self) -> dict[int, float]:
        """Mean calibrated probability of each object's pixels, in [0, 1]; 0 without pixels, 1 on frames with a mask."""
        copies = self._host_copy.wait()[1:] if self._host_copy else []
        values = copies[0] if copies else self._mean_probabilities
        return dict(zip(self.ids, values.tolist(), strict=True))

    @property
    def _mean_probabilities(self) -> Tensor:
        """Values of `confidence` as a tensor, without synchronization."""
        channels, probabilities = self.indices.flatten(), (self.logits / self.temperature).softmax(0)
        probability = probabilities.gather(0, self.indices[None]).flatten()
        sums = probability.new_zeros(len(self.logits)).scatter_add_(0, channels, probability)
        counts = channels.new_zeros(len(self.logits)).scatter_add_(0, channels, torch.ones_like(channels))
        return (sums / counts.clamp(min=1))[1:]


def _require_channels(name: str, maps: Tensor, ids: Sequence[int]) -> None:
    """Raise `InputError` unless maps are (1+n)×H×W of n objects."""
    expected = f"expected {1 + len(ids)}×H×W, the background and then {format_count(len(ids), 'object')}"
    require(maps.dim() == 3 and len(maps) == 1 + len(ids), f"{expected}, got shape {tuple(maps.shape)}", subject=name)


class Draft(NamedTuple):
    """A predicted frame that is not stored yet; hooks correct it before `Tracker.commit`."""

    state: VideoState
    """State of the video from which it was predicted."""
    version: int
    """Version of that state; `Tracker.commit` refuses a draft of an earlier one."""
    frame: np.ndarray
    """H×W×3 uint8."""
    size: ImageSize
    """(height, width) asked for; ``logits`` have the frame's size if that is larger."""
    short_term: bool
    """Whether the frame read short-term memory; not after a cut."""
    features: Features | None
    """None if no object is tracked yet."""
    decoded_frames: list[DecodedFrame]
    """One per group of objects."""
    logits: Tensor
    """(1+n)×H×W."""
    indices: Tensor
    """H×W int64, the most likely channel of ``logits`` in every pixel."""
    notes: dict[str, Any]
    """Values that hooks pass on from `allows_short_term` and `correct`, each by a name that the hook chooses."""
    hidden: frozenset[int] = frozenset()
    """Ids of the objects without a pixel since `hide`."""
    forgotten: Tensor | None = None
    """H×W int64, the identities of forgotten objects in the background; see `drop_forgotten`."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Object id of each channel of ``logits`` from 1 on, until the frame is stored."""
        return list_tracked_ids(self.state.groups)

    def hide(self, ids: Iterable[int]) -> Draft:
        """Return the frame without these objects, whose probability becomes 0; their pixels go to the next most likely.

        In tracking in both directions, only the other direction decides about them.
        """
        hidden, logits = self.hidden | {*ids}, self.logits.clone()
        logits[[self.ids.index(object_id) + 1 for object_id in hidden]] = NO_OBJECT
        return self._replace(logits=logits, indices=find_indices(logits), hidden=hidden)
