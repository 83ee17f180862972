"""`Ensemble`: several trackers as one, for test-time augmentation and ensembles of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.engine.advance import one_hot
from aotlab.engine.inputs import FrameLike, MaskLike, Size, frame_array, given_mask, output_size
from aotlab.engine.objects import ABSENT, overrule
from aotlab.engine.prediction import Prediction
from aotlab.engine.tracker import Classify, Tracker
from aotlab.networks.model import Model
from aotlab.utils.errors import InputError

SHORT_OF_LONG = 480 / 800
"""longest short edge in proportion to the longest long one, at several scales: the published evaluation's"""


@dataclass(frozen=True)
class Branch:
    """One tracker of an ensemble and how it sees the frames."""

    tracker: Tracker
    flip: bool = False
    """frames and masks are mirrored left to right"""
    weight: float = 1.0
    """of its probabilities in the mean"""

    def mirror(self, maps: Tensor) -> Tensor:
        """Maps ...×W of the frame as the branch sees it, or back."""
        return maps.flip(-1) if self.flip else maps

    def step(
        self, frame: np.ndarray, mask: np.ndarray | None, size: Size, classify: Classify | None
    ) -> Prediction:
        """`Tracker.step` on the frame as the branch sees it; the prediction stays mirrored.

        ``classify`` gets this branch's logits and returns the channels to remember, neither of them mirrored.
        """
        if self.flip:
            frame, mask = frame[:, ::-1], None if mask is None else mask[:, ::-1]
        self.tracker.classify = classify and (lambda logits: self.mirror(classify(self.mirror(logits))))
        try:
            return self.tracker.step(frame, mask, size=size)
        finally:
            self.tracker.classify = None


class Ensemble:
    """Trackers of any models, scales and mirrorings as one, with the interface of `Tracker`.

    Every branch has a memory of its own; the prediction is the mean of their probabilities. A branch remembers its own
    masks, as in the published evaluation of AOT, or with ``fused_feedback`` those of the mean, as in MSDeAOT's.

    Branches run one after another, not as one batch: a batch of a bank is groups of objects that share the features
    of one frame, and policies of bounded memory judge by what that bank shows. So each branch is exactly what its
    tracker alone would be.
    """

    def __init__(self, branches: Sequence[Branch], *, fused_feedback: bool = False) -> None:
        """Raises InputError without branches, or for a weight that is not a finite number above 0."""
        if not branches or not all(0 < branch.weight < math.inf for branch in branches):
            weights = [branch.weight for branch in branches]
            raise InputError(f"ensemble: needs branches with finite weights above 0, got {weights}")
        total = sum(branch.weight for branch in branches)
        self.branches = [replace(branch, weight=branch.weight / total) for branch in branches]
        self.fused_feedback = fused_feedback

    def reset(self, length: int | None = None) -> None:
        """Forget all objects and frames, as `Tracker.reset`."""
        for branch in self.branches:
            branch.tracker.reset(length)

    def twin(self) -> Ensemble:
        """Another ensemble of the same models and settings, without objects or frames."""
        other = copy(self)
        other.branches = [replace(branch, tracker=branch.tracker.twin()) for branch in self.branches]
        return other

    @property
    def device(self) -> torch.device:
        """Where predictions are."""
        return self.branches[0].tracker.device

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects tracked so far, in the order they were given."""
        return self.branches[0].tracker.ids

    @property
    def groups(self) -> int:
        """The most groups that a branch has."""
        return max(branch.tracker.groups for branch in self.branches)

    @property
    def one_group_at_a_time(self) -> bool:
        """As `Tracker.one_group_at_a_time`, for all branches."""
        return self.branches[0].tracker.one_group_at_a_time

    @one_group_at_a_time.setter
    def one_group_at_a_time(self, value: bool) -> None:
        for branch in self.branches:
            branch.tracker.one_group_at_a_time = value

    @torch.inference_mode()
    def step(self, frame: FrameLike, mask: MaskLike | None = None, *, size: Size | None = None) -> Prediction:
        """Track all objects to the next frame; arguments, prediction and errors as `Tracker.step`."""
        frame = frame_array(frame, None)
        mask = None if mask is None else given_mask(mask, frame, required=not self.ids)
        size = (frame.shape[0], frame.shape[1]) if size is None else output_size(size)
        if not self.ids:  # all branches are given the same mask, or none
            predictions = [branch.step(frame, mask, size, None) for branch in self.branches]
            lead, first = self.branches[0], predictions[0]
            return Prediction(first.ids, lead.mirror(first.logits), lead.mirror(first.channels))
        fused = self._fuse(frame, mask, size)
        channels = fused.max(0).indices
        if mask is None:
            return Prediction(self.ids, fused.clamp(min=1e-30).log(), channels)
        given = self.branches[0].tracker.objects.channels_of(mask).to(channels.device)
        channels = overrule(channels, given)
        certain = one_hot(channels, len(self.ids) + 1)  # (1+n)×H×W
        return Prediction(self.ids, torch.where(certain > 0, 0.0, ABSENT), channels)

    def _fuse(self, frame: np.ndarray, mask: np.ndarray | None, size: Size) -> Tensor:
        """Step all branches; the mean of their probabilities of the objects known before, (1+n)×H×W.

        With ``fused_feedback`` a branch steps the ones after it from within its own step, so that the mean is complete
        before any of them remembers it.
        """
        fused: list[Tensor] = []

        def step(number: int) -> None:
            """Step one branch and add its probabilities to the mean."""
            branch = self.branches[number]

            def classify(logits: Tensor) -> Tensor:
                weighted = logits.softmax(0) * branch.weight
                fused[:] = [fused[0] + weighted.to(fused[0].device) if fused else weighted]
                if not self.fused_feedback:
                    return logits.max(0).indices
                if number + 1 < len(self.branches):
                    step(number + 1)
                return fused[0].max(0).indices.to(logits.device)

            branch.step(frame, mask, size, classify)

        for number in range(1 if self.fused_feedback else len(self.branches)):
            step(number)
        return fused[0]


def augmented(
    model: Model,
    config: Config,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    weight: float = 1.0,
    device: str | torch.device = "cpu",
) -> list[Branch]:
    """Branches of one model: each scale, and with ``flip`` each mirrored as well.

    Scales come on top of ``input.scale``, after the limits of the long and short edge. With several scales the short
    edge is limited too where the settings leave it open, as in the published evaluation.

    Raises:
        InputError: a scale that is not positive, or the same one twice.
    """
    if not scales or not all(0 < scale < math.inf for scale in scales) or len(set(scales)) < len(scales):
        raise InputError(f"scales {' '.join(map(str, scales))}: give different numbers above 0")
    limits = config.input
    if tuple(scales) != (1.0,) and limits.max_short_edge is None and limits.max_long_edge is not None:
        limits = replace(limits, max_short_edge=max(32, round(limits.max_long_edge * SHORT_OF_LONG)))
    branches = []
    for scale in scales:
        scaled = replace(config, input=replace(limits, scale=limits.scale * scale))
        branches += [
            Branch(Tracker(model, scaled, device=device), flip=mirrored, weight=weight)
            for mirrored in ((False, True) if flip else (False,))
        ]
    return branches
