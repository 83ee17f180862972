"""Predictions as `supervision.Detections`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aotlab.engine.tracking.prediction import Prediction
from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(prediction: Prediction) -> Detections:
    """Convert the visible objects of a frame to `supervision.Detections`: ``tracker_id``, masks, boxes, confidence.

    ``class_id`` is 0, as trackers have no classes.

    Raises:
        InputError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise InputError("supervision is not installed; pip install supervision") from error
    labels = prediction.labels
    ids = np.array([object_id for object_id in prediction.ids if (labels == object_id).any()], dtype=int)
    if not len(ids):
        return supervision.Detections.empty()
    masks = np.stack([labels == object_id for object_id in ids])
    return supervision.Detections(
        xyxy=supervision.mask_to_xyxy(masks),
        mask=masks,
        confidence=np.array([prediction.confidence[int(object_id)] for object_id in ids]),
        class_id=np.zeros(len(ids), dtype=int),
        tracker_id=ids,
    )
