"""CVAT tracker: masks tracked through a video, for ``cvat-cli function run-agent``."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import PIL.Image
import torch
from cvat_sdk.masks import decode_mask, encode_mask

from aotlab import InputError, Tracker


class CachedEncoder:
    """A tracker's model that keeps the last encoding of each network size, for the other shapes on the frame."""

    SIZES = 4
    """network sizes kept; small shapes enlarge the frame"""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._encoded: OrderedDict[torch.Size, tuple[torch.Tensor, Any]] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, image: torch.Tensor) -> Any:
        """Return the features of an image 1×3×H×W, computed once while the same image is given."""
        known, features = self._encoded.pop(image.shape, (None, None))
        if known is None or not torch.equal(known, image):
            features = self._model.encode(image)
        self._encoded[image.shape] = (image, features)
        if len(self._encoded) > self.SIZES:
            self._encoded.popitem(last=False)
        return features


class Shape:
    """Tracking state of one shape; its tracker is dropped when newer shapes need the memory."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker: Tracker | None = tracker


class TrackingFunction:
    """`cvat_sdk.auto_annotation.TrackingFunction` for masks; shapes are tracked independently of each other.

    Args:
        checkpoint: as in `Tracker.from_pretrained`.
        device: cpu, cuda or cuda:N.
        max_shapes: shapes that keep their memory; the one not tracked for longest is dropped first.
    """

    spec = cvataa.TrackingFunctionSpec(supported_shape_types=["mask"])

    def __init__(self, checkpoint: str, device: str, max_shapes: int) -> None:
        self._tracker = Tracker.from_pretrained(checkpoint, device=device)
        self._tracker.model = CachedEncoder(self._tracker.model)
        self._max_shapes = max_shapes
        self._shapes: OrderedDict[int, Shape] = OrderedDict()

    def preprocess_image(self, context: cvataa.TrackingFunctionContext, image: PIL.Image.Image) -> np.ndarray:
        """Return the frame H×W×3 uint8; it is encoded when its first shape needs it."""
        return np.asarray(image.convert("RGB"))

    def init_tracking_state(
        self, context: cvataa.TrackingFunctionShapeContext, pp_image: np.ndarray, shape: cvataa.TrackableShape
    ) -> Shape:
        """Start tracking a shape from its frame; raise `InputError` if it has no pixel."""
        height, width, _ = pp_image.shape
        state = Shape(self._tracker.fresh())
        mask = decode_mask(shape.points, image_width=width, image_height=height)
        state.tracker.step(pp_image, mask)
        self._keep(state)
        return state

    def track(
        self, context: cvataa.TrackingFunctionShapeContext, pp_image: np.ndarray, state: Shape
    ) -> cvataa.TrackableShape | None:
        """Return the shape on the next frame; None if it is not visible.

        Raises:
            InputError: the shape's memory was dropped.
        """
        if state.tracker is None:
            raise InputError(
                f"shape: dropped after {self._max_shapes} newer ones; start tracking it again, or raise max_shapes"
            )
        labels = state.tracker.step(pp_image).labels
        self._keep(state)
        return cvataa.TrackableShape(type="mask", points=encode_mask(labels > 0)) if labels.any() else None

    def _keep(self, state: Shape) -> None:
        """Count a shape as the last one tracked, and drop the memory of the oldest beyond the limit."""
        self._shapes[id(state)] = state
        self._shapes.move_to_end(id(state))
        while len(self._shapes) > self._max_shapes:
            self._shapes.popitem(last=False)[1].tracker = None


def create(checkpoint: str = "bundled", device: str = "cpu", max_shapes: int = 64) -> TrackingFunction:
    """Return the function for an agent; `cvat-cli` passes its ``-p NAME=TYPE:VALUE`` as arguments."""
    return TrackingFunction(checkpoint, device, max_shapes)
