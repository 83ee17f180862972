"""Masks of objects from prompts on one frame: a rough pass, then a closer look at each object."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.tracking.guided_filter import follow_edges
from aotlab.engine.tracking.inputs import MaskLike, convert_mask
from aotlab.engine.tracking.prediction import Prediction
from aotlab.media.prompt import Point, Prompt
from aotlab.networks.fast import optimize
from aotlab.networks.model import VOSModel
from aotlab.networks.preprocess import STRIDE, normalise
from aotlab.networks.prompts import PromptNetwork
from aotlab.utils.errors import InputError, require_extra

Window = tuple[int, int, int, int]
"""left, top, right and bottom in pixels of the frame, right and bottom excluded"""
CLICK_RADIUS = 5.2
"""radius of a click's disc in pixels of the network"""
STROKE_RADIUS = 3.0
"""radius of a scribble in pixels of the network"""
ABSENT_LOGIT = -12.0
"""logit where an object is ruled out"""
BOX_MARGIN = 0.12
"""distance from a box, as a share of its sides, from which pixels are not of its object"""
MIN_WINDOW = 96
"""shortest side of an object's window in pixels of the frame; smaller objects need their surroundings"""


@dataclass(frozen=True)
class PromptSettings:
    """Input sizes and refinement of the prompt network."""

    frame_edge: int = 321
    """longer edge in pixels of the whole frame as network input"""
    box_edge: int = 257
    """longer edge in pixels of the window around a box as network input, in the rough pass"""
    box_margin: float = 0.5
    """margin of that window, as a fraction of the box's longer side"""
    window_edge: int = 257
    """longer edge in pixels of an object's window as network input, in the closer look"""
    margin: float = 0.15
    """margin of that window, as a fraction of the object's longer side"""
    edge_radius: int = 3
    """radius of the guided filter, which is fitted at half the network's size, in its pixels"""
    max_part_distance: float = 0.5
    """largest distance of a part without a prompt from the prompted part, as a fraction of the root of its area"""


DEFAULT_SETTINGS = PromptSettings()


