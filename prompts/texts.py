"""Boxes and points of the command line, and the masks they mean."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aotlab.masks.prompt import Prompt
from aotlab.prompts.segmenter import Segmenter
from aotlab.utils.errors import InputError

log = logging.getLogger(__name__)

OWNER = r"(?:(?P<frame>\d{1,9})/)?(?P<object>\d{1,5}):"
NUMBER = r"(-?\d{1,9}(?:\.\d+)?)"
POINT = re.compile(f"{OWNER}{NUMBER},{NUMBER}", re.ASCII)
BOX = re.compile(f"{OWNER}{NUMBER},{NUMBER},{NUMBER},{NUMBER}", re.ASCII)
CORNERS = re.compile(f"{OWNER}{NUMBER}:{NUMBER}-{NUMBER}:{NUMBER}", re.ASCII)
OUTSIDE = 0.1
"""share of a box's width or height outside the image above which it may have been meant as two corners"""


def read_prompts(
    boxes: Sequence[str], points: Sequence[str], beside: Sequence[str] = (), *, first: int = 0
) -> dict[int, dict[int, Prompt]]:
    """Read prompts like ``1:X,Y,W,H``, ``1:X1:Y1-X2:Y2`` and ``40/2:X,Y``; return them by frame and object id.

    Args:
        boxes: at most one box for each object and frame.
        points: points on an object.
        beside: points that are not on an object.
        first: frame of prompts without one.

    Raises:
        InputError: a text of another form, two boxes for one object, or an object with nothing but points beside it.
    """
    found: dict[int, dict[int, dict[str, list[tuple[float, ...]]]]] = {}
    for kind, texts in (("box", boxes), ("point", points), ("not_point", beside)):
        for text in texts:
            frame, number, values = _parse_numbers(kind, text, first)
            given = found.setdefault(frame, {}).setdefault(number, defaultdict(list))
            if kind == "box" and given[kind]:
                raise InputError(f"box {text}: object {number} has a box on frame {frame} already; give one")
            given[kind].append(values)
    return {
        frame: {number: _prompt(frame, number, given) for number, given in sorted(found[frame].items())}
        for frame in sorted(found)
    }


def masks_of_frame(frame: np.ndarray, prompts: Mapping[int, Prompt], segmenter: Segmenter) -> np.ndarray:
    """Segment the objects of one frame; boxes are cropped to the image.

    Args:
        frame: H×W×3 uint8 RGB.
        prompts: by object id.
        segmenter: returns the object ids.

    Returns:
        H×W uint16 object ids.

    Raises:
        InputError: prompts outside the image, or no pixel is found for an object.
    """
    size = frame.shape[:2]
    labels = segmenter(frame, {number: _cropped(given, number, size) for number, given in prompts.items()})
    for number in prompts:
        if not (labels == number).any():
            raise InputError(f"object {number}: no pixel found there; give another box or point")
    return labels


def _parse_numbers(kind: str, text: str, first: int) -> tuple[int, int, tuple[float, ...]]:
    """Frame, object id, and x, y or x, y, width, height."""
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


def _prompt(frame: int, number: int, given: Mapping[str, Sequence[tuple[float, ...]]]) -> Prompt:
    if not given.get("box") and not given.get("point"):
        raise InputError(f"not_point: object {number} has no box or point on frame {frame}; give one too")
    points, beside = ([(x, y) for x, y in given.get(kind, ())] for kind in ("point", "not_point"))
    labels = [1] * len(points) + [0] * len(beside)
    for x, y, width, height in given.get("box", ()):
        return Prompt([*points, *beside], labels, (x, y, width, height))
    return Prompt([*points, *beside], labels)


def _cropped(prompt: Prompt, number: int, size: tuple[int, ...]) -> Prompt:
    """The prompts with their box cropped to the image; warn if much of it lies outside."""
    if prompt.box is None:
        return prompt
    x, y, width, height = prompt.box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(size[1]), x + width), min(float(size[0]), y + height)
    text = f"{x:g},{y:g},{width:g},{height:g}"
    if right - left < 2 or bottom - top < 2:
        raise InputError(f"box {text}: lies outside the image of {size[1]}×{size[0]}; give one inside")
    if right - left < (1 - OUTSIDE) * width or bottom - top < (1 - OUTSIDE) * height:
        log.warning(
            "box %s of object %d: leaves the image (%d×%d); read as X,Y,W,H, its corners are %g,%g and %g,%g; "
            "for the corners %g,%g and %g,%g write %d:%g:%g-%g:%g",
            text, number, size[1], size[0], x, y, x + width, y + height,
            x, y, width, height, number, x, y, width, height,
        )  # fmt: skip
    return replace(prompt, box=(left, top, right - left, bottom - top))
