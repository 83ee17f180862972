"""Rules of a tracker: detection of cuts and ownership of components, each enabled by a setting in ``rules``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import RulesConfig
from aotlab.engine.rules.cuts import CutDetector, make_thumbnail
from aotlab.engine.rules.ownership import ComponentOwnership, Reassignment


class RuleResult(NamedTuple):
    """Findings of the rules on a frame."""

    cut: bool = False
    """whether it follows a cut"""
    thumbnail: np.ndarray | None = None
    """`make_thumbnail` of the frame if cuts are detected"""
    reassigned: Sequence[Reassignment] = ()
    """pixels that belong to another object than predicted, see `ComponentOwnership`"""


class Rules:
    """Rules of a tracker: `detect_cut` before a frame is segmented, `correct` after that, `observe` when it is stored.

    Only `observe` and `forget` change their state.
    """

    def __init__(self, config: RulesConfig) -> None:
        self.cuts = CutDetector() if config.cuts else None
        self.ownership = ComponentOwnership() if config.ownership else None

    def detect_cut(self, frame: np.ndarray) -> RuleResult:
        """Compare a frame H×W×3 uint8 with the last observed one; never a cut without ``rules.cuts``."""
        if self.cuts is None:
            return RuleResult()
        thumbnail = make_thumbnail(frame)
        return RuleResult(self.cuts.is_cut(thumbnail), thumbnail)

    def correct(
        self, result: RuleResult, frame: np.ndarray, logits: Tensor, indices: Tensor, ids: Sequence[int]
    ) -> tuple[RuleResult, Tensor, Tensor]:
        """Return the result, logits and indices, corrected where pixels belong to another object than predicted.

        With two or more objects it waits for a GPU.

        Args:
            result: from `detect_cut`.
            frame: H×W×3 uint8.
            logits: (1+n)×H×W.
            indices: H×W, the most likely object in every pixel: 0, or its position in ``ids`` from 1 on.
            ids: object id of each index from 1 on.
        """
        if self.ownership is None or result.cut or len(ids) < 2:
            return result, logits, indices
        reassigned = self.ownership.find_detached(to_labels(indices, ids), frame)
        if reassigned:
            logits, indices = swap_logits(logits, indices, reassigned, ids)
        return result._replace(reassigned=reassigned), logits, indices

    def observe(
        self,
        result: RuleResult,
        frame: np.ndarray,
        indices: Tensor,
        ids: Sequence[int],
        annotated: Sequence[int],
    ) -> None:
        """Remember a frame H×W×3 uint8 with the indices H×W that memory stores.

        Args:
            result: from `correct`.
            indices: may differ from the prediction's on a frame with a mask, or in an ensemble.
            ids: object id of each index from 1 on.
            annotated: object ids in the frame's mask; empty without one.
        """
        if self.ownership is not None:
            if result.cut:
                self.ownership.clear_positions()
            if annotated or len(ids) > 1:
                self.ownership.update(to_labels(indices, ids), frame, annotated, result.reassigned)
        if self.cuts is not None:
            self.cuts.previous = result.thumbnail

    def forget(self, object_id: int) -> None:
        """Remove the history of an object."""
        if self.ownership is not None:
            self.ownership.forget(object_id)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state in containers, numbers and tensors."""
        return {
            "cuts": None if self.cuts is None else self.cuts.state_dict(),
            "ownership": None if self.ownership is None else self.ownership.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of rules with the same settings."""
        if self.cuts is not None:
            self.cuts.load_state_dict(state["cuts"])
        if self.ownership is not None:
            self.ownership.load_state_dict(state["ownership"])


def drop_unavailable_rules(config: RulesConfig) -> RulesConfig:
    """Return the settings without ownership if OpenCV is missing."""
    return config if find_spec("cv2") else replace(config, ownership=False)


def to_labels(indices: Tensor, ids: Sequence[int]) -> np.ndarray:
    """Convert indices H×W to object ids int32; waits for a GPU."""
    return np.array([0, *ids], np.int32)[indices.cpu().numpy()]


def swap_logits(
    logits: Tensor, indices: Tensor, reassigned: Sequence[Reassignment], ids: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the logits (1+n)×H×W and indices H×W with both objects of each reassignment swapped in its pixels."""
    logits = logits.clone()
    for move in reassigned:
        pixels = torch.from_numpy(move.pixels).to(indices.device)
        source, target = ids.index(move.source) + 1, ids.index(move.target) + 1
        pair = logits[[target, source]]
        logits[[source, target]] = torch.where(pixels, pair, pair.flip(0))
        indices = torch.where(pixels, target, indices)
    return logits, indices
