"""LabelMe's JSON, a file a picture: https://github.com/wkentaro/labelme."""

from __future__ import annotations

import base64
from collections.abc import Hashable, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from aotlab.masks.exchange.objects import Found, Target, annotate, numbers_of, stem_of
from aotlab.masks.exchange.regions import Annotations, Size, require_size, runs_of, runs_of_polygons
from aotlab.masks.exchange.safe_files import points_of, records
from aotlab.utils.errors import InputError
from aotlab.utils.image_files import reason_of


def is_labelme(tree: Any) -> bool:
    """Whether JSON is a file of LabelMe."""
    return isinstance(tree, dict) and isinstance(tree.get("shapes"), list) and "imageHeight" in tree


def read_labelme(tree: Any, target: Target, name: str) -> Annotations:
    """Objects of one picture; shapes with the same label and group are one object.

    Raises:
        InputError: another size, a shape that cannot be drawn, or none that says which pixels are an object's.
    """
    return join_labelme([tree], target, name)


def join_labelme(trees: Sequence[Any], target: Target, name: str) -> Annotations:
    """Objects of several pictures of one video; errors as `read_labelme`."""
    names = [str(tree.get("imagePath", "")) for tree in trees]
    frames = numbers_of(names)
    found = [
        one for tree, frame in zip(trees, frames, strict=True) for one in _shapes(tree, frame, target, name)
    ]
    if not found:
        raise InputError(f"{name}: holds no polygon or mask; draw the objects as one of these")
    annotations = annotate(found, target.size, name)
    annotations.stems = {frame: stem_of(file) for frame, file in zip(frames, names, strict=True)}
    return annotations


def _shapes(tree: Any, frame: int, target: Target, name: str) -> Iterator[Found]:
    size = require_size(tree.get("imageHeight"), tree.get("imageWidth"), name)
    target.require_same(size, name)
    for shape in records(tree, "shapes", name):
        label, group = str(shape.get("label", "")), shape.get("group_id")
        key: Hashable = None if group is None else (label, str(group))
        kind, points = shape.get("shape_type", "polygon"), points_of(shape.get("points"), name)
        if kind == "polygon":
            yield Found(
                frame, runs_of_polygons([[v for point in points for v in point]], size, name), label, key
            )
        elif kind == "mask":
            yield Found(frame, _mask(shape.get("mask"), points, size, name), label, key)


def _mask(text: Any, points: list[tuple[float, float]], size: Size, name: str) -> np.ndarray:
    """A picture of the box between two points, as base64 text."""
    try:
        left, top = (int(value) for value in points[0])
        with Image.open(BytesIO(base64.b64decode(text, validate=True))) as image:
            width, height = image.size
            if not (0 <= left <= left + width <= size[1] and 0 <= top <= top + height <= size[0]):
                raise InputError(
                    f"{name}: a mask of {width}×{height} does not lie in its picture; save it again"
                )
            inside = np.array(image.convert("L")) > 0
    except InputError:
        raise
    except Exception as error:  # decoders raise all kinds of errors
        raise InputError(f"{name}: a mask that cannot be read ({reason_of(error)}); save it again") from error
    whole_picture = np.zeros(size, dtype=bool)
    whole_picture[top : top + height, left : left + width] = inside
    return runs_of(whole_picture)
