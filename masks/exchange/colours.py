"""Coloured masks with a legend beside them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from aotlab.masks.exchange.matching import LARGEST_ID
from aotlab.masks.exchange.regions import Found, Size, runs_of
from aotlab.masks.exchange.safe_files import ContentError, about, read_bytes, read_json
from aotlab.media.images import open_image
from aotlab.media.masks import require_mask_size
from aotlab.utils.errors import InputError

LEGENDS = ("legend.json", "labelmap.txt")
"""file names of a legend: JSON of colours (#rrggbb or r,g,b) to class names or object ids, or CVAT's label map"""
BACKGROUND = "background"

Colour = tuple[int, int, int]


def is_coloured(path: Path) -> bool:
    """Return whether an image is in colours, neither palette nor grey."""
    try:
        with open_image(path, "mask", "give a PNG") as image:
            return image.mode in ("RGB", "RGBA")
    except InputError:
        return False


def parse_colours(path: Path, size: Size) -> list[Found]:
    """Return the objects of a coloured mask.

    Raises:
        InputError: no legend, a damaged one, a colour that it lacks, or another size.
    """
    legend = next((path.parent / name for name in LEGENDS if (path.parent / name).is_file()), None)
    if legend is None:
        raise InputError(
            f"{path}: an image of mode RGB, but a mask holds one object id per pixel; put a {LEGENDS[0]} beside it "
            'like {"#ff0000": "person"}, or save it as a palette or grey PNG'
        )
    with about(legend):
        objects, class_names = read_legend(legend)
    with open_image(path, "mask", "give a PNG") as image:
        values = require_mask_size(np.array(image.convert("RGB")), size, path).astype(np.uint32)
    codes = values[..., 0] << 16 | values[..., 1] << 8 | values[..., 2]
    found = []
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        colour = (int(code) >> 16, int(code) >> 8 & 255, int(code) & 255)
        if colour not in objects:
            raise InputError(
                f"{path}: {count} pixels have the colour {','.join(map(str, colour))}, which {legend.name} lacks; "
                "add it, or save the mask without smoothing and JPEG compression"
            )
        if objects[colour]:
            object_id = objects[colour]
            found.append(Found(0, runs_of(codes == code), class_names.get(object_id, ""), object_id))
    return found


def read_legend(path: Path) -> tuple[dict[Colour, int], dict[int, str]]:
    """Return the object id of every colour, 0 for background (black by default), and the class names by object id.

    Raises:
        ContentError: not a legend.
    """
    entries = _json_entries(path) if path.suffix == ".json" else _label_map_entries(path)
    taken = {value for _, value in entries if isinstance(value, int)}
    free = (object_id for object_id in range(1, LARGEST_ID + 1) if object_id not in taken)
    objects: dict[Colour, int] = {(0, 0, 0): 0}
    class_names: dict[int, str] = {}
    for colour, value in entries:
        if isinstance(value, int):
            objects[colour] = value
        elif value.lower() == BACKGROUND:
            objects[colour] = 0
        else:
            object_id = next(free, None)
            if object_id is None:
                raise ContentError(f"names more than {LARGEST_ID} objects; shorten it")
            objects[colour], class_names[object_id] = object_id, value
    return objects, class_names


def _json_entries(path: Path) -> list[tuple[Colour, int | str]]:
    tree = read_json(path)
    if not isinstance(tree, dict):
        raise ContentError('expected colours and class names, like {"#ff0000": "person"}')
    for value in tree.values():
        if not (isinstance(value, str) or (type(value) is int and 0 <= value <= LARGEST_ID)):
            raise ContentError(
                f"{str(value)[:40]!r} is neither a class name nor an object id from 0 to {LARGEST_ID}"
            )
    return [(_colour(text), value) for text, value in tree.items()]


def _label_map_entries(path: Path) -> list[tuple[Colour, int | str]]:
    """Read lines ``label:r,g,b:parts:actions``; # begins a comment."""
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    fields = [line.split(":") for line in lines if line.strip() and not line.startswith("#")]
    if any(len(parts) < 2 for parts in fields):
        raise ContentError("expected lines like person:255,0,0::")
    return [(_colour(parts[1]), parts[0]) for parts in fields]


def _colour(text: str) -> Colour:
    digits = re.fullmatch(r"#?([0-9a-fA-F]{6})", text.strip())
    if digits:
        red, green, blue = bytes.fromhex(digits[1])
        return red, green, blue
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 4 and int(part) < 256 for part in parts):
        raise ContentError(f"{text[:40]!r} is not a colour; write it as #ff0000 or 255,0,0")
    return int(parts[0]), int(parts[1]), int(parts[2])
