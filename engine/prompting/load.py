"""Loading of segmenters: a model's prompt network or ONNX files."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.engine.prompting.segmenter import PromptSegmenter
from aotlab.media.prompt import Prompt


def load_segmenter(
    onnx: Sequence[Path] | None = None, *, checkpoint: Path = BUNDLED_CHECKPOINT, device: str = "cpu"
) -> PromptSegmenter:
    """Return the segmenter of two ONNX files, or else of a checkpoint.

    Args:
        onnx: encoder and decoder of a SAM-like model.
        checkpoint: file whose prompt network is used, loaded at the first prompt; the bundled one if it has none.
        device: device of the prompt network.

    Raises:
        InputError: files that cannot be used.
    """
    if onnx is not None:
        from aotlab.engine.prompting.onnx import OnnxSegmenter

        return OnnxSegmenter(*onnx)
    return CheckpointSegmenter(checkpoint, device)


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
