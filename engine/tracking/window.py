"""Windows that follow small objects, so that the network sees the objects and not the whole frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aotlab.configs.schema import ModelConfig
from aotlab.engine.tracking.inputs import Size
from aotlab.networks.preprocess import STRIDE
from aotlab.utils.errors import InputError

LOST_FRAMES = 5
"""number of frames in a row without one of the objects from which the whole frame is searched"""
SETTLED_FRAMES = 25
"""number of frames in a row with all objects after which tracking returns to a window"""
MARGIN = 5
"""smallest distance in tokens between objects and the border of a new window"""
MARGIN_RATIO = 0.35
"""the same, relative to the side of the objects' box"""
MAX_AREA_RATIO = 0.6
"""largest number of tokens of a window, relative to the whole frame's"""
ZOOMS = (2.0, 1.5, 1.25, 1.0)
"""factors by which a window may be scaled up"""
TARGET_OBJECT_SIDE = 60
"""square root of the smallest object's area in pixels of the network that a window is scaled up to"""
LOGIT_STRIDE = 4
"""pixels per logit of the decoder; `require_window_support` refuses models with another one"""
OUTSIDE = 10.0
"""logit of background outside the window, and of objects with the other sign"""

Box = tuple[float, float, float, float]
"""top, left, bottom and right, relative to the frame"""


