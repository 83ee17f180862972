"""Interfaces of trackers: what runs, evaluation and other tools use of any model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from typing_extensions import Self

from aotlab.engine.tracking.inputs import ImageSize
from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.arrays import FrameLike, MaskLike
from aotlab.media.prompt import Point, Prompt
from aotlab.prompting.segmenter import PromptSegmenter
from aotlab.utils.digests import InputDigests


class VideoTracker(Protocol):
    """A tracker of objects through a video, frame by frame, in one thread at a time.

    The other interfaces of this module are optional; callers test for them with `isinstance`.
    """

    @property
    def device(self) -> torch.device:
        """Device of its predictions."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames before the next video; ``length``: its number of frames, if known."""

    def fresh(self) -> Self:
        """Return another tracker of the same model, without objects or frames, which may run in another thread."""

    def step(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: ImageSize | None = None,
        prompts: Mapping[int, Prompt | Point] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame and return its masks; all background before the first mask.

        Args:
            frame: H×W×3 uint8 RGB.
            mask: H×W object ids. Its objects have these pixels and no others; where it is 0, the predicted pixels of
                other objects are kept. Later masks add or correct objects.
            size: (height, width) of the prediction; None means the frame's.
            prompts: prompts by object id, which add or correct objects like a mask.

        Raises:
            InputError: unusable input; the tracker is unchanged.
        """

    def forget(self, object_id: int) -> None:
        """Stop tracking an object, whose id may be used again; raise `InputError` if it is not tracked."""


class TrackerLoader(Protocol):
    """A tracker that is loaded on demand; made for each run, so making one reads no weights.

    Optional attributes: ``settings``, keys of the settings that it accepts; ``descriptions``, the license and limits by
    name, printed by ``aotlab weights``; ``load_segmenter()``, which returns a `PromptSegmenter`.
    """

    def fingerprint(self, digests: InputDigests | None = None) -> dict[str, Any]:
        """Return what masks depend on, weights and settings, as JSON values, without building the model.

        ``digests`` spares reading files that are known.
        """

    def load(self) -> VideoTracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""


@runtime_checkable
class ResumableTracker(Protocol):
    """A tracker whose state can be saved, so that an interrupted run continues."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the video in containers, numbers and tensors, for `torch.save`."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the video of a `state_dict`; raise `InputError` for a state of another tracker."""


@runtime_checkable
class SoftEdgeTracker(Protocol):
    """A tracker that predicts soft edges of a given mask; without it they are hard."""

    def soften_edges(self, frame: FrameLike, prediction: Prediction) -> Prediction:
        """Return the prediction of the last frame, which had a mask, with soft edges in its probabilities."""


@runtime_checkable
class CutDetector(Protocol):
    """A tracker that detects cuts; no cuts are recorded for other trackers."""

    def is_cut(self, frame: FrameLike) -> bool:
        """Return whether a frame follows a cut after the last one."""


@runtime_checkable
class SegmentingTracker(Protocol):
    """A tracker that may have a segmenter of its own; runs make masks of prompts with it, else with the bundled one."""

    @property
    def segmenter(self) -> PromptSegmenter | None:
        """Segmenter of the prompts of a run; None: the bundled one."""
