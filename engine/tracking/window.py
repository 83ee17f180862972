"""Windows that follow small objects, so that the network sees the objects and not the whole frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.schema import Config, ModelConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.tracking.inputs import Size
from aotlab.engine.tracking.objects import (
    ObjectTable,
    find_smallest_area,
    mask_to_channels,
    resize_channels,
)
from aotlab.engine.tracking.view import Replay, View, WholeFrame
from aotlab.networks.preprocess import MAX_ENLARGEMENT, STRIDE, network_size
from aotlab.utils.errors import InputError

LOST_FRAMES = 5
"""number of frames in a row without one of the objects from which the whole frame is searched"""
SETTLED_FRAMES = 25
"""number of frames in a row with all objects after which tracking returns to a window"""
MAX_GROWTH = 2.0
"""largest factor on an object's area since the window was chosen; beyond it, the whole frame is used"""
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
    """Part of the frame in the network, in whole tokens; it may be all of it."""

    unscaled: Size
    """(height, width) of the whole frame in pixels of the network when there is no smaller window"""
    size: Size
    """(height, width) of the whole frame in pixels of the network at the window's scale"""
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

    @classmethod
    def from_size(cls, size: Size, extra: int) -> Window:
        """Return the window of a whole frame."""
        return cls(size, size, extra, 0, 0, *count_tokens(size, extra))

    @property
    def whole_frame(self) -> Window:
        """The window of the whole frame without this window's scale."""
        return Window.from_size(self.unscaled, self.extra)

    @cached_property
    def is_whole_frame(self) -> bool:
        """Whether this is the whole frame."""
        return (self.rows, self.columns) == self.grid

    @property
    def grid(self) -> Size:
        """Rows and columns of the whole frame in tokens."""
        return count_tokens(self.size, self.extra)

    def is_same_size(self, other: Window) -> bool:
        """Whether another window differs by its place at most."""
        return replace(other, top=self.top, left=self.left) == self

    def resize(self, pixels: Tensor) -> Tensor:
        """Resize a frame 1×3×H×W uint8 for the network; return the window of it, 1×3×h×w floats from 0 to 1."""
        if self.is_whole_frame:
            return WholeFrame(self.size).image(pixels)
        points = []
        for axis, places in enumerate(self._slices(1)):  # reads the window's pixels only
            length = pixels.shape[axis + 2]
            source = (torch.arange(places.start, places.stop) + 0.5) * (length / self.size[axis]) - 0.5
            start, stop = max(int(source[0]) - 1, 0), min(int(source[-1]) + 3, length)
            pixels = pixels.narrow(axis + 2, start, stop - start)
            points.append((2 * (source - start) + 1) / (stop - start) - 1)
        rows, columns = torch.meshgrid(*points, indexing="ij")
        grid = torch.stack((columns, rows), -1)[None].to(pixels.device)
        return F.grid_sample(
            pixels.float() / 255, grid, mode="bicubic", padding_mode="border", align_corners=False
        )

    def crop(self, maps: Tensor, stride: int = 1) -> Tensor:
        """Cut the window out of maps ...×H×W of the whole frame at a stride in pixels."""
        rows, columns = self._slices(stride)
        return maps[..., rows, columns]

    def paste(self, logits: Tensor) -> Tensor:
        """Put logits G×(m+1)×h×w of the window into those of the whole frame, which is background outside."""
        if self.is_whole_frame:
            return logits
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
        centered = self.around(box)
        row = self.top if abs(centered.top - self.top) < 2 else centered.top
        column = self.left if abs(centered.left - self.left) < 2 else centered.left
        return replace(self, top=row, left=column)

    def around(self, box: Box) -> Window:
        """Return a window of the same size centered on a box, inside the frame."""
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


class FrameWithObjects(NamedTuple):
    """A frame and its objects."""

    image: np.ndarray
    """H×W×3 uint8"""
    channels: np.ndarray
    """H×W integers of any size: 0 or an object's channel"""

    @property
    def box(self) -> Box | None:
        """Box of all objects."""
        return find_box(self.channels)

    def measure_areas(self, count: int) -> np.ndarray:
        """Return the areas of channels 1 to ``count``, relative to the frame."""
        return np.bincount(self.channels.ravel(), minlength=count + 1)[1:] / self.channels.size


