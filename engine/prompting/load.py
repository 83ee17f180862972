"""Loading of segmenters: a model's prompt network, ONNX files or plug-ins."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.engine.prompting.segmenter import PromptSegmenter
from aotlab.media.prompt import Prompt
from aotlab.utils.errors import InputError, suggest
from aotlab.utils.plugins import SEGMENTER_PLUGINS, list_plugins, load_plugin


def load_segmenter(
    onnx: Sequence[Path] | None = None,
    *,
    plugin: str | None = None,
    checkpoint: Path = BUNDLED_CHECKPOINT,
    device: str = "cpu",
) -> PromptSegmenter:
    """Return the segmenter of two ONNX files, of an installed package, or else of a checkpoint.

    Args:
        onnx: encoder and decoder of a SAM-like model.
        plugin: name in the entry-point group ``aotlab.segmenters``.
        checkpoint: file whose prompt network is used, loaded at the first prompt; the bundled one if it has none.
        device: device of the prompt network.

    Raises:
        InputError: unknown plug-in, or files that cannot be used.
    """
    if onnx is not None:
        from aotlab.engine.prompting.onnx import OnnxSegmenter

        return OnnxSegmenter(*onnx)
    if plugin is not None:
        segmenter: PromptSegmenter = load_plugin(find_segmenter(plugin))()
        return segmenter
    return CheckpointSegmenter(checkpoint, device)


def find_segmenter(plugin: str) -> EntryPoint:
    """Return the entry point of an installed segmenter; raise `InputError` for any other name."""
    installed = list_plugins(SEGMENTER_PLUGINS)
    if plugin not in installed:
        names = ", ".join(sorted(installed)) or "none"
        remedy = suggest(plugin, installed, f"installed segmenters: {names}")
        raise InputError(f"segmenter {plugin}: not installed; {remedy}")
    return installed[plugin]


class CheckpointSegmenter(PromptSegmenter):
    """Prompt network of a checkpoint, or of the bundled model if it has none. Thread-safe.

    PyTorch and the model are loaded at the first prompt.
    """

    def __init__(self, checkpoint: Path, device: str) -> None:
        self._checkpoint, self._device = checkpoint, device
        self._lock = threading.Lock()
        self._segmenter: PromptSegmenter | None = None

    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects, as `PromptSegmenter.segment`; raises `InputError` if the checkpoint cannot be read."""
        with self._lock:
            if self._segmenter is None:
                from aotlab.engine.prompting.network import load_network_segmenter

                self._segmenter = load_network_segmenter(self._checkpoint, self._device)
            return self._segmenter.segment(frame, prompts)
