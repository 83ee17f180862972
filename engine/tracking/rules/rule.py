"""Interface of rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from aotlab.engine.tracking.objects import ObjectTable


class Rule:
    """Corrects predictions by what it observed on earlier frames; the base class does nothing.

    `correct`, then `observe` run once a frame; what `correct` leaves for `observe` is no part of the state.
    """

    def correct(
        self, frame: np.ndarray, logits: Tensor, channels: Tensor, objects: ObjectTable, *, cut: bool
    ) -> Tensor:
        """Correct the logits (1+n)×H×W of a frame in place and return its channels H×W; other fields are unchanged."""
        return channels

    def observe(
        self, frame: np.ndarray, channels: Tensor, objects: ObjectTable, given: Sequence[int], *, cut: bool
    ) -> None:
        """Update the state with a frame and the channels H×W in memory; ``given``: ids of a given mask."""

    def forget(self, object_id: int) -> None:
        """Forget an object; `Tracker.forget` calls it on a deep copy, which then replaces the rule."""

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state after a frame, in containers, numbers and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of a rule of the same class."""
