"""Syntax of prompts on the command line: ``[FRAME][:ID]=X,Y``, boxes and points."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from aotlab.media.masks import MAX_ID
from aotlab.media.prompt import FRACTIONS, Prompt, are_fractions, corners_to_box
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors
from aotlab_video.masks.value_syntax import parse_frame_object

_NUMBER = r"(-?\d{1,9}(?:\.\d+)?(?:e-\d+)?)"
POINT = re.compile(f"{_NUMBER},{_NUMBER}", re.ASCII)
BOX = re.compile(f"{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}|{_NUMBER}:{_NUMBER}-{_NUMBER}:{_NUMBER}", re.ASCII)
"""Left, top, width and height, or two opposite corners."""


class FramePrompt(NamedTuple):
    """Box or point of one object on one frame."""

    frame: int | str | None
    """Number or time code of the frame; None: the first one."""
    object_id: int
    values: tuple[float, ...]
    """X and y, or left, top, width and height, in pixels."""


def parse_frame_prompts(kind: str, value: Any) -> tuple[FramePrompt, ...]:
    """Return the prompts of one or several texts like ``X,Y`` or ``40:2=X,Y``, or numbers for object 1.

    ``kind``: box, point or negative-point.
    """
    is_single = isinstance(value, str | FramePrompt) or not np.iterable(value)
    values: list[Any] = [value] if is_single else list(value)
    values = [item.tolist() if hasattr(item, "tolist") else item for item in values]  # of tensors and arrays
    if values and isinstance(values[0], Real):  # numbers of one prompt
        values = [values]
    return tuple(_parse_prompt(kind, item) for item in values)


def group_prompts(
    boxes: Sequence[str | FramePrompt],
    points: Sequence[str | FramePrompt],
    negative_points: Sequence[str | FramePrompt] = (),
    *,
    find_index: Callable[[int | str | None], int],
    frame_number: Callable[[int], int] = int,
) -> dict[int, dict[int, Prompt]]:
    """Return prompts, or their texts as in `parse_frame_prompts`, by frame index and object id.

    Args:
        boxes: boxes around objects.
        points: points on objects.
        negative_points: points off objects.
        find_index: function from a number or time code, None: the first frame, to the index of the frame.
        frame_number: function from the index of a frame to the number that users give it.

    Raises:
        InputError: two boxes of one object, or a prompt that `Prompt` refuses.
    """
    options: dict[tuple[int, int], dict[str, Any]] = {}
    for kind, prompts in (("box", boxes), ("point", points), ("negative-point", negative_points)):
        for frame, object_id, values in parse_frame_prompts(kind, prompts):
            index = find_index(frame)
            arguments = options.setdefault((index, object_id), {"points": [], "labels": []})
            if kind != "box":
                arguments["points"].append(values)
                arguments["labels"].append(int(kind == "point"))
            elif arguments.setdefault("box", values) is not values:
                raise InputError(
                    f"object {object_id} has a box on frame {frame_number(index)} already",
                    subject=f"box {','.join(f'{value:g}' for value in values)}",
                    remedy="give another object its id, as in :2=X,Y,W,H",
                )
    grouped: dict[int, dict[int, Prompt]] = {}
    for (index, object_id), arguments in sorted(options.items()):
        with prefix_errors(f"object {object_id} on frame {frame_number(index)}"):
            grouped.setdefault(index, {})[object_id] = Prompt(**arguments)
    return grouped


def _parse_prompt(kind: str, value: Any) -> FramePrompt:
    """Return a box or point from text or numbers; raise `InputError` for others and for fractions of the image."""
    if isinstance(value, FramePrompt):
        return value
    text = ",".join(map(str, value)) if np.iterable(value) and not isinstance(value, str) else str(value)
    frame, object_id, numbers = parse_frame_object("".join(text.split()))
    object_id = 1 if object_id is None else object_id
    match = (BOX if kind == "box" else POINT).fullmatch(numbers)
    if match is None or not 0 < object_id <= MAX_ID:
        syntax, example = ("X,Y,W,H or X1:Y1-X2:Y2", "10,20,200,100") if kind == "box" else ("X,Y", "60,80")
        raise InputError(
            f"expected [FRAME][:ID]= with an id from 1 to {MAX_ID} and {syntax}, "
            f"for example {example} or 40:2={example}",
            subject=f"{kind} {text:.80}",
        )
    values = tuple(float(value) for value in match.groups() if value is not None)
    require(not are_fractions(values), FRACTIONS.format(f"{kind} {text}"))
    if ":" in numbers:
        values = corners_to_box(values)
    return FramePrompt(frame, object_id, values)