def choose_window(frames: Sequence[FrameWithObjects], whole: Window) -> Window:
    """Return a window large enough for the objects of each frame, around those of the last one.

    It is ``whole``, the whole frame, if that costs little more or if a frame has no object.
    """
    boxes = [box for frame in frames if (box := frame.box)]
    if len(boxes) < len(frames):
        return whole
    height, width, _ = frames[0].image.shape
    areas = [area / frame.channels.size for frame in frames if (area := find_smallest_area(frame.channels))]
    side = math.sqrt(max(areas) * math.prod(whole.size))
    enlargement = MAX_ENLARGEMENT * max(height / whole.size[0], width / whole.size[1])
    max_zoom = max(1.0, min(TARGET_OBJECT_SIDE / side, enlargement))
    for zoom in ZOOMS:
        if zoom > max_zoom:
            continue
        rows, columns = (round(side * zoom / STRIDE) * STRIDE + whole.extra for side in whole.size)
        size = (rows, columns) if zoom != 1 else whole.size
        grid = count_tokens(size, whole.extra)
        sides = []
        for axis in (0, 1):
            longest = max((box[axis + 2] - box[axis]) * grid[axis] for box in boxes)
            sides.append(min(math.ceil(longest + 2 * max(MARGIN, MARGIN_RATIO * longest)), grid[axis]))
        if math.prod(sides) <= MAX_AREA_RATIO * whole.rows * whole.columns:
            return Window(whole.size, size, whole.extra, 0, 0, *sides).around(boxes[-1])
    return whole


