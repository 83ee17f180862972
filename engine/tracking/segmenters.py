"""Segmenters: masks from prompts, by a model's prompt network or by two ONNX files of the SAM family.

The ONNX files are an encoder of the image and a decoder of boxes and clicks, with the names and shapes of the usual
exports (segment-anything's ``export_onnx_model.py`` and its relatives).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.media.prompt import Prompt, find_box
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import SEGMENTERS, list_plugins, load_plugin

log = logging.getLogger(__name__)

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""from a frame H×W×3 uint8 RGB and prompts by object id to H×W uint16 ids; `InputError` for a prompt outside"""

MAX_OUTSIDE_FRACTION = 0.1
"""share of a box's width or height outside the image above which it may have been meant as two corners"""
DEFAULT_EDGE = 1024
"""longer edge of the encoder's image in pixels, if the input size is free"""
MAX_EDGE = 4096
SCRIBBLE_STEP = 8
"""points of a scribble from one click to the next, for decoders that take clicks only"""
PIXEL_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
PIXEL_STD = np.array([58.395, 57.12, 57.375], np.float32)
DECODER_INPUTS = (
    "image_embeddings",
    "point_coords",
    "point_labels",
    "mask_input",
    "has_mask_input",
    "orig_im_size",
)


def segment_objects(frame: np.ndarray, prompts: Mapping[int, Prompt], segmenter: Segmenter) -> np.ndarray:
    """Segment the objects of one frame; boxes are cropped to the image.

    Args:
        frame: H×W×3 uint8 RGB.
        prompts: by object id.
        segmenter: returns the object ids.

    Returns:
        H×W uint16 object ids.

    Raises:
        InputError: prompts outside the image, or no pixel is found for an object.
    """
    cropped = {object_id: crop_box(prompt, object_id, frame.shape) for object_id, prompt in prompts.items()}
    labels = segmenter(frame, cropped)
    for object_id in prompts:
        if not (labels == object_id).any():
            raise InputError(f"object {object_id}: no pixel found there; give another box or point")
    return labels


class OnnxSegmenter:
    """Segments objects one by one; remembers the embedding of the last frame. Thread-safe.

    The encoder takes 1×3×E×E normalised pixels (padded right and below), or H×W×3 of 0 to 255, and gives
    ``image_embeddings``. The decoder takes `DECODER_INPUTS` and gives ``masks`` (1×K×H×W logits) and
    ``iou_predictions``.

    Args:
        encoder: an ONNX file.
        decoder: an ONNX file.

    Raises:
        InputError: onnxruntime is missing, a file cannot be loaded, or has other inputs or outputs.
    """

    def __init__(self, encoder: Path, decoder: Path) -> None:
        self._encoder, self._decoder = _load(encoder), _load(decoder)
        inputs = [item.name for item in self._decoder.get_inputs()]
        unknown = [name for name in inputs if name not in DECODER_INPUTS]
        outputs = [item.name for item in self._decoder.get_outputs()]
        if unknown or "image_embeddings" not in inputs or "masks" not in outputs:
            raise InputError(
                f"{decoder}: has inputs {', '.join(inputs)} and outputs {', '.join(outputs)}; a decoder takes "
                f"{', '.join(DECODER_INPUTS)} and gives masks"
            )
        self._inputs = set(inputs)
        shapes = [item.shape for item in self._encoder.get_inputs()]
        self._planes = len(shapes) == 1 and len(shapes[0]) == 4
        self._edge = shapes[0][-1] if self._planes and isinstance(shapes[0][-1], int) else DEFAULT_EDGE
        if len(shapes) != 1 or len(shapes[0]) not in (3, 4) or not 32 <= self._edge <= MAX_EDGE:
            raise InputError(
                f"{encoder}: has inputs of shapes {shapes}; expected one of 1×3×E×E, with E from 32 to "
                f"{MAX_EDGE}, or H×W×3"
            )
        self._lock = threading.Lock()
        self._cached: tuple[bytes, np.ndarray] | None = None

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects; see `Segmenter`. Where two overlap, the later one wins.

        Raises:
            InputError: the files do not run together, or a prompt lies outside the frame.
        """
        labels = np.zeros(frame.shape[:2], np.uint16)
        for number, prompt in prompts.items():
            prompt.check_inside((frame.shape[0], frame.shape[1]))
            mask = self.mask(frame, prompt)
            labels[mask if prompt.exclude is None else mask & ~prompt.exclude] = number
        return labels

    def mask(self, frame: np.ndarray, prompt: Prompt) -> np.ndarray:
        """Return the mask H×W bool of one object; raises `InputError` if the files do not run together."""
        with self._lock:
            feed = self._make_inputs(frame, prompt)
            try:
                outputs = self._decoder.run(None, feed)
            except Exception as error:  # onnxruntime's errors have no common class
                raise InputError(f"segmenter: the decoder fails ({error})") from error
        results = dict(zip((item.name for item in self._decoder.get_outputs()), outputs, strict=True))
        masks, scores = np.asarray(results["masks"]), np.asarray(results.get("iou_predictions", 0.0))
        height, width = frame.shape[:2]
        whole = masks.ndim == 4 and masks.shape[2:] == (height, width) and min(masks.shape) > 0
        if not whole or masks.dtype.kind not in "fiub" or scores.dtype.kind not in "fiu" or not scores.size:
            raise InputError(
                f"segmenter: the decoder gives masks of {masks.dtype}, {'×'.join(map(str, masks.shape))}, and scores "
                f"of {scores.dtype}; expected numbers, 1×K×{height}×{width}, and K scores"
            )
        best = int(np.argmax(scores.reshape(-1)[: masks.shape[1]]))
        return np.asarray(masks[0, best] > 0)

    def _make_inputs(self, frame: np.ndarray, prompt: Prompt) -> dict[str, np.ndarray]:
        """Return the decoder's inputs: a box is two points of labels 2 and 3; without one a point of -1 is added."""
        scale = self._edge / max(frame.shape[:2])
        positive = [*prompt.positive, *prompt.scribble[::SCRIBBLE_STEP]]
        points = [*positive, *prompt.negative]
        labels = [1.0] * len(positive) + [0.0] * len(prompt.negative)
        box = prompt.box
        if box is None and prompt.mask is not None and (prompt.mask > 0.5).any():
            box = find_box(prompt.mask > 0.5)
        if box is None:
            points, labels = [*points, (0.0, 0.0)], [*labels, -1.0]
        else:
            x, y, width, height = box
            points, labels = [*points, (x, y), (x + width, y + height)], [*labels, 2.0, 3.0]
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
        """The encoder's answer for a frame."""
        import cv2

        key = frame.tobytes()
        if self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        pixels = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        if self._planes:
            padded = np.zeros((self._edge, self._edge, 3), np.float32)
            padded[: size[1], : size[0]] = (pixels - PIXEL_MEAN) / PIXEL_STD
            pixels = np.ascontiguousarray(padded.transpose(2, 0, 1)[None])
        try:
            (embedding, *_) = self._encoder.run(None, {self._encoder.get_inputs()[0].name: pixels})
        except Exception as error:  # onnxruntime's errors have no common class
            raise InputError(f"segmenter: the encoder fails ({error})") from error
        self._cached = key, np.asarray(embedding)
        return self._cached[1]


