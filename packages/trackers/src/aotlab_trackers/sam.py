"""SAM 2, SAM 3's tracker and EdgeTAM of transformers: streams with bounded memory, and segmenters of prompts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab import Prompt, sdk
from aotlab_trackers.base import ModelTracker

CLASSES = {
    "sam2": ("Sam2VideoModel", "Sam2VideoProcessor", "Sam2Model", "Sam2Processor"),
    "sam3": ("Sam3TrackerVideoModel", "Sam3TrackerVideoProcessor", "Sam3TrackerModel", "Sam3TrackerProcessor"),
    "edgetam": ("EdgeTamVideoModel", "Sam2VideoProcessor", "EdgeTamModel", "Sam2Processor"),
}
"""Model and processor of videos, then of images, by family."""
OBJECT_TABLES = ("point_inputs_per_obj", "mask_inputs_per_obj", "output_dict_per_obj", "frames_tracked_per_obj")
"""Tables of a session by index of the object."""


def read_model(family: str, folder: Path, *, video: bool) -> tuple[Any, Any]:
    """Return the model and processor of a folder of `save_pretrained`; raise `InputError` if it cannot be used."""
    import transformers

    model, processor = CLASSES[family][:2] if video else CLASSES[family][2:]
    with sdk.reading(folder, f"give a model of {family}", Exception):  # errors of the library have no common class
        return (
            getattr(transformers, model).from_pretrained(folder),
            getattr(transformers, processor).from_pretrained(folder),
        )


class SamTracker(ModelTracker):
    """A model of transformers with a session for each video.

    Of tracked frames only what the model still reads is kept: the last ``num_maskmem`` - 1 memories and the last
    ``max_object_pointers_in_encoder`` - 1 object pointers. It reads all frames with masks or prompts, which are kept.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
        segmenter: sdk.PromptSegmenter | None = None,
    ) -> None:
        """Move the model, in evaluation mode, to the device.

        ``segmenter``: makes masks of prompts before a run, which stores them; `step` gives prompts to the model itself.
        Others: see `ModelTracker`.
        """
        self.processor, self.segmenter = processor, segmenter
        self.model = model.to(sdk.pick_device(device)).eval()
        model._use_mask_as_output = partial(_use_mask, type(model)._use_mask_as_output.__get__(model))
        if compile:
            for part in (model.vision_encoder, model.memory_attention):
                part.compile()
        super().__init__(device=device, precision=precision)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return tuple(self.session.obj_ids)

    def start_video(self) -> None:
        """Begin a session."""
        self.session = self.processor.init_video_session(inference_device=self.device)
        self._index = -1

    def check_prompts(
        self, frame: np.ndarray, prompts: Mapping[int, Prompt | tuple[float, float]]
    ) -> dict[int, Prompt]:
        """Return the prompts by object id, with boxes cropped to the frame."""
        return sdk.check_prompts(prompts, frame.shape[:2])

    def track(self, frame: np.ndarray, masks: Mapping[int, np.ndarray], prompts: Mapping[int, Prompt]) -> Tensor | None:
        """Track to the next frame, as `ModelTracker.track`."""
        session, size = self.session, frame.shape[:2]
        self._index += 1
        if masks:
            self.processor.process_new_mask_for_video_frame(session, self._index, [*masks], [*masks.values()])
        for object_id, prompt in prompts.items():
            self.processor.add_inputs_to_inference_session(
                session, self._index, object_id, original_size=size, **_to_inputs(prompt)
            )
        if not session.obj_ids:
            return None
        session.obj_with_new_inputs = [*masks, *prompts]
        # Without its index, the session would count the frames that it still holds; without the frame, it would limit
        # the object pointers to that count.
        pixels = self.processor(images=frame, return_tensors="pt").pixel_values[0].to(self.device)
        output = self.model(session, frame=pixels, frame_idx=self._index)
        self._drop_unread()
        logits = F.interpolate(output.pred_masks.float(), size, mode="bilinear", align_corners=False)[:, 0]
        for object_id, prompt in prompts.items():
            if prompt.exclude is not None:
                logits[self.ids.index(object_id)] -= torch.tensor(1e10 * prompt.exclude).to(logits)
        return torch.cat([torch.zeros_like(logits[:1]), logits])

    def _drop_unread(self) -> None:
        """Drop what the model does not read on later frames."""
        config, session, index = self.model.config, self.session, self._index
        for outputs in session.output_dict_per_obj.values():
            tracked = outputs["non_cond_frame_outputs"]
            for name in ("pred_masks", "high_res_masks"):
                for kind in outputs.values():
                    kind.get(index, {}).pop(name, None)
            for name in ("maskmem_features", "maskmem_pos_enc"):
                tracked.get(index + 1 - config.num_maskmem, {}).pop(name, None)
            tracked.pop(index + 1 - max(config.num_maskmem, config.max_object_pointers_in_encoder), None)
        for table in (*session.mask_inputs_per_obj.values(), *session.frames_tracked_per_obj.values()):
            table.clear()
        session.processed_frames.clear()

    def remove(self, object_id: int) -> None:
        """Remove an object and renumber the others."""
        session, removed = self.session, self.ids.index(object_id)
        for name in OBJECT_TABLES:
            table = getattr(session, name)
            kept = {index - (index > removed): value for index, value in table.items() if index != removed}
            setattr(session, name, type(table)(kept))
        session.obj_ids = [i for i in session.obj_ids if i != object_id]
        session._obj_id_to_idx = OrderedDict((i, index) for index, i in enumerate(session.obj_ids))
        session._obj_idx_to_id = OrderedDict(enumerate(session.obj_ids))


