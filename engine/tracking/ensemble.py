"""`Ensemble`: several trackers as one, for test-time augmentation and ensembles of models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.engine.memory.bank import IN_USE_MESSAGE
from aotlab.engine.prompting.network import NetworkSegmenter
from aotlab.engine.tracking.inputs import FrameLike, Size
from aotlab.engine.tracking.objects import apply_given_mask, mask_to_channels, one_hot_logits
from aotlab.engine.tracking.prediction import Prediction
from aotlab.engine.tracking.tracker import FrameTracker, PredictedFrame, Tracker
from aotlab.media.prompt import Prompt
from aotlab.networks.model import Model
from aotlab.utils.errors import InputError

SHORT_EDGE_RATIO = 480 / 800
"""limit of the short edge relative to that of the long edge at several scales, as in the published evaluation"""


@dataclass(frozen=True)
class Branch:
    """One tracker of an ensemble, with its view of the frames."""

    tracker: Tracker
    flip: bool = False
    """mirror frames and masks left to right"""
    weight: float = 1.0
    """weight of its probabilities in the mean"""

    def predict(self, frame: np.ndarray, mask: np.ndarray | None, size: Size) -> PredictedFrame:
        """Predict the masks of a frame that is mirrored if the branch mirrors; as `Tracker.predict`."""
        return self.tracker.predict(frame[:, ::-1] if self.flip else frame, mask, size)

    def mirror(self, maps: Tensor) -> Tensor:
        """Mirror maps ...×W if the branch mirrors."""
        return maps.flip(-1) if self.flip else maps


class FusedFrame(NamedTuple):
    """Masks of a frame as all branches predict them."""

    by_branch: list[PredictedFrame]
    logits: Tensor
    """(1+n)×H×W, logarithm of the mean probabilities"""
    channels: Tensor
    """H×W int64"""
    cut: bool
    """whether a branch found a cut"""


class Ensemble(FrameTracker):
    """Several trackers as one; predicts the mean of their probabilities.

    Every branch has its own memory. It stores its own masks, as in the published evaluation of AOT, or with
    ``fused_feedback`` those of the mean, as in MSDeAOT's. Branches run one after another, each exactly as its tracker
    does without the others. It has `step`, `prompt`, `forget`, `reset`, `fresh`, `ids`, `groups` and `device` of a
    `Tracker`, but no `state_dict` and no `set_depth`.
    """

    def __init__(self, branches: Sequence[Branch], *, fused_feedback: bool = False) -> None:
        """Raise InputError without branches, or for a weight that is not a finite number above 0."""
        if not branches or not all(0 < branch.weight < math.inf for branch in branches):
            weights = [branch.weight for branch in branches]
            raise InputError(f"ensemble: needs branches with finite weights above 0, got {weights}")
        total = sum(branch.weight for branch in branches)
        self.branches = [replace(branch, weight=branch.weight / total) for branch in branches]
        self.fused_feedback = fused_feedback
        first = branches[0].tracker
        self.device, self.temperature = first.device, first.temperature
        self._changing = False

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames, as `Tracker.reset`."""
        for branch in self.branches:
            branch.tracker.reset(length)
        self._frame_shape, self._changing = None, False

    def fresh(self) -> Ensemble:
        """Return another ensemble of the same models and settings, without objects or frames."""
        other = copy(self)
        other.branches = [replace(branch, tracker=branch.tracker.fresh()) for branch in self.branches]
        other._frame_shape, other._changing = None, False
        return other

    def forget(self, object_id: int) -> None:
        """Stop tracking an object, as `Tracker.forget`."""
        for branch in self.branches:
            branch.tracker.forget(object_id)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were given."""
        return self.branches[0].tracker.ids

    @property
    def groups(self) -> int:
        """Largest number of groups of a branch."""
        return max(branch.tracker.groups for branch in self.branches)

    @property
    def one_group_at_a_time(self) -> bool:
        """`Tracker.one_group_at_a_time` of all branches."""
        return self.branches[0].tracker.one_group_at_a_time

    @one_group_at_a_time.setter
    def one_group_at_a_time(self, value: bool) -> None:
        for branch in self.branches:
            branch.tracker.one_group_at_a_time = value

    def prompt(self, frame: FrameLike, prompts: Mapping[int, Prompt]) -> Prediction:
        """Segment objects of one frame from prompts with the first branch's model, as `Tracker.prompt`."""
        return self.branches[0].tracker.prompt(frame, prompts)

    @property
    def segmenter(self) -> NetworkSegmenter:
        """Segmenter of the first branch's model."""
        return self.branches[0].tracker.segmenter

    def predict(self, frame: np.ndarray, mask: np.ndarray | None, size: Size) -> FusedFrame:
        """Average the probabilities of all branches; as `FrameTracker.predict`."""
        if self._changing:
            raise InputError(IN_USE_MESSAGE)
        by_branch = [branch.predict(frame, mask, size) for branch in self.branches]
        mean = torch.zeros((), device=self.device)
        for branch, predicted in zip(self.branches, by_branch, strict=True):
            mean = mean + (branch.mirror(predicted.logits).softmax(0) * branch.weight).to(self.device)
        cut = any(predicted.cut for predicted in by_branch)
        return FusedFrame(by_branch, mean.clamp(min=1e-30).log(), mean.max(0).indices, cut)

    def commit(self, predicted: FusedFrame, mask: np.ndarray | None) -> tuple[Tensor, Tensor]:
        """Store a frame in every branch; as `FrameTracker.commit`."""
        self._changing = True
        for branch, prediction in zip(self.branches, predicted.by_branch, strict=True):
            branch_mask = mask[:, ::-1] if branch.flip and mask is not None else mask
            fused = (
                branch.mirror(predicted.channels.to(prediction.channels.device))
                if self.fused_feedback
                else None
            )
            branch.tracker.commit(prediction, branch_mask, channels=fused)
        self._changing = False
        if mask is None:
            return predicted.logits, predicted.channels
        count, given_channels = len(self.ids), mask_to_channels(mask, self.ids).to(self.device)
        channels = apply_given_mask(predicted.channels, given_channels, count)
        return one_hot_logits(channels, count), channels


def build_branches(
    model: Model,
    config: Config,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    weight: float = 1.0,
    device: str | torch.device = "cpu",
) -> list[Branch]:
    """Return branches of one model: one per scale, and with ``flip`` also a mirrored one.

    Scales multiply ``input.scale``, after the limits of the long and short edge. With several scales an unset limit of
    the short edge is set as in the published evaluation.

    Raises:
        InputError: a scale that is not above 0, or a repeated one.
    """
    if not scales or not all(0 < scale < math.inf for scale in scales) or len(set(scales)) < len(scales):
        raise InputError(f"scales {' '.join(map(str, scales))}: give different numbers above 0")
    limits = config.input
    if tuple(scales) != (1.0,) and limits.max_short_edge is None and limits.max_long_edge is not None:
        limits = replace(limits, max_short_edge=max(32, round(limits.max_long_edge * SHORT_EDGE_RATIO)))
    branches: list[Branch] = []
    for scale in scales:
        scaled = replace(config, input=replace(limits, scale=limits.scale * scale))
        for mirrored in (False, True) if flip else (False,):
            shared = branches[0].tracker.model if branches else model
            branches.append(Branch(Tracker(shared, scaled, device=device), flip=mirrored, weight=weight))
    return branches
