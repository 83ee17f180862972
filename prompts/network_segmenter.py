"""Masks of objects from prompts, by a model's prompt network."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import torch

from aotlab.engine.prompting import PromptedFrame, add_background
from aotlab.masks.prompt import Prompt
from aotlab.networks import kernels
from aotlab.networks.kernels.folding import folded
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.devices import autocast


class NetworkSegmenter:
    """The model's own segmenter; objects that are given together exclude each other. Thread-safe.

    Args:
        model: holds a prompt network.
        precision: as `aotlab.configs.schema.ComputeConfig.precision`.
    """

    def __init__(self, model: VOSModel, precision: str = "float32") -> None:
        kernels.install()
        self._model = folded(model.eval())
        cpu = torch.device("cpu")
        self._autocast = autocast(cpu, fastest_precision(precision, cpu))
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
            with self._autocast:
                logits = self._known[1].logits(list(prompts.values()))
        channels = add_background(logits).max(0).indices.cpu().numpy()
        return np.array([0, *prompts], np.uint16)[channels]