class SamSegmenter(sdk.PromptSegmenter):
    """Masks from prompts, as `Prompt.to_points_and_box`; the encoding of the last frame is kept. Thread-safe."""

    def __init__(self, load: Callable[[], tuple[Any, Any]], *, device: str = "auto") -> None:
        """``load``: returns the model of images and its processor, at the first prompt."""
        self._load, self._device, self._lock = load, device, Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._encoded: tuple[np.ndarray, Any] | None = None

    @torch.inference_mode()
    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Return the object ids H×W, as `PromptSegmenter.segment`."""
        with self._lock:
            planes = [self._segment(frame, prompt) for prompt in prompts.values()]
        logits = np.stack([np.zeros(frame.shape[:2], np.float32), *planes])
        return np.array([0, *prompts], np.min_scalar_type(max(prompts)))[logits.argmax(0)]

    def _segment(self, frame: np.ndarray, prompt: Prompt) -> np.ndarray:
        """Return the logits H×W of one object; of several masks, those of the best predicted IoU."""
        if self._loaded is None:
            model, processor = self._load()
            self._loaded = model.to(sdk.pick_device(self._device)).eval(), processor
        model, processor = self._loaded
        if self._encoded is None or not np.array_equal(self._encoded[0], frame):
            pixels = processor(images=frame, return_tensors="pt").pixel_values.to(model.device)
            self._encoded = frame.copy(), model.get_image_embeddings(pixels)
        given = _to_inputs(prompt)
        inputs = processor(original_sizes=[frame.shape[:2]], return_tensors="pt", **given)
        names = ("input_points", "input_labels", "input_boxes")
        output = model(
            image_embeddings=self._encoded[1],
            multimask_output="input_boxes" not in given and len(given["input_labels"][0][0]) == 1,
            **{name: inputs[name].to(model.device) for name in names if name in inputs},
        )
        best = output.iou_scores[0, 0].argmax()
        mask = output.pred_masks[0, 0, best][None, None].float()
        logits = F.interpolate(mask, frame.shape[:2], mode="bilinear", align_corners=False)[0, 0].cpu().numpy()
        return logits if prompt.exclude is None else np.where(prompt.exclude, -np.inf, logits)


def _use_mask(use_mask_as_output: Callable[..., Any], *arguments: Any) -> Any:
    """Return a model's output for a mask, with scores of the shape of tracked ones, which EdgeTAM's lack."""
    output = use_mask_as_output(*arguments)
    if output.object_score_logits.dim() == 2:
        output.object_score_logits = output.object_score_logits[..., None]
    return output


def _to_inputs(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as the processors' inputs, nested by image, object and, for points, point."""
    points, labels, box = prompt.to_points_and_box()
    inputs: dict[str, Any] = {}
    if points:
        inputs["input_points"] = [[[[float(x), float(y)] for x, y in points]]]
        inputs["input_labels"] = [[labels]]
    if box is not None:
        left, top, width, height = map(float, box)
        inputs["input_boxes"] = [[[left, top, left + width, top + height]]]
    return inputs
