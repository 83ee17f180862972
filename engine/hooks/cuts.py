"""Detection of cuts: the first frame after a cut reads zeros instead of short-term memory, and objects may end there.

The two limits of detection were set by hand; its sensitivity to them was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from aotlab.configs.schema import RulesConfig
from aotlab.engine.hooks.hook import Hook
from aotlab.engine.tracking.groups import resize_indices
from aotlab.networks.identity_bank import one_hot
from aotlab.utils.plugins import HOOK_PLUGINS, find_plugin

if TYPE_CHECKING:
    from aotlab.engine.tracking.prediction import Draft, Prediction

SIZE = (96, 54)
"""Width and height of the thumbnails that are compared."""
MAX_HISTOGRAM_OVERLAP = 0.55
"""Largest intersection of both color histograms (8 bins per channel) at a cut."""
MAX_CORRELATION = 0.5
"""Largest correlation of both thumbnails at a cut."""
MIN_SIMILARITY = 0.72
"""Smallest similarity of an object on the first frame after a cut to its last visible frame, to be recognized."""


class CutDetection(Hook):
    """Compares each frame with the last stored one, and hides objects after a cut as ``rules.after_cut`` says."""

    NOTE, HIDDEN = "thumbnail", "ended at a cut"
    """Names of its notes: the frame's thumbnail, and the ids that it hides."""
    thumbnail: np.ndarray | None
    """Thumbnail of the last stored frame; None before it."""
    hidden: frozenset[int]
    """Ids of the objects that are hidden since the last cut."""
    descriptors: dict[int, Tensor]
    """Descriptor of each object on its last visible frame by id, see `describe_objects`; empty unless needed."""

    def __init__(self, after_cut: str) -> None:
        """``after_cut``: "end", "recognize" or "continue", see `RulesConfig.after_cut`."""
        self.after_cut = after_cut
        self.reset()

    def allows_short_term(self, frame: np.ndarray, notes: dict[str, Any]) -> bool:
        """Return False if a frame H×W×3 uint8 follows a cut."""
        notes[self.NOTE] = thumbnail = make_thumbnail(frame)
        return self.thumbnail is None or not is_cut(self.thumbnail, thumbnail)

    def correct(self, draft: Draft) -> Draft:
        """Hide the objects that ended at a cut; the first frame after it decides, where this waits for a GPU."""
        hidden = self.hidden
        if not draft.short_term and self.after_cut == "end":
            hidden = frozenset(draft.ids)
        elif not draft.short_term and self.after_cut == "recognize":
            hidden = frozenset(draft.ids).difference(self.find_recognized(draft))
        draft.notes[self.HIDDEN] = hidden
        return draft.hide(hidden) if hidden else draft

    def stored(self, draft: Draft, prediction: Prediction, mask: np.ndarray | None) -> None:
        """Keep the frame's thumbnail, its hidden objects without those of the mask, and descriptors of the others."""
        self.thumbnail = draft.notes[self.NOTE]
        self.hidden = draft.notes.get(self.HIDDEN, frozenset()) & prediction.hidden
        if self.after_cut == "recognize" and draft.features is not None:
            found = describe_objects(draft.features.projected, prediction.indices, prediction.ids)
            for object_id, descriptor in found.items():  # without waiting for a GPU
                earlier = self.descriptors.get(object_id, descriptor).to(descriptor)
                self.descriptors[object_id] = torch.where(descriptor.any(), descriptor, earlier)

    def find_recognized(self, draft: Draft) -> list[int]:
        """Return the ids of the objects of a frame that look as on their last visible one."""
        assert draft.features is not None  # hooks correct only frames on which objects are tracked
        found = describe_objects(draft.features.projected, draft.indices, draft.ids)
        similarity = {
            object_id: torch.cosine_similarity(self.descriptors[object_id].to(descriptor), descriptor, 0)
            for object_id, descriptor in found.items() if object_id in self.descriptors
        }  # fmt: skip
        return [object_id for object_id, value in similarity.items() if float(value) >= MIN_SIMILARITY]

    def forget(self, object_id: int) -> None:
        """Forget an object."""
        self.hidden -= {object_id}
        self.descriptors.pop(object_id, None)

    def reset(self) -> None:
        """Forget the thumbnail and the objects."""
        self.thumbnail, self.hidden, self.descriptors = None, frozenset(), {}

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the thumbnail, the hidden objects and the descriptors."""
        thumbnail = None if self.thumbnail is None else torch.from_numpy(self.thumbnail.copy())
        return {"thumbnail": thumbnail, "hidden": sorted(self.hidden), "descriptors": {**self.descriptors}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a thumbnail, hidden objects and descriptors."""
        self.thumbnail = None if state["thumbnail"] is None else state["thumbnail"].numpy().copy()
        self.hidden, self.descriptors = frozenset(state["hidden"]), {**state["descriptors"]}


def describe_objects(features: Tensor, indices: Tensor, ids: Sequence[int]) -> dict[int, Tensor]:
    """Return the mean features of each object by id, relative to those of the whole frame; 0 if it is not visible.

    Args:
        features: 1×C×h×w.
        indices: H×W, k + 1 on object ``ids[k]``.
        ids: object ids.
    """
    height, width = features.shape[-2:]
    masks = one_hot(resize_indices(indices, (4 * height, 4 * width)), len(ids) + 1)[1:]
    weights = F.avg_pool2d(masks, 4).flatten(1)  # n×L
    areas = weights.sum(1, keepdim=True)
    vectors = features[0].float().flatten(1).T  # L×C
    means = weights @ vectors / areas.clamp(min=1e-6) - vectors.mean(0)
    return dict(zip(ids, means * (areas > 0), strict=True))


def is_cut(previous: np.ndarray, thumbnail: np.ndarray) -> bool:
    """Compare the thumbnails of the last stored frame and a new one: a cut changes both the colors and their layout."""
    overlap = float(np.minimum(color_histogram(previous), color_histogram(thumbnail)).sum())
    return overlap < MAX_HISTOGRAM_OVERLAP and correlate(previous, thumbnail) < MAX_CORRELATION


def make_thumbnail(frame: np.ndarray) -> np.ndarray:
    """Scale a frame H×W×3 uint8 to 54×96×3 uint8."""
    return np.asarray(Image.fromarray(frame).resize(SIZE, Image.Resampling.BOX, reducing_gap=1.0))


def color_histogram(image: np.ndarray) -> np.ndarray:
    """Return the shares of 8×8×8 colors in an image H×W×3 uint8, 512 floats."""
    red, green, blue = np.moveaxis(image.astype(np.int32) >> 5, 2, 0)
    return np.bincount((64 * red + 8 * green + blue).ravel(), minlength=512) / red.size


def correlate(image: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two images 54×96×3 uint8 in blocks of 6×6 pixels; 0 if one is uniform."""
    blocks = [x.reshape(9, 6, 16, 6, 3).mean((1, 3)) for x in (image, other)]  # 9×16×3
    first, second = (x - x.mean((0, 1)) for x in blocks)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale else 0.0


def build_hooks(rules: RulesConfig) -> list[Hook]:
    """Return the hooks that the settings turn on."""
    cuts: list[Hook] = [CutDetection(rules.after_cut)] if rules.cuts else []
    return [*cuts, *(find_plugin(HOOK_PLUGINS, name)() for name in rules.hooks)]