class PromptedFrame:
    """One frame that takes prompts; its encoding is computed once, so that further prompts are cheap."""

    def __init__(
        self, model: VOSModel, frame: np.ndarray, settings: PromptSettings = DEFAULT_SETTINGS
    ) -> None:
        """``frame``: H×W×3 uint8 RGB, contiguous. Raises InputError if the model takes no prompts."""
        network = getattr(model, "prompts", None)
        if network is None:
            raise InputError("this model takes no prompts; use the bundled weights or give a mask")
        require_extra("video", "cv2")  # finds connected parts
        self.network: PromptNetwork = network
        self.align_corners, self.settings = model.config.align_corners, settings
        self.weight = network.projector.weight
        pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"])).to(self.weight.device)
        self.image = pixels.permute(2, 0, 1)[None]
        self.size = (frame.shape[0], frame.shape[1])
        self._encoded: dict[tuple[Window, int], tuple[list[Tensor], tuple[int, int]]] = {}

    @torch.inference_mode()
    def logits(self, prompts: Sequence[Prompt]) -> Tensor:
        """Logits N×H×W of the objects, each against all else; raises `InputError` for a prompt outside the frame."""
        for prompt in prompts:
            prompt.check_inside(self.size)
        competitors = [[other for other in prompts if other is not prompt] for prompt in prompts]
        logits = torch.stack([self._segment_coarse(*each) for each in zip(prompts, competitors, strict=True)])
        masks = keep_strongest(logits).cpu().numpy()
        for index, (prompt, others) in enumerate(zip(prompts, competitors, strict=True)):
            logits[index] = self._look_closer(prompt, others, masks[index])
        for object_logits, prompt in zip(logits, prompts, strict=True):
            drop_far_parts(object_logits, prompt, self.settings.max_part_distance)
        return logits

    def _segment_coarse(self, prompt: Prompt, others: Sequence[Prompt]) -> Tensor:
        """Return the logits H×W of one object from a window around its box; without a box, from the whole frame."""
        window, edge = (0, 0, self.size[1], self.size[0]), self.settings.frame_edge
        if prompt.box is not None:
            window, edge = find_window(prompt, self.size, self.settings.box_margin), self.settings.box_edge
        logits, _ = self._segment_window(window, edge, prompt, others)
        return self._place(logits, window, prompt)

    def _look_closer(self, prompt: Prompt, others: Sequence[Prompt], rough_mask: np.ndarray) -> Tensor:
        """Return the logits H×W of one object from a window around its rough mask, with outlines on edges."""
        window = find_window(prompt, self.size, self.settings.margin, rough_mask)
        logits, size = self._segment_window(
            window, self.settings.window_edge, replace(prompt, mask=rough_mask), others
        )
        left, top, right, bottom = window
        image = self.image[0, :, top:bottom, left:right]
        logits = follow_edges(logits, image, (size[0] // 2, size[1] // 2), self.settings.edge_radius)
        return self._place(logits, window, prompt)

    def _place(self, logits: Tensor, window: Window, prompt: Prompt) -> Tensor:
        """Return logits of a window as H×W, without the prompt's excluded pixels."""
        left, top, right, bottom = window
        placed = logits.new_full(self.size, ABSENT_LOGIT)
        placed[top:bottom, left:right] = logits
        if prompt.exclude is not None:
            placed[torch.from_numpy(prompt.exclude).to(placed.device)] = ABSENT_LOGIT
        return placed

    def _segment_window(
        self, window: Window, edge: int, prompt: Prompt, others: Sequence[Prompt]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return an object's logits h×w in a window at the frame's resolution, and the network's (height, width)."""
        features, size = self._encode(window, edge)
        planes = draw_prompt_planes(prompt, others, window, size)
        logits = self.network(features, planes[None].to(self.weight))
        left, top, right, bottom = window
        inside = (bottom - top, right - left)
        logits = F.interpolate(logits.float(), inside, mode="bilinear", align_corners=self.align_corners)
        return logits[0, 0], size

    def _encode(self, window: Window, edge: int) -> tuple[list[Tensor], tuple[int, int]]:
        """Features of a window whose longer edge becomes ``edge``, and its (height, width); the last few are kept."""
        if (window, edge) not in self._encoded:
            left, top, right, bottom = window
            size = window_input_size((bottom - top, right - left), edge, align_corners=self.align_corners)
            part = self.image[:, :, top:bottom, left:right].float()
            part = F.interpolate(part, size, mode="bilinear", antialias=True) / 255
            if len(self._encoded) >= 8:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[window, edge] = self.network.encode(normalise(part).to(self.weight)), size
        return self._encoded[window, edge]


def window_input_size(size: tuple[int, int], edge: int, *, align_corners: bool) -> tuple[int, int]:
    """Return the network's input (height, width) for a window of a size whose longer edge becomes ``edge``."""
    extra, scale = int(align_corners), edge / max(size)
    height, width = (max(2, round((side * scale - extra) / STRIDE)) * STRIDE + extra for side in size)
    return height, width


def keep_strongest(logits: Tensor) -> Tensor:
    """Probabilities N×H×W of objects from logits N×H×W, 0 where another object has a higher logit above 0."""
    strongest = logits.max(0, keepdim=True).values
    return logits.sigmoid().masked_fill((logits < strongest) & (strongest > 0), 0)


def add_background(logits: Tensor) -> Tensor:
    """Logits (1+N)×H×W with background first, of objects N×H×W that were each decided against all else."""
    background = -logits.max(0, keepdim=True).values
    return torch.cat([background, logits])


def check_prompts(prompts: Mapping[int, Prompt]) -> None:
    """Raise `InputError` unless these are prompts by object id."""
    if not isinstance(prompts, Mapping) or not all(isinstance(prompt, Prompt) for prompt in prompts.values()):
        raise InputError(
            f"prompts: a {type(prompts).__name__}; give a dict of prompts by object id, {{1: Prompt(...)}}"
        )
    if not prompts or not all(isinstance(number, Integral) and number > 0 for number in prompts):
        raise InputError(f"prompts: objects {list(prompts)}; give at least one, with ids from 1")


def merge_mask_and_prompts(
    segment: Callable[[np.ndarray, Mapping[int, Prompt]], Prediction],
    frame: np.ndarray,
    mask: MaskLike | None,
    prompts: Mapping[int, Prompt] | None,
    *,
    required: bool,
) -> np.ndarray | None:
    """Return the object ids H×W that a mask and prompts give; None without objects.

    Pixels that the mask gives to objects without a prompt stay theirs; of prompted objects the mask is ignored.

    Args:
        segment: `Tracker.prompt`.
        required: refuse a mask without objects if there are no prompts.

    Raises:
        InputError: no such mask, or a prompted object has no pixel.
    """
    ids = None if mask is None else convert_mask(mask, frame, required=required and not prompts)
    if not prompts:
        return ids
    check_prompts(prompts)
    if ids is not None:
        drawn = (ids > 0) & ~np.isin(ids, list(prompts))
        prompts = {
            number: replace(prompt, exclude=drawn if prompt.exclude is None else drawn | prompt.exclude)
            for number, prompt in prompts.items()
        }
    labels = segment(frame, prompts).labels
    if ids is not None:
        labels = np.where(drawn, ids, labels)
    for number in prompts:
        if not (labels == number).any():
            raise InputError(f"object {number}: no pixel found there; give another box or point")
    return labels


def draw_prompt_planes(
    prompt: Prompt, others: Iterable[Prompt], window: Window, size: tuple[int, int]
) -> Tensor:
    """Draw a prompt's planes for a window that the network sees at ``size`` (height, width).

    Clicks on other objects are clicks beside this one.

    Returns:
        4×height×width in 0 to 1, in the order of `aotlab.networks.prompts.PLANES`.
    """
    left, top, right, bottom = window
    scale = np.array([size[1] / (right - left), size[0] / (bottom - top)])

    def place(points: Sequence[Point]) -> np.ndarray:
        return (np.asarray(points, float).reshape(-1, 2) - (left, top) + 0.5) * scale - 0.5

    planes = torch.zeros(4, *size)
    _draw_discs(planes[0], place(prompt.positive), CLICK_RADIUS)
    _draw_discs(planes[0], _resample_line(place(prompt.scribble)), STROKE_RADIUS)
    beside = [
        *prompt.negative,
        *(point for other in others for point in (*other.positive, *other.scribble[::8])),
    ]
    _draw_discs(planes[1], place(beside), CLICK_RADIUS)
    if prompt.box is not None:
        x, y, width, height = prompt.box
        edges = (np.array([x, y, x + width, y + height]) - (left, top, left, top)) * np.tile(scale, 2)
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in edges)
        planes[2, y0 : max(1, y1), x0 : max(1, x1)] = 1
    if prompt.mask is not None:
        part = torch.from_numpy(np.asarray(prompt.mask[top:bottom, left:right], np.float32))
        planes[3] = F.interpolate(part[None, None], size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    return planes


def find_window(
    prompt: Prompt, size: tuple[int, int], margin: float, rough_mask: np.ndarray | None = None
) -> Window:
    """The window around a prompt and its rough mask, H×W in 0 to 1, with a margin; square where the frame allows."""
    height, width = size
    corners = [*prompt.positive, *prompt.scribble]
    if prompt.box is not None:
        x, y, across, down = prompt.box
        corners += [(x, y), (x + across, y + down)]
    elif rough_mask is not None:
        rows, columns = np.nonzero(rough_mask > 0.5)
        if len(rows):
            corners += [(columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)]
    if not corners:
        return 0, 0, width, height
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    side = max(MIN_WINDOW, (1 + 2 * margin) * float((high - low).max()))
    starts, ends = [], []
    for centre, length in zip((low + high) / 2, (width, height), strict=True):
        start = round(float(np.clip(centre - side / 2, 0, max(0.0, length - side))))
        starts.append(start)
        ends.append(min(length, start + round(side)))
    return starts[0], starts[1], ends[0], ends[1]


def drop_far_parts(logits: Tensor, prompt: Prompt, max_distance: float) -> None:
    """Rule out, in place, connected parts of logits H×W that are far from any prompt, and pixels beside a box."""
    mask = (logits > 0).cpu().numpy()
    distant = mask & ~find_prompted_parts(mask, prompt, max_distance=max_distance)
    if prompt.box is not None and prompt.mask is None:
        x, y, across, down = prompt.box
        corners = [
            (x - BOX_MARGIN * across, y - BOX_MARGIN * down),
            (x + (1 + BOX_MARGIN) * across, y + (1 + BOX_MARGIN) * down),
        ]
        points = [*corners, *prompt.positive, *prompt.scribble]
        low, high = np.min(points, axis=0), np.max(points, axis=0)
        rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
        distant |= mask & ~((rows >= low[1]) & (rows <= high[1]) & (columns >= low[0]) & (columns <= high[0]))
    if distant.any():
        logits[torch.from_numpy(distant).to(logits.device)] = ABSENT_LOGIT


def find_prompted_parts(mask: np.ndarray, prompt: Prompt, *, max_distance: float) -> np.ndarray:
    """Return the connected parts of a mask H×W bool that hold a prompt, or are near one that does.

    With a box that is the whole mask. Without a part that holds a prompt the largest one counts. ``max_distance`` is a
    share of the root of the prompted parts' area.
    """
    import cv2

    if prompt.box is not None:
        return mask
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    prompted = {_find_part(parts, point) for point in (*prompt.positive, *prompt.scribble)} - {0}
    areas = np.bincount(parts.ravel(), minlength=count)
    if not prompted:
        prompted = {1 + int(np.argmax(areas[1:]))}
    prompted_mask = np.isin(parts, list(prompted))
    distance: Any = cv2.distanceTransform((~prompted_mask).astype(np.uint8), cv2.DIST_L2, 3)
    limit = max_distance * float(np.sqrt(prompted_mask.sum()))
    nearby = np.unique(parts[mask & (distance <= limit)])
    return np.isin(parts, nearby[nearby > 0])


def _find_part(parts: np.ndarray, point: Point) -> int:
    height, width = parts.shape
    column, row = (
        int(np.clip(round(value), 0, last - 1)) for value, last in zip(point, (width, height), strict=True)
    )
    return int(parts[row, column])


def _draw_discs(plane: Tensor, centres: np.ndarray, radius: float) -> None:
    """Set a plane h×w to 1 within ``radius`` of the centres (x, y)."""
    height, width = plane.shape
    for x, y in centres:
        top, bottom = max(0, int(y - radius)), min(height, int(y + radius) + 2)
        left, right = max(0, int(x - radius)), min(width, int(x + radius) + 2)
        if top >= bottom or left >= right:
            continue
        rows, columns = torch.arange(top, bottom)[:, None], torch.arange(left, right)
        plane[top:bottom, left:right][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1


def _resample_line(points: np.ndarray) -> np.ndarray:
    """Points along a polyline at most 2 apart."""
    if len(points) < 2:
        return points
    pieces = [points[-1:]]
    for start, end in pairwise(points):
        steps = max(1, int(np.ceil(np.linalg.norm(end - start) / 2)))
        pieces.append(start + (end - start) * np.linspace(0, 1, steps, endpoint=False)[:, None])
    return np.concatenate(pieces)


class NetworkSegmenter:
    """The model's own segmenter; objects that are given together exclude each other. Thread-safe.

    Args:
        model: holds a prompt network.
        precision: as `aotlab.configs.schema.ComputeConfig.precision`.
    """

    def __init__(self, model: VOSModel, precision: str = "float32") -> None:
        self._model = optimize(model, precision=precision)
        self._lock = threading.Lock()
        self._cached: tuple[np.ndarray, PromptedFrame] | None = None

    def __call__(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects; see `Segmenter`. The encoding of the last frame is kept.

        Raises:
            InputError: the model takes no prompts, or a prompt lies outside the frame.
        """
        with self._lock:
            if self._cached is None or not np.array_equal(self._cached[0], frame):
                self._cached = frame.copy(), PromptedFrame(self._model, frame)
            logits = self._cached[1].logits(list(prompts.values()))
        channels = add_background(logits).max(0).indices.cpu().numpy()
        return np.array([0, *prompts], np.uint16)[channels]