@dataclass
class WindowSelector:
    """Selects the window of the next frame by the objects on the newest one."""

    reference: FrameWithObjects
    """the first frame"""
    areas: np.ndarray
    """area of each object when the window was chosen, relative to the frame"""
    is_whole_frame: bool
    """whether the window was the whole frame on the newest frame"""
    last: FrameWithObjects | None = None
    """the newest frame after the reference frame"""
    frames_lost: int = 0
    """number of frames in a row without one of the objects"""
    frames_visible: int = 0
    """number of frames in a row with all objects since the window was chosen"""

    @classmethod
    def start(cls, window: Window, reference: FrameWithObjects, count: int) -> WindowSelector:
        """Return the selector of a video whose first frame, with ``count`` objects, was shown in a window."""
        return cls(reference, reference.measure_areas(count), window.is_whole_frame)

    def select(self, window: Window, last: FrameWithObjects, active: Sequence[bool]) -> Window:
        """Return the window of the frame after ``last``.

        Args:
            window: window of ``last``.
            last: the newest frame.
            active: whether the object of each channel, from 1 on, is tracked.
        """
        self.last, areas, box = last, last.measure_areas(len(active)), last.box
        if window.is_whole_frame != self.is_whole_frame:  # the tracker left it
            self._restart(window, areas)
        visible = bool(areas[np.array(active)].all())
        self.frames_visible = self.frames_visible + 1 if visible else 0
        self.frames_lost = 0 if visible else self.frames_lost + 1
        grown = bool((areas > MAX_GROWTH * self.areas)[self.areas > 0].any())
        settled = self.frames_visible >= SETTLED_FRAMES
        if window.is_whole_frame:
            chosen = choose_window([self.reference, last], window) if settled and not grown else window
        elif grown or self.frames_lost >= LOST_FRAMES:
            chosen = window.whole_frame
        else:
            chosen = window if box is None else window.follow(box) or window.whole_frame
        if chosen.is_whole_frame != window.is_whole_frame or (window.is_whole_frame and settled):
            self._restart(chosen, areas)
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state, in containers, numbers and tensors."""
        frames = (self.reference,) if self.last is None else (self.reference, self.last)
        return {
            "frames": [[torch.from_numpy(array.copy()) for array in frame] for frame in frames],
            "areas": self.areas.tolist(),
            "is_whole_frame": self.is_whole_frame,
            "frames_lost": self.frames_lost,
            "frames_visible": self.frames_visible,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> WindowSelector:
        """Return the selector of a `state_dict`."""
        frames = [FrameWithObjects(*(x.numpy().copy() for x in frame)) for frame in state["frames"]]
        last = frames[1] if len(frames) > 1 else None
        counts = state["frames_lost"], state["frames_visible"]
        return cls(frames[0], np.array(state["areas"]), state["is_whole_frame"], last, *counts)

    def _restart(self, window: Window, areas: np.ndarray) -> None:
        """Start counting frames with a window; ``areas``: of each object."""
        self.is_whole_frame, self.areas = window.is_whole_frame, areas
        self.frames_lost = self.frames_visible = 0


@dataclass
class FollowingWindow(View):
    """A window that follows the objects of the first frame; it is the whole frame while they are large or lost."""

    window: Window
    selector: WindowSelector
    strides: list[int]
    """pixels per token of each block of the model"""

    def image(self, pixels: Tensor) -> Tensor:
        """Resize the window of a frame."""
        return self.window.resize(pixels)

    def to_frame(self, logits: Tensor) -> Tensor:
        """Put logits of the window into those of the frame, which is background outside."""
        return self.window.paste(logits)

    def to_network(self, channels: Tensor) -> Tensor:
        """Resize channels and cut the window out of them."""
        return self.window.crop(resize_channels(channels, self.window.size))

    def to_whole_frame(self, *, permanent: bool) -> tuple[View, Replay]:
        """Show the whole frame, where objects may be anywhere or change."""
        whole = self.window.whole_frame
        frames = () if self.window.is_whole_frame else self._list_frames(whole)
        return WholeFrame(whole.size) if permanent else replace(self, window=whole), frames

    def advance(
        self, frame: np.ndarray, channels: Tensor, objects: ObjectTable, banks: list[MemoryBank]
    ) -> tuple[View, Replay]:
        """Select the next window; short-term memory moves with it, or memory is made again if its size changes."""
        old, small = self.window, resize_channels(channels, self.window.size)
        shown = FrameWithObjects(frame.copy(), small.short().cpu().numpy())
        new = self.selector.select(old, shown, [object_id > 0 for object_id in objects.by_channel])
        if not old.is_same_size(new):
            return replace(self, window=new), self._list_frames(new)
        if old != new:
            for bank in banks:
                bank.transform_short_term(lambda tokens, block: old.shift(tokens, new, self.strides[block]))
        return replace(self, window=new), ()

    def _list_frames(self, window: Window) -> Replay:
        """Return the reference frame, in a window around its objects, and the newest frame."""
        reference, last = self.selector.reference, self.selector.last
        box = reference.box
        frames = [(*reference, replace(self, window=window if box is None else window.around(box)))]
        return frames if last is None else [*frames, (*last, replace(self, window=window))]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the window and of the selector's state."""
        return {"window": asdict(self.window), "selector": self.selector.state_dict()}


def load_view(state: dict[str, Any] | None, config: ModelConfig) -> View | None:
    """Return the view of a `View.state_dict`; None for None."""
    if state is None:
        return None
    if "window" not in state:
        return WholeFrame(state["size"])
    selector = WindowSelector.from_state(state["selector"])
    return FollowingWindow(Window(**state["window"]), selector, config.block_strides)


def choose_view(frame: np.ndarray, mask: np.ndarray, config: Config) -> View:
    """Return the view of a video whose first frame H×W×3 uint8 has a mask H×W of ids."""
    extra = int(config.model.align_corners)
    fit = partial(network_size, frame.shape[:2], config.input, align_corners=config.model.align_corners)
    size = fit(min_object_area=find_smallest_area(mask))
    if not config.input.window:
        return WholeFrame(size)
    ids = np.unique(mask[mask > 0])
    reference = FrameWithObjects(frame.copy(), mask_to_channels(mask, ids.tolist()).short().numpy())
    window = choose_window([reference], Window.from_size(fit(), extra))
    if window.is_whole_frame:
        window = Window.from_size(size, extra)
    selector = WindowSelector.start(window, reference, len(ids))
    return FollowingWindow(window, selector, config.model.block_strides)
