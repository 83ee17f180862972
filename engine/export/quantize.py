"""Graphs with int8 convolutions and products with weights, calibrated on a tracked clip."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from aotlab.dataloaders.benchmarks.sequences import match_masks, read_video
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask, resize_labels
from aotlab.utils.errors import InputError, require

if TYPE_CHECKING:
    import onnx

Clip = Sequence[tuple[np.ndarray, np.ndarray]]
"""frames H×W×3 uint8 RGB with their masks H×W of object ids"""
QUANTIZED_GRAPHS = ("assign_identities", "propagate", "memorize", "decode")
"""graphs in int8; ``encode`` is optional, because it loses accuracy on objects unlike those of the calibration"""
OPERATORS = ("Conv", "MatMul", "Gemm")
MIN_WEIGHTS = 50_000
"""weights of the smallest operator in int8; smaller ones are as fast in float32"""
CALIBRATION_FRAMES = 16
"""number of frames whose tensors give the ranges"""


def read_clip(images: Path, masks: Path, length: int, size: tuple[int, int] | None = None) -> Clip:
    """Read the first frames of a folder that have masks of the same name, at least 2.

    ``size``: (height, width) to resize them to; None: keep theirs.

    Raises:
        InputError: fewer frames with masks, frames of different sizes, unreadable files, or a first mask without
            objects.
    """
    video = read_video("calibration", images, masks)
    clip = []
    for index, path in sorted(match_masks(video.frames, video.annotations).items())[:length]:
        frame = read_image(video.frames[index])
        clip.append((frame, read_mask(path, size=frame.shape[:2])))
    require(len(clip) > 1, f"--calibrate {masks}: expected masks for at least 2 frames of {images}")
    sizes = [f"{frame.shape[1]}×{frame.shape[0]}" for frame, _ in clip]
    changed = next((size for size in sizes if size != sizes[0]), None)
    require(
        changed is None,
        f"--calibrate {images}: expected frames of one size, got {sizes[0]} and {changed}; resize them",
    )
    require(
        bool(clip[0][1].any()), f"--calibrate {masks}: the first mask has no objects; start with one that has"
    )
    if size is None:
        return clip
    return [
        (
            np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC)),
            resize_labels(mask, size),
        )
        for frame, mask in clip
    ]


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise the framework's `InputError` in place of the runtime's."""
    import aotlab_runtime

    try:
        yield
    except aotlab_runtime.InputError as error:
        raise InputError(str(error)) from error


@translate_errors()
def record_inputs(folder: Path, clip: Clip) -> dict[str, list[dict[str, np.ndarray]]]:
    """Track a clip with an export; return the inputs of each call of every graph by its name."""
    from aotlab_runtime import Tracker
    from aotlab_runtime.graphs import Graphs

    inputs = defaultdict(list)

    class RecordedGraphs(Graphs):
        def run(self, name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            inputs[name].append(tensors)
            return super().run(name, tensors)

    tracker = Tracker(RecordedGraphs(folder))
    for index, (frame, mask) in enumerate(clip[:CALIBRATION_FRAMES]):
        tracker.step(frame, None if index else mask)
    return inputs


@contextmanager
def silence_exporters() -> Iterator[None]:
    """Ignore warnings, and log messages below errors, of libraries that write graphs."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@silence_exporters()
def quantize(proto: onnx.ModelProto, inputs: Sequence[dict[str, np.ndarray]]) -> onnx.ModelProto:
    """Return a graph with int8 weights per channel and uint8 inputs; operators with few weights remain float32.

    ``proto`` is changed. ``inputs``: tensors of each call by name; the graph may take some of them only.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    names = [value.name for value in proto.graph.input]
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in proto.graph.initializer}
    small_nodes = [
        node.name
        for node in proto.graph.node
        if max((sizes.get(name, 0) for name in node.input), default=0) < MIN_WEIGHTS
    ]
    calls = iter([{name: np.ascontiguousarray(tensors[name]) for name in names} for tensors in inputs])

    class Calls(CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(calls, None)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_static(
            proto,
            path,
            Calls(),
            per_channel=True,
            reduce_range=True,  # CPUs without VNNI add pairs of products of 8 bits in 16 bits, which overflows
            activation_type=QuantType.QUInt8,  # onnxruntime leaves some products with int8 inputs in float32
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=small_nodes,
        )
        return onnx.load(path)
