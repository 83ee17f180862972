"""Masks of objects from prompts, by a model's prompt network."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from aotlab.engine.prompting import PromptedFrame, exclusive
from aotlab.masks.prompt import Prompt
from aotlab.networks.kernels.folding import folded
from aotlab.networks.vos_model import VOSModel


class NetworkSegmenter:
    """The model's own segmenter; objects that are given together exclude each other. Thread-safe.

    Args:
        model: holds a prompt network.
    """

    def __init__(self, model: VOSModel) -> None:
        self._model = folded(model.eval())
        self._lock = threading.Lock()
        self._known: tuple[np.ndarray, PromptedFrame] | None = None

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects; see `aotlab.prompts.segmenter.Segmenter`. The encoding of the last frame is kept.

        Raises:
            InputError: the model takes no prompts, or a prompt lies outside the frame.
        """
        with self._lock:
            if self._known is None or not np.array_equal(self._known[0], frame):
                self._known = frame.copy(), PromptedFrame(self._model, frame)
            logits = self._known[1].logits(list(prompts.values()))
        channels = exclusive(logits).max(0).indices.cpu().numpy()
        return np.array([0, *prompts], np.uint16)[channels]
