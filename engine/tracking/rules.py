"""Rules that correct the identities of a predicted frame before memory stores it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Reassignment(NamedTuple):
    """Pixels of one object that belong to another."""

    pixels: np.ndarray
    """H×W bool"""
    source: int
    """id of the object that they were predicted for"""
    target: int
    """id of the object that they belong to"""


class IdentityRule(Protocol):
    """Interface of rules: `correct` proposes and changes nothing, `observe` sees every frame as memory stores it."""

    def correct(self, labels: np.ndarray, frame: np.ndarray) -> list[Reassignment]:
        """Return the pixels to reassign on a frame; nothing changes.

        Args:
            labels: H×W object ids as predicted.
            frame: H×W×3 uint8 RGB of any size.
        """

    def observe(
        self, labels: np.ndarray, frame: np.ndarray, moved: Sequence[Reassignment], given: Sequence[int]
    ) -> None:
        """Learn from a frame.

        Args:
            labels: H×W object ids as stored.
            frame: H×W×3 uint8 RGB of any size.
            moved: what `correct` returned for it.
            given: ids of a given mask, which is authoritative.
        """

    def restart(self) -> None:
        """Forget where objects are, as after a cut."""

    def forget(self, object_id: int) -> None:
        """Forget an object."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state: dictionaries, lists, numbers and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; raises `ValueError` or others if it is damaged."""
