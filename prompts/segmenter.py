"""Interface of segmenters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from aotlab.masks.prompt import Prompt


class Segmenter(Protocol):
    """Segments the objects of one frame from prompts."""

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Return H×W uint16 object ids of a frame H×W×3 uint8 RGB; prompts are by object id.

        Raises:
            InputError: a prompt outside the frame.
        """
