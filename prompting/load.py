"""Loading of segmenters: a prompt network or ONNX files."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aotlab.configs.files import BUNDLED_PROMPTS
from aotlab.media.prompt import Prompt
from aotlab.prompting.segmenter import PromptSegmenter


def load_segmenter(
    onnx: Sequence[Path] | None = None, *, checkpoint: Path = BUNDLED_PROMPTS, device: str = "auto"
) -> PromptSegmenter:
    """Return the segmenter of two ONNX files, or else of a prompt network.

    Args:
        onnx: encoder and decoder of a SAM-like model.
        checkpoint: file of a prompt network, loaded at the first prompt.
        device: device of the prompt network, as in `TrackerOptions`.

    Raises:
        InputError: files that cannot be used.
    """
    if onnx is not None:
        from aotlab.prompting.onnx import OnnxSegmenter

        return OnnxSegmenter(*onnx)
    return CheckpointSegmenter(checkpoint, device)


class CheckpointSegmenter(PromptSegmenter):
    """Segmenter of a file of a prompt network, which is loaded at the first prompt, with PyTorch. Thread-safe."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        self._checkpoint, self._device = checkpoint, device
        self._lock = threading.Lock()
        self._segmenter: PromptSegmenter | None = None

    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects, as `PromptSegmenter.segment`; raises `InputError` if the file cannot be read."""
        with self._lock:
            if self._segmenter is None:
                from aotlab.prompting.network import NetworkLoader, NetworkSegmenter
                from aotlab.prompting.weights import load_prompt_network
                from aotlab.utils.devices import pick_device

                device = pick_device(self._device)
                self._segmenter = NetworkSegmenter(NetworkLoader(load_prompt_network(self._checkpoint), device))
            return self._segmenter.segment(frame, prompts)
