"""Segmenters: masks of an image from boxes and points."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.masks.prompt import Prompt
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import SEGMENTERS, list_plugins, load_plugin

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""from a frame H×W×3 uint8 RGB and prompts by object id to H×W uint16 ids; `InputError` for a prompt outside"""


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
        from aotlab.prompts.onnx_segmenter import OnnxSegmenter

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
        from aotlab.networks.weights.checkpoints import load_checkpoint
        from aotlab.prompts.network_segmenter import NetworkSegmenter

        readable = self._checkpoint.suffix == ".safetensors"
        model, config = load_checkpoint(self._checkpoint if readable else BUNDLED_CHECKPOINT)
        if model.prompts is None:
            model, config = load_checkpoint(BUNDLED_CHECKPOINT)
        return NetworkSegmenter(model, config.compute.precision)
