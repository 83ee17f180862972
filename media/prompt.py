"""Prompts (clicks, a box, a scribble, a rough mask) of one object: as text, and simulated from a true mask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aotlab.media.masks import VOID
from aotlab.utils.errors import InputError

Point = tuple[float, float]
"""x and y in pixels"""
Box = tuple[float, float, float, float]
"""left, top, width and height in pixels"""

_OWNER, _NUMBER = r"(?:(?P<frame>\d{1,9})/)?(?P<object>\d{1,5}):", r"(-?\d{1,9}(?:\.\d+)?)"
POINT = re.compile(f"{_OWNER}{_NUMBER},{_NUMBER}", re.ASCII)
BOX = re.compile(f"{_OWNER}{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}", re.ASCII)
CORNERS = re.compile(f"{_OWNER}{_NUMBER}:{_NUMBER}-{_NUMBER}:{_NUMBER}", re.ASCII)


@dataclass(frozen=True)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: Sequence[Point] = ()
    """clicks (x, y)"""
    labels: Sequence[int] | None = None
    """1 for a click on the object, 0 beside it; None: all on it"""
    box: Box | None = None
    """box around the object: left, top, width, height"""
    scribble: Sequence[Point] = ()
    """points (x, y) of a stroke on the object"""
    mask: np.ndarray | None = field(default=None, compare=False)
    """rough mask or earlier answer to correct, H×W bool or probabilities in 0 to 1"""

    def __post_init__(self) -> None:
        labels = self.labels
        if labels is not None and (len(labels) != len(self.points) or not set(labels) <= {0, 1}):
            raise InputError(
                f"prompt: expected a label of 0 or 1 for each of {len(self.points)} points, got {labels}"
            )
        points = [*self.points, *self.scribble]
        if any(len(point) != 2 or not np.isfinite(point).all() for point in points):
            raise InputError("prompt: points must be pairs (x, y) of finite numbers in pixels")
        if self.box is not None:
            numbers = len(self.box) == 4 and bool(np.isfinite(self.box).all())
            if not numbers or self.box[2] < 2 or self.box[3] < 2:
                raise InputError(
                    f"box {self.box}: expected left, top, width and height, at least 2 pixels each"
                )
        if self.mask is not None and self.mask.ndim != 2:
            raise InputError(f"prompt: expected a mask H×W, got shape {self.mask.shape}")
        if not (self.positive or self.scribble or self.box is not None or self.mask is not None):
            raise InputError("prompt: give a box, a mask, or a point on the object")

    @property
    def positive(self) -> list[Point]:
        """Clicks on the object."""
        return self._clicks(1)

    @property
    def negative(self) -> list[Point]:
        """Clicks beside the object."""
        return self._clicks(0)

    def _clicks(self, label: int) -> list[Point]:
        labels = [1] * len(self.points) if self.labels is None else self.labels
        return [point for point, value in zip(self.points, labels, strict=True) if value == label]

    def check_inside(self, size: tuple[int, int]) -> None:
        """Raise InputError for points, a box or a mask that do not fit a frame of (height, width) pixels."""
        height, width = size
        for x, y in (*self.points, *self.scribble):
            if not (-1 <= x <= width and -1 <= y <= height):
                raise InputError(f"point {x:g},{y:g}: outside the image of {width}×{height}")
        if self.box is not None:
            left, top, across, down = self.box
            if min(left + across, width) - max(left, 0) < 2 or min(top + down, height) - max(top, 0) < 2:
                raise InputError(
                    f"box {left:g},{top:g},{across:g},{down:g}: outside the image of {width}×{height}"
                )
        if self.mask is not None and self.mask.shape != size:
            raise InputError(f"prompt: mask of shape {self.mask.shape} does not match the frame's {size}")


def parse_prompts(
    boxes: Sequence[str], points: Sequence[str], negative_points: Sequence[str] = (), *, first: int = 0
) -> dict[int, dict[int, Prompt]]:
    """Parse prompts like ``1:X,Y,W,H``, ``1:X1:Y1-X2:Y2`` and ``40/2:X,Y``; return them by frame and object id.

    Args:
        boxes: at most one box for each object and frame.
        points: points on an object.
        negative_points: points that are not on an object.
        first: frame of prompts without one.

    Raises:
        InputError: a text of another form, two boxes for one object, or an object with nothing but negative points.
    """
    parsed: dict[tuple[int, int], dict[str, list[tuple[float, ...]]]] = {}
    for kind, texts in (("box", boxes), ("point", points), ("not_point", negative_points)):
        for text in texts:
            frame, object_id, values = _parse_numbers(kind, text, first)
            lists = parsed.setdefault((frame, object_id), {"box": [], "point": [], "not_point": []})
            if kind == "box" and lists["box"]:
                raise InputError(
                    f"box {text}: object {object_id} has a box on frame {frame} already; give one"
                )
            lists[kind].append(values)
    prompts: dict[int, dict[int, Prompt]] = {}
    for (frame, object_id), lists in sorted(parsed.items()):
        if not lists["box"] and not lists["point"]:
            raise InputError(
                f"not_point: object {object_id} has no box or point on frame {frame}; give one too"
            )
        clicks = [(x, y) for x, y in lists["point"] + lists["not_point"]]
        labels = [1] * len(lists["point"]) + [0] * len(lists["not_point"])
        box = next(((x, y, width, height) for x, y, width, height in lists["box"]), None)
        prompts.setdefault(frame, {})[object_id] = Prompt(clicks, labels, box)
    return prompts


def depths(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to the nearest pixel outside a mask H×W bool; the border is outside."""
    import cv2

    padded = np.pad(mask.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1])


