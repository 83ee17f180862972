"""Views: the part of a frame that the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.tracking.inputs import Size
from aotlab.engine.tracking.objects import ObjectTable, resize_channels


class View:
    """Part of a frame as the network sees it; the base class does not move."""

    def image(self, pixels: Tensor) -> Tensor:
        """Resize and crop a frame 1×3×H×W uint8 to 1×3×h×w floats in [0, 1]."""
        raise NotImplementedError

    def to_frame(self, logits: Tensor) -> Tensor:
        """Convert logits G×(m+1)×h×w of the view to those of the whole frame, at the same stride."""
        raise NotImplementedError

    def to_network(self, channels: Tensor) -> Tensor:
        """Resize and crop channels H×W of a frame to h×w."""
        raise NotImplementedError

    def to_whole_frame(self, *, permanent: bool) -> tuple[View, Replay]:
        """Return the view of the whole next frame; ``permanent``: also of later ones."""
        return self, ()

    def advance(
        self, frame: np.ndarray, channels: Tensor, objects: ObjectTable, banks: list[MemoryBank]
    ) -> tuple[View, Replay]:
        """Return the view of the next frame; short-term memory in ``banks`` moves with it.

        ``frame``: tracked frame H×W×3 uint8, with ``channels`` H×W in memory.
        """
        return self, ()

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state, in containers, numbers and tensors."""
        raise NotImplementedError


Replay = Sequence[tuple[np.ndarray, np.ndarray, View]]
"""frames H×W×3, channels H×W and views that memory of a new view is made from, the reference frame first; empty:
memory stays"""


@dataclass
class WholeFrame(View):
    """The whole frame."""

    size: Size
    """(height, width) in the network"""

    def image(self, pixels: Tensor) -> Tensor:
        """Resize a frame, as the published code does."""
        return F.interpolate(pixels.float() / 255, self.size, mode="bicubic")

    def to_frame(self, logits: Tensor) -> Tensor:
        """Return the logits."""
        return logits

    def to_network(self, channels: Tensor) -> Tensor:
        """Resize channels with nearest-neighbour interpolation."""
        return resize_channels(channels, self.size)

    def state_dict(self) -> dict[str, Any]:
        """Return the size."""
        return {"size": self.size}
