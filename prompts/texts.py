"""First masks without a browser: boxes and points of the command line become masks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aotlab.annotation.frames import FrameStore
from aotlab.masks.painting import Point
from aotlab.prompts.grabcut import Hints, segment
from aotlab.utils.errors import InputError

HINT = re.compile(r"(?:(\d{1,9})/)?(\d{1,5}):(-?\d{1,9}(?:\.\d+)?(?:,-?\d{1,9}(?:\.\d+)?)+)", re.ASCII)
"""[FRAME/]ID:X,Y,…"""

Drafts = dict[int, dict[int, tuple[list[tuple[float, ...]], list[Point], list[Point]]]]


def read_hints(
    boxes: Sequence[str], points: Sequence[str], beside: Sequence[str] = ()
) -> dict[int, dict[int, Hints]]:
    """Hints by frame and object of texts like ``1:X,Y,W,H`` and ``40/2:X,Y``.

    Args:
        boxes: one box each.
        points: a point on the object each.
        beside: a point that is not on it each.

    Raises:
        InputError: a text that is none, two boxes for one object, or points beside an object without a hint on it.
    """
    drafts: Drafts = {}
    for name, texts, kind, count in (
        ("box", boxes, 0, 4),
        ("point", points, 1, 2),
        ("not_point", beside, 2, 2),
    ):
        for text in texts:
            frame, number, values = _split(name, text, count)
            draft = drafts.setdefault(frame, {}).setdefault(number, ([], [], []))
            if kind == 0 and draft[0]:
                raise InputError(
                    f"{name} {text}: object {number} has a box on frame {frame} already; give one"
                )
            draft[kind].append(values)  # type: ignore[arg-type]
    return {
        frame: {number: _hints(frame, number, *draft) for number, draft in sorted(drafts[frame].items())}
        for frame in sorted(drafts)
    }


def make_masks(
    video: Path,
    hints: dict[int, dict[int, Hints]],
    segment: Callable[[np.ndarray, Hints], np.ndarray] = segment,
) -> dict[int, np.ndarray]:
    """The masks that hints mean: H×W uint16 ids by frame; where two objects meet, the later id wins.

    Raises:
        InputError: the video cannot be opened, has no such frame, or nothing is found for an object.
    """
    if not video.exists() or not (video.is_dir() or video.is_file()):
        raise InputError(f"box, point: need a video file or a folder of frames, {video} is none")
    frames = FrameStore(video)
    masks = {}
    for index, objects in hints.items():
        masks[index] = masks_of_frame(frames.read(index), objects, segment)
    return masks


def masks_of_frame(
    frame: np.ndarray, hints: dict[int, Hints], segment: Callable[[np.ndarray, Hints], np.ndarray] = segment
) -> np.ndarray:
    """The masks that the hints for the objects of one frame (H×W×3 uint8 RGB) mean: H×W uint16 ids.

    Raises:
        InputError: hints outside the picture, or nothing is found for an object.
    """
    size = (frame.shape[0], frame.shape[1])
    labels = np.zeros(size, np.uint16)
    for number, given in hints.items():
        found = segment(frame, _near(given, size))
        if not found.any():
            raise InputError(f"object {number}: nothing is found there; give another box or point")
        labels[found] = number
    return labels


def _split(name: str, text: str, count: int) -> tuple[int, int, tuple[float, ...]]:
    match = HINT.fullmatch(text)
    values = tuple(float(value) for value in match[3].split(",")) if match else ()
    if match is None or len(values) != count or not 0 < int(match[2]) < 65536:
        form = "[FRAME/]ID:X,Y,W,H" if count == 4 else "[FRAME/]ID:X,Y"
        example = "1:10,20,200,100" if count == 4 else "1:60,80"
        raise InputError(f"{name} {text}: expected {form} with an id from 1, for example {example}")
    return int(match[1] or 0), int(match[2]), values


def _hints(
    frame: int, number: int, boxes: list[tuple[float, ...]], points: list[Point], beside: list[Point]
) -> Hints:
    if not boxes and not points:
        raise InputError(f"not_point: object {number} has no box or point on frame {frame}; give one too")
    x, y, width, height = boxes[0] if boxes else (0.0, 0.0, 0.0, 0.0)
    return Hints((x, y, width, height) if boxes else None, points, beside)


def _near(hints: Hints, size: tuple[int, int]) -> Hints:
    """The hints, with a box cut to the picture."""
    if hints.box is None:
        return hints
    x, y, width, height = hints.box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(size[1]), x + width), min(float(size[0]), y + height)
    if right - left < 2 or bottom - top < 2:
        raise InputError(
            f"box {x:g},{y:g},{width:g},{height:g}: lies outside the picture of {size[1]}×{size[0]}"
        )
    return replace(hints, box=(left, top, right - left, bottom - top))
