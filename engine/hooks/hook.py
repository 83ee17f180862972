"""Hooks of a tracker: corrections of its predictions that are not part of a method's paper."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Self

if TYPE_CHECKING:
    from aotlab.engine.tracking.prediction import Draft, Prediction


class Hook:
    """Base of hooks; it changes nothing, and subclasses override what they need.

    `Tracker.predict` calls `allows_short_term` and `correct`, which must not change the hook, because not every
    predicted frame is stored: what they pass on goes into the frame's notes. `Tracker.commit` calls `stored`, where
    the state changes.
    """

    def allows_short_term(self, frame: np.ndarray, notes: dict[str, Any]) -> bool:
        """Return whether a frame H×W×3 uint8 may read short-term memory; it may not after a cut.

        ``notes``: the hook may add values for its later calls on this frame, which find them in ``draft.notes``.
        """
        return True

    def correct(self, draft: Draft) -> Draft:
        """Return a predicted frame with its ``logits`` and ``indices`` corrected; both must agree."""
        return draft

    def stored(self, draft: Draft, prediction: Prediction, mask: np.ndarray | None) -> None:
        """Update the hook with a frame that has been stored.

        Args:
            draft: the predicted frame, with the notes of `correct`.
            prediction: masks as memory stores them; they differ from the draft's on a frame with a mask, or in an
                ensemble.
            mask: H×W object ids given for the frame; None without one.
        """

    def forget(self, object_id: int) -> None:
        """Remove what is known about an object."""

    def reset(self) -> None:
        """Forget the video."""

    def fresh(self) -> Self:
        """Return a hook of the same settings for another video; the state must be what `reset` replaces."""
        other = copy(self)
        other.reset()
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state in containers, numbers and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of a hook with the same settings."""
