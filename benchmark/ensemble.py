"""`Ensemble`: several trackers as one, for test-time augmentation and ensembles of models."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import Config
from aotlab.configs.settings import changed
from aotlab.engine.tracking.groups import find_indices, mask_to_indices, one_hot_logits, overwrite_with_mask
from aotlab.engine.tracking.inputs import FrameLike, ImageSize, MaskLike
from aotlab.engine.tracking.options import TrackerLoader
from aotlab.engine.tracking.prediction import Draft, Prediction
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.model import VOSModel

WeightedModel = tuple[Path, str | None, float]
"""Checkpoint, preset (None: the checkpoint's settings) and weight."""
SHORT_EDGE_RATIO = 480 / 800
"""Ratio of the limits of the short and the long edge in tests at several scales; the published evaluation uses it."""


@dataclass(frozen=True)
class Branch:
    """One tracker of an ensemble, with its view of the frames."""

    tracker: Tracker
    flip: bool = False
    """Mirror frames and masks left to right."""
    weight: float = 1.0
    """Weight of its probabilities in the mean, above 0."""

    def predict(self, frame: np.ndarray, size: ImageSize) -> Draft:
        """Predict the masks of a frame H×W×3, mirrored if the branch mirrors."""
        return self.tracker.predict(frame[:, ::-1] if self.flip else frame, size)

    def commit(self, draft: Draft, mask: np.ndarray | None) -> Prediction:
        """Store a predicted frame; ``mask``: its object ids H×W, not mirrored."""
        return self.tracker.commit(draft, mask[:, ::-1] if self.flip and mask is not None else mask)

    def mirror(self, maps: Tensor) -> Tensor:
        """Mirror maps ...×W if the branch mirrors."""
        return maps.flip(-1) if self.flip else maps


class Ensemble:
    """Several trackers as one; predicts the mean of their probabilities.

    Every branch has its own memory. It stores its own masks, as in the published evaluation of AOT, or with
    ``fused_feedback`` the masks of the mean, as in MSDeAOT's. Branches run one after another. It has the part
    of the interface of `Tracker` that evaluation uses: `step`, `reset`, `fresh`, `ids` and `device`.
    """

    def __init__(self, branches: Sequence[Branch], *, fused_feedback: bool = False) -> None:
        """``branches``: at least one."""
        total = sum(branch.weight for branch in branches)
        self.branches = [replace(branch, weight=branch.weight / total) for branch in branches]
        self.fused_feedback = fused_feedback
        first = branches[0].tracker
        self.device, self.temperature = first.device, first.config.confidence_temperature

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
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracked objects in the order they were added."""
        return self.branches[0].tracker.ids

    @torch.inference_mode()
    def step(self, frame: FrameLike, mask: MaskLike | None = None, *, size: ImageSize | None = None) -> Prediction:
        """Track all objects to the next frame; arguments and errors as `Tracker.step`, without prompts.

        Call `reset` after any failure other than bad input.
        """
        first = self.branches[0].tracker
        frame, mask, size = first.prepare(frame, mask, size)
        drafts = [branch.predict(frame, size) for branch in self.branches]
        mean = torch.zeros((), device=self.device)
        for branch, draft in zip(self.branches, drafts, strict=True):
            mean = mean + (branch.mirror(draft.logits).softmax(0) * branch.weight).to(self.device)
        logits, indices = mean.clamp(min=1e-30).log(), find_indices(mean)
        stored = []
        for branch, draft in zip(self.branches, drafts, strict=True):
            if self.fused_feedback:
                draft = draft._replace(indices=branch.mirror(indices.to(draft.indices.device)))
            stored.append(branch.commit(draft, mask))
        if mask is not None:
            mask_indices = mask_to_indices(mask, self.ids).to(self.device)
            indices = overwrite_with_mask(indices, mask_indices, len(self.ids))
            logits = one_hot_logits(indices, len(self.ids))
        cut = not all(draft.short_term for draft in drafts)
        hidden = frozenset.intersection(*(prediction.hidden for prediction in stored))
        prediction = Prediction(self.ids, logits, indices, temperature=self.temperature, cut=cut, hidden=hidden)
        return prediction.resize(size, align_corners=first.model.config.align_corners)


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
        limits = changed(limits, max_short_edge=max(32, round(limits.max_long_edge * SHORT_EDGE_RATIO)))
    branches: list[Branch] = []
    for scale in scales:
        branch_config = changed(config, input=changed(limits, scale=limits.scale * scale))
        for mirrored in (False, True) if flip else (False,):
            branch_model = branches[0].tracker.model if branches else model
            tracker = Tracker(branch_model, branch_config, device=device)
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
) -> tuple[Tracker | Ensemble, dict[str, Any]]:
    """Return a tracker, or an ensemble if there is ``feedback``, and all that its results depend on."""
    branches, described = [], []
    for checkpoint, config, weight in models:
        tracker = Tracker.from_pretrained(
            checkpoint, config=config, overrides=overrides, device=device, protocol="published"
        )
        described.append(TrackerLoader(tracker).fingerprint() | ({} if weight == 1 else {"weight": weight}))
        if feedback is not None:
            branches += build_branches(
                tracker.model, tracker.config, scales=scales, flip=flip, weight=weight, device=device
            )
    inputs = {
        **described[0],
        "averaged_with": described[1:],
        "flip": flip,
        "scales": list(scales),
        "feedback": feedback or "own",
    }
    if feedback is None:
        return tracker, inputs
    return Ensemble(branches, fused_feedback=feedback == "fused"), inputs
