"""CVAT tracker: masks tracked through a video, for ``cvat-cli function run-agent``."""

from collections import OrderedDict
from itertools import count

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import PIL.Image
from cvat_sdk.masks import decode_mask, encode_mask

from aotlab import InputError, TrackerOptions, VideoTracker


class TrackingFunction:
    """`cvat_sdk.auto_annotation.TrackingFunction` for masks; shapes are tracked independently of each other.

    Args:
        checkpoint: as in `TrackerOptions`.
        device: auto, cpu, cuda or cuda:N.
        max_shapes: shapes that keep their memory; the one not tracked for longest is dropped first.
    """

    spec = cvataa.TrackingFunctionSpec(supported_shape_types=["mask"])

    def __init__(self, checkpoint: str, device: str, max_shapes: int) -> None:
        self._tracker = TrackerOptions(checkpoint, device=device).load()
        self._max_shapes = max_shapes
        self._trackers: OrderedDict[int, VideoTracker] = OrderedDict()
        """Trackers of the shapes, the one not used for longest first."""
        self._numbers = count()

    def preprocess_image(self, context: cvataa.TrackingFunctionContext, image: PIL.Image.Image) -> np.ndarray:
        """Return the frame H×W×3 uint8."""
        return np.asarray(image.convert("RGB"))

    def init_tracking_state(
        self, context: cvataa.TrackingFunctionShapeContext, pp_image: np.ndarray, shape: cvataa.TrackableShape
    ) -> int:
        """Start tracking a shape from its frame; return its number. Raises `InputError` if it has no pixel."""
        height, width, _ = pp_image.shape
        tracker, state = self._tracker.fresh(), next(self._numbers)
        tracker.step(pp_image, decode_mask(shape.points, image_width=width, image_height=height))
        self._trackers[state] = tracker
        if len(self._trackers) > self._max_shapes:
            self._trackers.popitem(last=False)
        return state

    def track(
        self, context: cvataa.TrackingFunctionShapeContext, pp_image: np.ndarray, state: int
    ) -> cvataa.TrackableShape | None:
        """Return the shape on the next frame, None if it is hidden; raise `InputError` if its memory was dropped."""
        tracker = self._trackers.get(state)
        if tracker is None:
            raise InputError(
                f"shape: dropped after {self._max_shapes} newer ones; start tracking it again, or raise max_shapes"
            )
        self._trackers.move_to_end(state)
        labels = tracker.step(pp_image).labels
        return cvataa.TrackableShape(type="mask", points=encode_mask(labels > 0)) if labels.any() else None


def create(checkpoint: str = "bundled", device: str = "auto", max_shapes: int = 64) -> TrackingFunction:
    """Return the function for an agent; `cvat-cli` passes its ``-p NAME=TYPE:VALUE`` as arguments."""
    return TrackingFunction(checkpoint, device, max_shapes)