def worst_error(answer: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the depths H×W of what is missing (1) or surplus (0), whichever is deeper, and which it is."""
    missing, surplus = depths((truth == 1) & ~answer), depths((truth == 0) & answer)
    return (missing, 1) if missing.max() >= surplus.max() else (surplus, 0)


def next_click(answer: np.ndarray, truth: np.ndarray) -> tuple[Point, int] | None:
    """Return the next click of a person, in the middle of the largest error.

    The largest error is the missing or surplus region with the deepest pixel (Xu et al., Deep Interactive Object
    Selection, 2016; Sofiiuk et al., RITM, 2021).

    Args:
        answer: H×W bool, all False before the first click.
        truth: H×W, 1 on the object, 0 beside it, 255 for ignored pixels.

    Returns:
        (x, y) and 1 on the object or 0 beside it; None if nothing is wrong.
    """
    depth, label = worst_error(answer, truth)
    if depth.max() <= 0:
        return None
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return (float(column), float(row)), label


def box_around(mask: np.ndarray) -> Box:
    """Return the box around a mask H×W bool that is not empty, at least 2 pixels wide and high."""
    import cv2

    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return float(left), float(top), float(max(2, width)), float(max(2, height))


def jaccard(answer: np.ndarray, truth: np.ndarray) -> float:
    """Return the IoU of an answer H×W bool and a truth H×W of 0, 1 and 255; 1 if both are empty."""
    counted, target = truth != VOID, truth == 1
    union = ((answer | target) & counted).sum()
    return float((answer & target).sum() / union) if union else 1.0


def _parse_numbers(kind: str, text: str, first: int) -> tuple[int, int, tuple[float, ...]]:
    """Return frame, object id, and x, y or x, y, width, height."""
    corners = CORNERS.fullmatch(text) if kind == "box" else None
    match = corners or (BOX if kind == "box" else POINT).fullmatch(text)
    if match is None or not 0 < int(match["object"]) < 65536:
        form = "X,Y,W,H or [FRAME/]ID:X1:Y1-X2:Y2" if kind == "box" else "X,Y"
        example = "1:10,20,200,100" if kind == "box" else "1:60,80"
        raise InputError(
            f"{kind} {text}: expected [FRAME/]ID:{form} with an id from 1, for example {example}"
        )
    values = tuple(map(float, match.groups()[2:]))
    if corners:
        left, top, right, bottom = values
        values = (left, top, right - left, bottom - top)
    return int(match["frame"] or first), int(match["object"]), values
