"""Segmenter of two ONNX files of the SAM family: an encoder of the image, and a decoder of boxes and clicks.

Names and shapes follow the usual exports (segment-anything's ``export_onnx_model.py`` and its relatives).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.media.prompt import Prompt
from aotlab.prompting.segmenter import PromptSegmenter
from aotlab.utils.errors import InputError, require_modules
from aotlab.utils.files import reading

DEFAULT_EDGE = 1024
"""Longer edge of the encoder's image in pixels, if the input size is free."""
PIXEL_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
PIXEL_STD = np.array([58.395, 57.12, 57.375], np.float32)


class OnnxSegmenter(PromptSegmenter):
    """Segments objects one by one; caches the embedding of the last frame. Thread-safe.

    The encoder takes 1×3×E×E normalized pixels (padded right and below), or H×W×3 of 0 to 255, and returns
    ``image_embeddings``. The decoder takes these, ``point_coords``, ``point_labels`` and ``orig_im_size``, and may take
    ``mask_input`` and ``has_mask_input``, which are 0; it returns ``masks`` (1×K×H×W logits) and may return
    ``iou_predictions`` (1×K).
    """

    def __init__(self, encoder: Path, decoder: Path) -> None:
        """Load two ONNX files; raises `InputError` if one cannot be loaded."""
        require_modules("onnxruntime", "cv2")
        self._encoder, self._decoder = _open_session(encoder), _open_session(decoder)
        self._inputs = {item.name for item in self._decoder.get_inputs()}
        self._outputs = [item.name for item in self._decoder.get_outputs()]
        shape = self._encoder.get_inputs()[0].shape
        self._takes_planes = len(shape) == 4
        self._edge = shape[-1] if self._takes_planes and isinstance(shape[-1], int) else DEFAULT_EDGE
        self._lock = threading.Lock()
        self._cached: tuple[tuple[tuple[int, ...], bytes], np.ndarray] | None = None

    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects, as `PromptSegmenter.segment`; where two overlap, the later one wins."""
        labels = np.zeros(frame.shape[:2], np.min_scalar_type(max(prompts)))
        for object_id, prompt in prompts.items():
            try:
                mask = self._segment_object(frame, prompt)
                mask = mask if prompt.exclude is None else mask & ~prompt.exclude
                labels = np.where(mask, labels.dtype.type(object_id), labels)
            except Exception as error:  # onnxruntime's errors have no common class
                raise InputError(
                    f"encoder and decoder do not run as segment-anything's export does ({error})", subject="segmenter"
                ) from error
        return labels

    def _segment_object(self, frame: np.ndarray, prompt: Prompt) -> np.ndarray:
        """Return the mask H×W bool of one object, the decoder's best one."""
        with self._lock:
            outputs = self._decoder.run(None, self._make_inputs(frame, prompt))
        results = dict(zip(self._outputs, outputs, strict=True))
        masks = results["masks"][0]
        scores = results.get("iou_predictions", np.zeros(1)).reshape(-1)[: len(masks)]
        return np.asarray(masks[np.argmax(scores)] > 0)

    def _make_inputs(self, frame: np.ndarray, prompt: Prompt) -> dict[str, np.ndarray]:
        """Return the decoder's inputs: a box is two points of labels 2 and 3; without one a point of -1 is added."""
        scale = self._edge / max(frame.shape[:2])
        points, labels, box = prompt.to_points_and_box()
        if box is None:
            points, labels = [*points, (0.0, 0.0)], [*labels, -1]
        else:
            x, y, width, height = box
            points, labels = [*points, (x, y), (x + width, y + height)], [*labels, 2, 3]
        feed = {
            "image_embeddings": self._embed(frame, scale),
            "point_coords": (np.array(points, np.float32) * scale)[None],
            "point_labels": np.array(labels, np.float32)[None],
            "mask_input": np.zeros((1, 1, 256, 256), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(frame.shape[:2], np.float32),
        }
        return {name: value for name, value in feed.items() if name in self._inputs}

    def _embed(self, frame: np.ndarray, scale: float) -> np.ndarray:
        """Return the encoder's embedding of a frame; the last one is kept."""
        import cv2

        key = frame.shape, frame.tobytes()
        if self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        pixels = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        if self._takes_planes:
            padded = np.zeros((self._edge, self._edge, 3), np.float32)
            padded[: size[1], : size[0]] = (pixels - PIXEL_MEAN) / PIXEL_STD
            pixels = np.ascontiguousarray(padded.transpose(2, 0, 1)[None])
        embedding, *_ = self._encoder.run(None, {self._encoder.get_inputs()[0].name: pixels})
        self._cached = key, embedding
        return embedding


def _open_session(path: Path) -> Any:
    import onnxruntime

    with reading(path, "give an ONNX model", Exception):  # onnxruntime's errors have no common class
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
