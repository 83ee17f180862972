"""Base class of the trackers in this package: checks of inputs, masks of the user, sizes and objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from aotlab import InputError, Prediction, Prompt, sdk


class ModelTracker(ABC):
    """A `VideoTracker` of another project's model; subclasses define the abstract methods."""

    def __init__(self, *, device: str, precision: str) -> None:
        self.device = sdk.pick_device(device)
        self.precision = sdk.resolve_precision(precision, self.device)
        self.reset()

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video."""
        self._frame_shape: tuple[int, ...] | None = None
        self._is_complete = True
        self.start_video()

    def fresh(self) -> Self:
        """Return another tracker of the same model, without objects or frames."""
        other = copy(self)
        other.reset()
        return other

    @property
    @abstractmethod
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""

    @torch.inference_mode()
    def step(
        self,
        frame: Any,
        mask: Any = None,
        *,
        size: tuple[int, int] | None = None,
        prompts: Mapping[int, Prompt | tuple[float, float]] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame, as `VideoTracker.step`."""
        if not self._is_complete:
            raise InputError("a step failed", subject="tracker", remedy="call reset()")
        frame, labels, size = sdk.prepare_inputs(
            frame, mask, size, prompts, is_tracking=bool(self.ids), frame_shape=self._frame_shape,
            segmenter=self.find_segmenter(),
        )  # fmt: skip
        checked = self.check_prompts(frame, prompts) if prompts else {}
        if labels is not None and checked:
            labels = np.where(np.isin(labels, [*checked]), 0, labels)
        labels = np.zeros(frame.shape[:2], np.uint8) if labels is None else labels
        masks = {int(object_id): np.equal(labels, object_id) for object_id in np.unique(labels) if object_id}
        self._is_complete = False
        with sdk.autocast(self.device, self.precision):
            logits = self.track(frame, masks, checked)
        self._frame_shape, self._is_complete = frame.shape, True
        prediction = Prediction.empty(frame.shape[:2], self.device)
        if logits is not None:
            prediction = Prediction.from_logits(self.ids, logits)
        prediction = prediction.resize(size, align_corners=False)
        return prediction.with_mask(labels) if masks else prediction

    def forget(self, object_id: int) -> None:
        """Stop tracking an object; raises `InputError` if it is not tracked."""
        if object_id not in self.ids:
            raise InputError(f"object {object_id!r:.80} is not tracked", subject="forget")
        if len(self.ids) == 1:  # the next mask begins like the first one
            self.start_video()
        else:
            self.remove(object_id)

    @abstractmethod
    def start_video(self) -> None:
        """Forget all objects and frames."""

    @abstractmethod
    def track(self, frame: np.ndarray, masks: Mapping[int, np.ndarray], prompts: Mapping[int, Prompt]) -> Tensor | None:
        """Track to the next frame, H×W×3; return logits (1+n)×H×W of `ids`, None without objects.

        ``masks``: H×W bool by object id, of new and corrected objects.
        """

    @abstractmethod
    def remove(self, object_id: int) -> None:
        """Stop tracking one of several objects."""

    def find_segmenter(self) -> sdk.PromptSegmenter | None:
        """Return the segmenter that makes masks of prompts; None if the model takes prompts."""
        return None

    def check_prompts(
        self, frame: np.ndarray, prompts: Mapping[int, Prompt | tuple[float, float]]
    ) -> dict[int, Prompt]:
        """Return the prompts that the model takes, by object id."""
        return {}


def order_ids(tracked: Sequence[int], given: Sequence[int]) -> list[int]:
    """Return given ids: tracked ones in their order, then new ones."""
    return [*(i for i in tracked if i in given), *(i for i in given if i not in tracked)]
