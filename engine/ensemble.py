"""`Ensemble`: several trackers as one, for test-time augmentation and ensembles of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.engine.inputs import FrameLike, MaskLike, Size, frame_array, given_mask, output_size
from aotlab.engine.objects import certain, overrule
from aotlab.engine.prediction import Prediction
from aotlab.engine.recurrence import Seen, look, remember
from aotlab.engine.tracker import Tracker
from aotlab.networks.model import Model
from aotlab.networks.vos_model import Features
from aotlab.utils.errors import InputError

SHORT_OF_LONG = 480 / 800
"""limit of the short edge relative to that of the long edge at several scales, as in the published evaluation"""


class View(NamedTuple):
    """A frame as one branch sees it."""

    features: Features
    """features of the frame, mirrored if the branch mirrors"""
    seen: list[Seen]
    """the frame seen with each of the tracker's banks"""
    logits: Tensor
    """(1+n)×H×W, not mirrored"""
    channels: Tensor
    """H×W int64, not mirrored"""


@dataclass(frozen=True)
class Branch:
    """One tracker of an ensemble, with its view of the frames."""

    tracker: Tracker
    flip: bool = False
    """mirror frames and masks left to right"""
    weight: float = 1.0
    """weight of its probabilities in the mean"""

    def mirror(self, maps: Tensor) -> Tensor:
        """Mirror maps ...×W if the branch mirrors."""
        return maps.flip(-1) if self.flip else maps

    def look(self, frame: np.ndarray, size: Size, mask: np.ndarray | None) -> View:
        """Look at a frame H×W×3 uint8, with a mask of ids H×W if one is given; memory is unchanged."""
        tracker = self.tracker
        with tracker.autocast:
            features = tracker.encode(frame[:, ::-1] if self.flip else frame, mask)
            seen = look(tracker.model, tracker.banks, features)
            logits, channels = tracker.label(seen, size)
        return View(features, seen, self.mirror(logits), self.mirror(channels))

    def remember(self, view: View, channels: Tensor, mask: np.ndarray | None) -> None:
        """Store a frame with its channels H×W, corrected by a mask of ids H×W if given."""
        tracker = self.tracker
        channels = self.mirror(channels.to(tracker.device))
        with tracker.autocast:
            if mask is None:
                remember(tracker.model, tracker.banks, view.seen, tracker.masks(channels, tracker.objects))
            else:
                tracker.refer(view.features, channels, mask[:, ::-1] if self.flip else mask)


class Ensemble:
    """Several trackers as one, with the interface of `Tracker`; predicts the mean of their probabilities.

    Every branch has its own memory. It stores its own masks, as in the published evaluation of AOT, or with
    ``fused_feedback`` those of the mean, as in MSDeAOT's. Branches run one after another, each exactly as its tracker
    does without the others.
    """

    def __init__(self, branches: Sequence[Branch], *, fused_feedback: bool = False) -> None:
        """Raise InputError without branches, or for a weight that is not a finite number above 0."""
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

    def fresh(self) -> Ensemble:
        """Return another ensemble of the same models and settings, without objects or frames."""
        other = copy(self)
        other.branches = [replace(branch, tracker=branch.tracker.fresh()) for branch in self.branches]
        return other

    @property
    def device(self) -> torch.device:
        """Device of the predictions."""
        return self.branches[0].tracker.device

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

    @torch.inference_mode()
    def step(self, frame: FrameLike, mask: MaskLike | None = None, *, size: Size | None = None) -> Prediction:
        """Track all objects to the next frame; arguments, prediction and errors as `Tracker.step`."""
        frame = frame_array(frame, None)
        mask = None if mask is None else given_mask(mask, frame, required=not self.ids)
        size = (frame.shape[0], frame.shape[1]) if size is None else output_size(size)
        if mask is None and not self.ids:
            return Prediction((), *self.branches[0].tracker.label((), size))
        views = [branch.look(frame, size, mask) for branch in self.branches]
        fused = self._fuse(views)
        channels = fused.max(0).indices
        for branch, view in zip(self.branches, views, strict=True):
            branch.remember(view, channels if self.fused_feedback else view.channels, mask)
        if mask is None:
            temperature = self.branches[0].tracker.config.confidence_temperature
            return Prediction(self.ids, fused.clamp(min=1e-30).log(), channels, temperature=temperature)
        given = self.branches[0].tracker.objects.channels_of(mask).to(channels.device)
        channels = overrule(channels, given, len(self.ids))
        return Prediction(self.ids, certain(channels, len(self.ids)), channels)

    def _fuse(self, views: Sequence[View]) -> Tensor:
        """Return the mean probabilities of all branches, (1+n)×H×W."""
        fused = torch.zeros((), device=self.device)
        for branch, view in zip(self.branches, views, strict=True):
            fused = fused + (view.logits.softmax(0) * branch.weight).to(fused.device)
        return fused


def augmented(
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
        limits = replace(limits, max_short_edge=max(32, round(limits.max_long_edge * SHORT_OF_LONG)))
    branches = []
    for scale in scales:
        scaled = replace(config, input=replace(limits, scale=limits.scale * scale))
        branches += [
            Branch(Tracker(model, scaled, device=device), flip=mirrored, weight=weight)
            for mirrored in ((False, True) if flip else (False,))
        ]
    return branches
