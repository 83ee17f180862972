"""`Ensemble`: several trackers as one, for test-time augmentation and ensembles of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.configs.settings import build
from aotlab.engine.tracking.groups import find_indices
from aotlab.engine.tracking.inputs import ImageSize, prepare_inputs
from aotlab.engine.tracking.interfaces import SegmentingTracker, VideoTracker
from aotlab.engine.tracking.options import TrackerOptions, describe_tracker
from aotlab.engine.tracking.prediction import Draft, Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.arrays import FrameLike, MaskLike
from aotlab.media.prompt import Point, Prompt
from aotlab.networks.model import VOSModel
from aotlab.prompting.load import load_segmenter
from aotlab.utils.errors import InputError, require
from aotlab.utils.plugins import find_tracker_plugin

WeightedModel = tuple[str | Path, str | None, float]
"""Checkpoint as in `TrackerOptions`, preset (None: the checkpoint's settings) and weight."""
SHORT_EDGE_RATIO = 480 / 800
"""Ratio of the limits of the short and the long edge in tests at several scales; the published evaluation uses it."""


@dataclass(frozen=True)
class Branch:
    """One tracker of an ensemble, with its view of the frames."""

    tracker: VideoTracker
    flip: bool = False
    """Mirror frames and masks left to right."""
    weight: float = 1.0
    """Weight of its probabilities in the mean, above 0."""

    def predict(self, frame: np.ndarray, mask: np.ndarray | None, size: ImageSize) -> Draft | Prediction:
        """Predict the masks of a frame H×W×3, mirrored if the branch mirrors; some trackers store it already."""
        if self.flip:
            frame, mask = frame[:, ::-1], None if mask is None else mask[:, ::-1]
        if isinstance(self.tracker, Tracker):
            return self.tracker.predict(frame, size)
        return self.tracker.step(frame, mask, size=size)

    def commit(self, draft: Draft | Prediction, mask: np.ndarray | None) -> Prediction:
        """Store a predicted frame unless it is stored; ``mask``: its object ids H×W, not mirrored."""
        if isinstance(draft, Prediction) or not isinstance(self.tracker, Tracker):
            return cast(Prediction, draft)
        return self.tracker.commit(draft, mask[:, ::-1] if self.flip and mask is not None else mask)

    def mirror(self, maps: Tensor) -> Tensor:
        """Mirror maps ...×W if the branch mirrors."""
        return maps.flip(-1) if self.flip else maps


class Ensemble:
    """Several trackers as one `VideoTracker`; predicts the mean of their probabilities.

    Every branch has its own memory. It stores its own masks, as in the published evaluation of AOT, or with
    ``fused_feedback`` the masks of the mean, as in MSDeAOT's. Branches run one after another.
    """

    def __init__(self, branches: Sequence[Branch], *, fused_feedback: bool = False) -> None:
        """``branches``: at least one; raises `InputError` if one cannot store the masks of the mean."""
        total = sum(branch.weight for branch in branches)
        self.branches = [replace(branch, weight=branch.weight / total) for branch in branches]
        self.fused_feedback = fused_feedback
        for branch in branches if fused_feedback else ():
            problem = f"{type(branch.tracker).__name__} stores its own masks"
            require(isinstance(branch.tracker, Tracker), problem, subject="--feedback fused", remedy="give own")
        self.device = branches[0].tracker.device
        self._frame_shape: tuple[int, ...] | None = None

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames, as `Tracker.reset`."""
        self._frame_shape = None
        for branch in self.branches:
            branch.tracker.reset(length)

    def fresh(self) -> Ensemble:
        """Return another ensemble of the same models and settings, without objects or frames."""
        other = copy(self)
        other.branches = [replace(branch, tracker=branch.tracker.fresh()) for branch in self.branches]
        other._frame_shape = None
        return other

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return self.branches[0].tracker.ids

    def forget(self, object_id: int) -> None:
        """Stop tracking an object in every branch; raises `InputError` if it is not tracked."""
        for branch in self.branches:
            branch.tracker.forget(object_id)

    @torch.inference_mode()
    def step(
        self,
        frame: FrameLike,
        mask: MaskLike | None = None,
        *,
        size: ImageSize | None = None,
        prompts: Mapping[int, Prompt | Point] | None = None,
    ) -> Prediction:
        """Track all objects to the next frame; arguments and errors as `VideoTracker.step`.

        Call `reset` after any failure other than bad input.
        """
        first = self.branches[0].tracker
        segmenter = (first.segmenter if isinstance(first, SegmentingTracker) else None) or load_segmenter()
        frame, mask, size = prepare_inputs(
            frame, mask, size, prompts, is_tracking=bool(self.ids), frame_shape=self._frame_shape, segmenter=segmenter
        )
        height, width = frame.shape[:2]
        logits_size = size if size[0] >= height and size[1] >= width else (height, width)
        ids, mean = self.ids, torch.zeros((), device=self.device)
        drafts = [branch.predict(frame, mask, logits_size) for branch in self.branches]
        for branch, draft in zip(self.branches, drafts, strict=True):
            logits = draft.logits[[0, *(draft.ids.index(object_id) + 1 for object_id in ids)]]  # without new objects
            mean = mean + (branch.mirror(logits).softmax(0) * branch.weight).to(self.device)
        indices = find_indices(mean)
        stored = []
        for branch, draft in zip(self.branches, drafts, strict=True):
            if self.fused_feedback and isinstance(draft, Draft):
                draft = draft._replace(indices=branch.mirror(indices.to(draft.indices.device)))
            stored.append(branch.commit(draft, mask))
        self._frame_shape = frame.shape
        prediction = Prediction(
            self.ids, mean.clamp(min=1e-30).log(), indices, temperature=stored[0].temperature,
            cut=any(prediction.cut for prediction in stored),
            hidden=frozenset.intersection(*(prediction.hidden for prediction in stored)),
        )  # fmt: skip
        if mask is not None:
            prediction = prediction.with_mask(mask)
        align_corners = isinstance(first, Tracker) and first.model.config.align_corners
        return prediction.resize(size, align_corners=align_corners)


def build_branches(
    model: VOSModel,
    config: Config,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    weight: float = 1.0,
    device: str | torch.device = "cpu",
) -> list[Branch]:
    """Return branches of one model: one per scale, and with ``flip`` also a mirrored one.

    ``scales``, above 0, multiply ``input.scale``, after the limits of the long and short edge. With several scales an
    unset limit of the short edge is set as in the published evaluation.
    """
    limits = config.input
    if tuple(scales) != (1.0,) and limits.max_short_edge is None and limits.max_long_edge is not None:
        limits = limits.replace(max_short_edge=max(32, round(limits.max_long_edge * SHORT_EDGE_RATIO)))
    branches, branch_model = list[Branch](), model
    for scale in scales:
        branch_config = build(Config, {**dict(config), "input": {**dict(limits), "scale": limits.scale * scale}})
        for mirrored in (False, True) if flip else (False,):
            tracker = Tracker(branch_model, branch_config, device=device)
            branch_model = tracker.model
            branches.append(Branch(tracker, flip=mirrored, weight=weight))
    return branches


def load_tracker(
    models: Sequence[WeightedModel],
    overrides: tuple[str, ...],
    device: str,
    *,
    flip: bool,
    scales: Sequence[float],
    feedback: str | None,
) -> tuple[VideoTracker, dict[str, Any]]:
    """Return a tracker, or an ensemble if there is ``feedback``, and all that its results depend on.

    Raises:
        InputError: a tracker cannot be loaded, or those of a plug-in cannot be flipped or scaled.
    """
    trackers, branches, described = [], list[Branch](), []
    for checkpoint, config, weight in models:
        options = TrackerOptions(checkpoint, config, overrides, device, protocol="published")
        tracker = options.load()
        trackers.append(tracker)
        made_by = options.fingerprint() if find_tracker_plugin(checkpoint) else describe_tracker(tracker)
        described.append(made_by | ({} if weight == 1 else {"weight": weight}))
        if isinstance(tracker, Tracker) and feedback is not None:
            branches += build_branches(
                tracker.model, tracker.config, scales=scales, flip=flip, weight=weight, device=device
            )
        elif flip or tuple(scales) != (1.0,):
            option = "--flip" if flip else "--scales"
            raise InputError(f"{checkpoint} is not a model of aotlab", subject=option, remedy="leave it out")
        else:
            branches.append(Branch(tracker, weight=weight))
    inputs = {
        **described[0],
        "averaged_with": described[1:],
        "flip": flip,
        "scales": list(scales),
        "feedback": feedback or "own",
    }
    return Ensemble(branches, fused_feedback=feedback == "fused") if feedback else trackers[0], inputs