def _load(path: Path) -> Any:
    """A session of an ONNX file; raises `InputError` on failure."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(
            "segmenter: needs onnxruntime; install it with pip install 'aotlab[export]'"
        ) from error
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the encoder's and the decoder's ONNX files")
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise InputError(f"{path}: cannot be loaded as an ONNX model ({error})") from error


def crop_box(prompt: Prompt, object_id: int, shape: tuple[int, ...]) -> Prompt:
    """Return the prompt with its box cropped to the image; warn if much of it lies outside."""
    prompt.check_inside((shape[0], shape[1]))
    if prompt.box is None:
        return prompt
    x, y, width, height = prompt.box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(shape[1]), x + width), min(float(shape[0]), y + height)
    if (
        right - left < (1 - MAX_OUTSIDE_FRACTION) * width
        or bottom - top < (1 - MAX_OUTSIDE_FRACTION) * height
    ):
        remedy = ""
        if width > x and height > y:
            remedy = (
                f"; for the corners {x:g},{y:g} and {width:g},{height:g} "
                f"give {x:g},{y:g},{width - x:g},{height - y:g}"
            )
        log.warning(
            "box %g,%g,%g,%g of object %d: leaves the image (%d×%d); read as left, top, width and height, "
            "its corners are %g,%g and %g,%g%s",
            *prompt.box, object_id, shape[1], shape[0], x, y, x + width, y + height, remedy,
        )  # fmt: skip
    return replace(prompt, box=(left, top, right - left, bottom - top))


def load_segmenter(
    onnx: Sequence[Path] | None = None, *, plugin: str | None = None, checkpoint: Path = BUNDLED_CHECKPOINT
) -> Segmenter:
    """Return a segmenter: of two ONNX files, of an installed package, or the prompt network of a checkpoint.

    Args:
        onnx: encoder and decoder of a SAM-like model.
        plugin: name in the entry-point group ``aotlab.segmenters``.
        checkpoint: file whose prompt network is used, loaded at the first prompt; the bundled one if it has none.

    Raises:
        InputError: unknown plug-in, or a file that cannot be read.
    """
    if onnx is not None:
        return OnnxSegmenter(*onnx)
    if plugin is not None:
        installed = list_plugins(SEGMENTERS)
        if plugin not in installed:
            names = ", ".join(sorted(installed)) or "none"
            raise InputError(f"segmenter {plugin}: not installed; installed segmenters: {names}")
        segmenter: Segmenter = load_plugin(installed[plugin])()
        return segmenter
    return CheckpointSegmenter(checkpoint)


class CheckpointSegmenter:
    """Prompt network of a checkpoint, or of the bundled model; loaded at the first prompt."""

    def __init__(self, checkpoint: Path) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._segmenter: Segmenter | None = None

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects; see `Segmenter`."""
        with self._lock:
            if self._segmenter is None:
                self._segmenter = self._load()
        return self._segmenter(frame, prompts)

    def _load(self) -> Segmenter:
        from aotlab.engine.tracking.prompting import NetworkSegmenter
        from aotlab.networks.weights.checkpoints import load_checkpoint

        readable = self._checkpoint.suffix == ".safetensors"
        model, config = load_checkpoint(self._checkpoint if readable else BUNDLED_CHECKPOINT)
        if model.prompts is None:
            model, config = load_checkpoint(BUNDLED_CHECKPOINT)
        return NetworkSegmenter(model, config.compute.precision)
