"""Rules of a tracker: detection of cuts and ownership of components, each enabled by a setting in ``rules``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import RulesConfig
from aotlab.engine.rules.cuts import is_cut, make_thumbnail
from aotlab.engine.rules.ownership import ComponentOwnership, Reassignment


class TrackerRules:
    """Rules of a tracker: `detect_cut` before a frame is segmented, `find_reassignments` after that.

    Only `update`, when the frame is stored, and `forget` change their state.
    """

    def __init__(self, config: RulesConfig) -> None:
        self.cuts = config.cuts
        self.thumbnail: np.ndarray | None = None
        """Thumbnail of the last stored frame; None before it, and without ``rules.cuts``."""
        self.ownership = ComponentOwnership() if config.ownership else None

    def detect_cut(self, frame: np.ndarray) -> tuple[bool, np.ndarray | None]:
        """Return whether a frame H×W×3 uint8 follows a cut, and its thumbnail; False and None if ``cuts`` is off."""
        if not self.cuts:
            return False, None
        thumbnail = make_thumbnail(frame)
        return self.thumbnail is not None and is_cut(self.thumbnail, thumbnail), thumbnail

    def find_reassignments(self, frame: np.ndarray, indices: Tensor, ids: Sequence[int]) -> list[Reassignment]:
        """Return the pixels that belong to another object than predicted, for `swap_logits`.

        With two or more objects it waits for a GPU.

        Args:
            frame: H×W×3 uint8.
            indices: H×W, the most likely object in every pixel: 0, or its position in ``ids`` from 1 on.
            ids: object id of each index from 1 on.
        """
        if self.ownership is None or len(ids) < 2:
            return []
        return self.ownership.find_reassignments(to_labels(indices, ids), frame)

    def update(
        self,
        frame: np.ndarray,
        indices: Tensor,
        ids: Sequence[int],
        annotated_ids: Sequence[int],
        *,
        cut: bool,
        thumbnail: np.ndarray | None,
        reassignments: Sequence[Reassignment],
    ) -> None:
        """Update the rules with a frame H×W×3 uint8 and the indices H×W that memory stores.

        Args:
            indices: may differ from the prediction's on a frame with a mask, or in an ensemble.
            ids: object id of each index from 1 on.
            annotated_ids: object ids in the frame's mask; empty without one.
            cut: from `detect_cut`, as ``thumbnail``.
            reassignments: from `find_reassignments`.
        """
        if self.ownership is not None:
            if cut:
                self.ownership.clear_positions()
            if annotated_ids or len(ids) > 1:
                self.ownership.update(to_labels(indices, ids), frame, annotated_ids, reassignments)
        self.thumbnail = thumbnail

    def forget(self, object_id: int) -> None:
        """Remove the history of an object."""
        if self.ownership is not None:
            self.ownership.forget(object_id)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state in containers, numbers and tensors."""
        return {
            "thumbnail": None if self.thumbnail is None else torch.from_numpy(self.thumbnail.copy()),
            "ownership": None if self.ownership is None else self.ownership.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of rules with the same settings."""
        self.thumbnail = None if state["thumbnail"] is None else state["thumbnail"].numpy().copy()
        if self.ownership is not None:
            self.ownership.load_state_dict(state["ownership"])


def drop_unavailable_rules(config: RulesConfig) -> RulesConfig:
    """Return the settings without ownership if OpenCV is missing."""
    return config if find_spec("cv2") else replace(config, ownership=False)


def to_labels(indices: Tensor, ids: Sequence[int]) -> np.ndarray:
    """Convert indices H×W to object ids int32; waits for a GPU."""
    return np.array([0, *ids], np.int32)[indices.cpu().numpy()]


def swap_logits(
    logits: Tensor, indices: Tensor, reassignments: Sequence[Reassignment], ids: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the logits (1+n)×H×W and indices H×W with both objects of each reassignment swapped in its pixels."""
    logits = logits.clone()
    for move in reassignments:
        pixels = torch.from_numpy(move.pixels).to(indices.device)
        source, target = ids.index(move.source) + 1, ids.index(move.target) + 1
        pair = logits[[target, source]]
        logits[[source, target]] = torch.where(pixels, pair, pair.flip(0))
        indices = torch.where(pixels, target, indices)
    return logits, indices
