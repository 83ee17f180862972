"""`Sam2VideoModel` and `Sam2VideoProcessor` as in transformers, on aotlab's tracker and with its weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BatchFeature
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoSegmentationOutput

from aotlab import Prompt, Tracker

log = logging.getLogger(__name__)

MAX_LOGIT = 32.0


class Sam2VideoInferenceSession:
    """Frames H×W×3 uint8, inputs and results of one video."""

    def __init__(self, frames: list[np.ndarray]) -> None:
        self.frames = frames
        self.video_height, self.video_width = frames[0].shape[:2] if frames else (None, None)
        self.reset_inference_session()

    def reset_inference_session(self) -> None:
        """Forget all objects, inputs and results; the frames stay."""
        self.obj_ids: list[int] = []
        self.inputs: dict[int, dict[int, Prompt | np.ndarray]] = {}  # by frame, and place in obj_ids from 1
        self.labels: dict[int, np.ndarray] = {}  # places H×W uint16, by frame
        self.tracker: Tracker | None = None
        self.position = -1  # last frame of the tracker


class Sam2VideoProcessor:
    """Frames and prompts for `Sam2VideoModel`."""

    @classmethod
    def from_pretrained(cls, name: str) -> Sam2VideoProcessor:
        """Return the processor, which is the same for all weights."""
        return cls()

    def __call__(self, images: Any, device: Any = None, return_tensors: str = "pt") -> BatchFeature:
        """Return ``pixel_values`` 1×3×H×W uint8 and ``original_sizes`` of one frame."""
        pixels = torch.from_numpy(_to_array(images).copy()).permute(2, 0, 1)[None]
        return BatchFeature({"pixel_values": pixels, "original_sizes": torch.tensor([pixels.shape[-2:]])})

    def init_video_session(
        self, video: Any = None, inference_device: Any = "cpu", inference_state_device: Any = None,
        processing_device: Any = None, video_storage_device: Any = None, dtype: Any = None,
    ) -> Sam2VideoInferenceSession:  # fmt: skip
        """Start a session; ``video``: frames, or None for a stream. Devices and dtype are those of the model."""
        return Sam2VideoInferenceSession([] if video is None else [_to_array(frame) for frame in video])

    def add_inputs_to_inference_session(
        self, inference_session: Sam2VideoInferenceSession, frame_idx: int, obj_ids: Sequence[int] | int,
        input_points: Any = None, input_labels: Any = None, input_boxes: Any = None, input_masks: Any = None,
        original_size: Any = None, clear_old_inputs: bool = True,
    ) -> None:  # fmt: skip
        """Add prompts or masks of objects; nesting and errors as in transformers. Earlier results guide prompts."""
        session, ids = inference_session, [obj_ids] if isinstance(obj_ids, int) else list(obj_ids)
        prompted = input_points is not None or input_boxes is not None
        if prompted == (input_masks is not None) or (input_points is None) != (input_labels is None):
            raise ValueError("provide points with their labels, boxes, or only masks")
        masks = [input_masks] if len(ids) == 1 and not isinstance(input_masks, list) else input_masks
        given, earlier = session.inputs.setdefault(frame_idx, {}), session.labels.get(frame_idx)
        session.obj_ids += [obj_id for obj_id in ids if obj_id not in session.obj_ids]
        for index, obj_id in enumerate(ids):
            place = session.obj_ids.index(obj_id) + 1
            if input_masks is not None:
                mask = np.asarray(masks[index]) > 0
                given[place] = mask.reshape(mask.shape[-2:])
                continue
            pair = (input_points, input_labels)
            points, labels = ([] if x is None else np.asarray(x[0][index]).tolist() for x in pair)
            box, old = None, given.get(place)
            if input_boxes is not None:
                left, top, right, bottom = map(float, input_boxes[0][index])
                box = (left, top, right - left, bottom - top)
            if isinstance(old, Prompt) and not clear_old_inputs:
                points, labels, box = [*old.points, *points], [*(old.labels or ()), *labels], box or old.box
            known = earlier is not None and place in earlier
            given[place] = Prompt(points, labels, box, mask=earlier == place if known else None)

    def post_process_masks(
        self, masks: list[Tensor], original_sizes: Any, mask_threshold: float = 0.0, binarize: bool = True
    ) -> list[Tensor]:
        """Resize logits N×1×h×w to their original sizes; ``binarize``: bool instead of logits."""
        pairs = zip(masks, original_sizes, strict=True)
        resized = [F.interpolate(mask, (int(size[0]), int(size[1])), mode="bilinear") for mask, size in pairs]
        return [mask > mask_threshold for mask in resized] if binarize else resized


class Sam2VideoModel:
    """A `Tracker` with the methods of transformers' model; all objects are tracked together, without overlap."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self.device = tracker, tracker.device

    @classmethod
    def from_pretrained(cls, name: str, device_map: Any = None, dtype: Any = None) -> Sam2VideoModel:
        """Load weights as `Tracker.from_pretrained`, the bundled ones for a name with ``sam2``; log which."""
        weights = "bundled" if "sam2" in name else name
        log.warning("%s: this is aotlab's tracker with its weights %s, not SAM 2", name, weights)
        if device_map in (None, "auto"):
            device_map = "cuda" if torch.cuda.is_available() and device_map else "cpu"
        return cls(Tracker.from_pretrained(weights, device=str(device_map)))

    @torch.inference_mode()
    def __call__(
        self, inference_session: Sam2VideoInferenceSession, frame_idx: int | None = None,
        frame: Tensor | None = None, reverse: bool = False,
    ) -> Sam2VideoSegmentationOutput:  # fmt: skip
        """Segment a frame, the next of a stream or one of the video; raise ValueError if no object is known there."""
        session = inference_session
        if frame is not None:
            session.frames.append(_to_array(frame))
            frame_idx = len(session.frames) - 1
        image, given = session.frames[frame_idx], session.inputs.get(frame_idx, {})
        mask = np.zeros(image.shape[:2], np.uint16)
        if session.tracker is None or frame_idx != session.position + (-1 if reverse else 1):
            session.tracker = self._tracker.fresh()
            mask = session.labels.get(frame_idx, mask).copy()  # other objects as they were found here
            if not (given or mask.any()):
                raise ValueError(f"frame {frame_idx}: no inputs, and it does not follow the last frame")
        mask[np.isin(mask, list(given))] = 0
        for place in [place for place, value in given.items() if isinstance(value, np.ndarray)]:
            mask[given[place]] = place
        prompts = {place: value for place, value in given.items() if isinstance(value, Prompt)}
        predicted = session.tracker.step(image, mask if mask.any() else None, prompts=prompts)
        session.position, session.labels[frame_idx] = frame_idx, predicted.labels.astype(np.uint16)
        logits = torch.full((len(session.obj_ids), 1, *mask.shape), -MAX_LOGIT, device=self.device)
        for channel, place in enumerate(predicted.ids, start=1):
            others = torch.cat([predicted.logits[:channel], predicted.logits[channel + 1 :]]).amax(0)
            logits[place - 1, 0] = (predicted.logits[channel] - others).clamp(-MAX_LOGIT, MAX_LOGIT)
        return Sam2VideoSegmentationOutput(list(session.obj_ids), logits, logits.amax((2, 3)), frame_idx)

    def propagate_in_video_iterator(
        self, inference_session: Sam2VideoInferenceSession, start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None, reverse: bool = False,
    ) -> Iterator[Sam2VideoSegmentationOutput]:  # fmt: skip
        """Yield the masks of each frame from ``start_frame_idx``, by default the first with inputs."""
        session, last = inference_session, len(inference_session.frames) - 1
        start = min(session.inputs, default=0) if start_frame_idx is None else start_frame_idx
        most = last + 1 if max_frame_num_to_track is None else max_frame_num_to_track
        session.tracker = None
        ahead, back = range(start, min(start + most, last) + 1), range(start, max(start - most, 0) - 1, -1)
        for index in (back if start else ()) if reverse else ahead:
            yield self(session, frame_idx=index, reverse=reverse)


def _to_array(frame: Any) -> np.ndarray:
    """Return a frame H×W×3 uint8 of a PIL image, an array, or a tensor 3×H×W."""
    return (
        frame.permute(1, 2, 0).contiguous().cpu().numpy() if isinstance(frame, Tensor) else np.asarray(frame)
    )