@dataclass(frozen=True)
class Window:
    """Part of the frame in the network, in whole tokens."""

    size: Size
    """(height, width) of the whole frame in pixels of the network"""
    extra: int
    """1 if sizes are 16k+1, else 0"""
    top: int
    """first row in tokens"""
    left: int
    """first column in tokens"""
    rows: int
    """height in tokens"""
    columns: int
    """width in tokens"""

    @property
    def grid(self) -> Size:
        """Rows and columns of the whole frame in tokens."""
        return count_tokens(self.size, self.extra)

    def crop(self, maps: Tensor, stride: int = 1) -> Tensor:
        """Cut the window out of maps ...×H×W of the whole frame at a stride in pixels."""
        rows, columns = self._slices(stride)
        return maps[..., rows, columns]

    def paste(self, logits: Tensor) -> Tensor:
        """Put logits G×(m+1)×h×w of the window into those of the whole frame, which is background outside."""
        height, width = ((side - self.extra) // LOGIT_STRIDE + self.extra for side in self.size)
        whole = logits.new_full((*logits.shape[:2], height, width), -OUTSIDE)
        whole[:, 0] = OUTSIDE
        rows, columns = self._slices(LOGIT_STRIDE)
        whole[..., rows, columns] = logits
        return whole

    def follow(self, box: Box) -> Window | None:
        """Return the window around the objects' new box, or None if they have outgrown it."""
        top, left, bottom, right = self._tokens(box)
        height, width = self.grid
        if (bottom - top > self.rows - 2 and self.rows < height) or (
            right - left > self.columns - 2 and self.columns < width
        ):
            return None
        wanted = self.around(box)
        near = [abs(wanted.top - self.top) < 2, abs(wanted.left - self.left) < 2]
        return replace(
            self, top=self.top if near[0] else wanted.top, left=self.left if near[1] else wanted.left
        )

    def around(self, box: Box) -> Window:
        """Return a window of the same size centred on a box, inside the frame."""
        top, left, bottom, right = self._tokens(box)
        height, width = self.grid
        row = round((top + bottom - self.rows) / 2)
        column = round((left + right - self.columns) / 2)
        return replace(
            self, top=min(max(row, 0), height - self.rows), left=min(max(column, 0), width - self.columns)
        )

    def shift(self, tokens: Tensor, new: Window, stride: int) -> Tensor:
        """Move tokens B×L×C of a map at a stride in pixels to a new place of the window; its border is repeated."""
        rows, columns = self._slices(stride)
        maps = tokens.unflatten(1, (rows.stop - rows.start, columns.stop - columns.start))
        for axis, distance in ((1, new.top - self.top), (2, new.left - self.left)):
            steps = distance * STRIDE // stride
            last = maps.shape[axis] - 1
            index = [min(max(place + steps, 0), last) for place in range(last + 1)]
            maps = maps.index_select(axis, maps.new_tensor(index).long()) if steps else maps
        return maps.flatten(1, 2)

    def to_list(self) -> list[int]:
        """Return the window as numbers."""
        size, *rest = astuple(self)
        return [*size, *rest]

    @classmethod
    def from_list(cls, numbers: Sequence[int]) -> Window:
        """Restore a window from numbers; raises `ValueError` or `TypeError` if they are not those of one."""
        height, width, *rest = map(int, numbers)
        return cls((height, width), *rest)

    def _slices(self, stride: int) -> tuple[slice, slice]:
        """Rows and columns of the window in a map at a stride in pixels."""
        scale = STRIDE // stride
        return tuple(
            slice(start * scale, (start + count - self.extra) * scale + self.extra)
            for start, count in ((self.top, self.rows), (self.left, self.columns))
        )  # type: ignore[return-value]

    def _tokens(self, box: Box) -> Box:
        height, width = ((side - self.extra) / STRIDE for side in self.size)
        return box[0] * height, box[1] * width, box[2] * height, box[3] * width


def count_tokens(size: Size, extra: int) -> Size:
    """Return rows and columns of a map at stride 16 of a frame (height, width) in pixels."""
    return (size[0] - extra) // STRIDE + extra, (size[1] - extra) // STRIDE + extra


def find_box(labels: np.ndarray) -> Box | None:
    """Return the box of all objects of labels H×W, relative to the frame; None without objects."""
    shown = labels > 0
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not len(rows):
        return None
    height, width = labels.shape
    return rows[0] / height, columns[0] / width, (rows[-1] + 1) / height, (columns[-1] + 1) / width


def require_window_support(config: ModelConfig) -> None:
    """Raise `InputError` for a model whose logits have another stride than `LOGIT_STRIDE`."""
    last = config.stages[-1].stride
    if len(config.stages) > 1 and last != LOGIT_STRIDE:
        raise InputError(
            f"input.window: needs a model that ends at stride {LOGIT_STRIDE}, not {last}; set it to false"
        )


def choose_window(boxes: Sequence[Box], smallest: float, size: Size, extra: int) -> Window | None:
    """Return a window that is large enough for each box, around the last one; None if the whole frame is no dearer.

    Args:
        boxes: of all objects on one or several frames.
        smallest: area of the smallest object, relative to the frame.
        size: (height, width) of the whole frame in the network without a window.
        extra: 1 if sizes are 16k+1, else 0.
    """
    tokens = math.prod(count_tokens(size, extra))
    side = math.sqrt(smallest * math.prod(size))
    for zoom in ZOOMS:
        if zoom > max(1.0, TARGET_OBJECT_SIDE / side):
            continue
        height, width = size if zoom == 1 else tuple(round(x * zoom / STRIDE) * STRIDE + extra for x in size)
        grid = count_tokens((height, width), extra)
        sides = []
        for axis in (0, 1):
            longest = max((box[axis + 2] - box[axis]) * grid[axis] for box in boxes)
            sides.append(min(math.ceil(longest + 2 * max(MARGIN, MARGIN_RATIO * longest)), grid[axis]))
        if math.prod(sides) <= MAX_AREA_RATIO * tokens:
            return Window((height, width), extra, 0, 0, *sides).around(boxes[-1])
    return None


class FrameWithObjects(NamedTuple):
    """A frame and its objects."""

    image: np.ndarray
    """H×W×3 uint8"""
    channels: np.ndarray
    """H×W int64"""


@dataclass
class WindowState:
    """State of a tracker's window."""

    window: Window | None = None
    """None: the whole frame"""
    reference: FrameWithObjects | None = None
    """the frame of the first mask; None: the window stays as it is"""
    last: FrameWithObjects | None = None
    """the newest stored frame"""
    unseen: int = 0
    """number of frames in a row without one of the objects"""
    seen: int = 0
    """number of frames in a row with all objects since the last change"""

    @property
    def is_lost(self) -> bool:
        """Whether an object is missing for too long to be in the window."""
        return self.unseen >= LOST_FRAMES

    @property
    def is_settled(self) -> bool:
        """Whether all objects were seen for long enough to choose a window again."""
        return self.seen >= SETTLED_FRAMES

    def count(self, *, shown: bool) -> None:
        """Count a frame with or without all objects."""
        self.seen, self.unseen = (self.seen + 1, 0) if shown else (0, self.unseen + 1)

    def change(self, window: Window | None) -> None:
        """Change the window and count from here."""
        self.window, self.seen, self.unseen = window, 0, 0

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and tensors."""
        frames = {}
        for name in ("reference", "last"):
            frame: FrameWithObjects | None = getattr(self, name)
            frames[name] = None if frame is None else [torch.from_numpy(x.copy()) for x in frame]
        window = None if self.window is None else self.window.to_list()
        return {"window": window, "unseen": self.unseen, "seen": self.seen, **frames}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; raises `ValueError` or others if it is damaged."""
        self.window = None if state["window"] is None else Window.from_list(state["window"])
        self.unseen, self.seen = int(state["unseen"]), int(state["seen"])
        self.reference, self.last = (
            None if state[name] is None else FrameWithObjects(*(x.numpy().copy() for x in state[name]))
            for name in ("reference", "last")
        )
