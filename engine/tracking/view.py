"""Views: the part of a frame that the network sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

    def widen(
        self, banks: list[MemoryBank], replay: Replay, *, permanent: bool
    ) -> tuple[View, list[MemoryBank]]:
        """Return the view of the whole next frame, and its memory.

        Args:
            banks: memory of this view.
            replay: returns memory of frames in other views.
            permanent: also show later frames whole.
        """
        return self, banks

    def after(
        self,
        frame: np.ndarray,
        channels: Tensor,
        objects: ObjectTable,
        banks: list[MemoryBank],
        replay: Replay,
    ) -> tuple[View, list[MemoryBank]]:
        """Return view and memory of the frame after a tracked one H×W×3 uint8 with channels H×W in memory."""
        return self, banks


Replay = Callable[[Sequence[tuple[np.ndarray, np.ndarray, View]]], list[MemoryBank]]
"""maps frames H×W×3, their channels H×W and views, the reference frame first, to memory of them"""


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
