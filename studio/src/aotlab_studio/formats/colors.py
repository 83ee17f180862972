"""Colored masks with a legend beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from aotlab import InputError, internal, sdk
from aotlab_studio.formats import Size, read_class_names

LEGENDS = ("legend.json", "labelmap.txt")
"""File names of a legend: JSON of colors (#rrggbb or r,g,b) to class names or object ids, or CVAT's label map."""
CLASS_MASKS = "SegmentationClass"
"""Folder of colored masks in exports of CVAT, beside the label map."""
MAX_ID = 65535

Color = tuple[int, int, int]
Legend = dict[Color, tuple[int, str]]
"""Object id and class name of each color. The background has id 0, and is black by default."""


def read_colors(path: Path, size: Size, page: int | None = None) -> np.ndarray | None:
    """Return a page of an image in color as H×W×3 uint8; None for any other file. A damaged image raises any error."""
    try:
        opened = sdk.decode_image(path)
    except Exception:  # decoders raise all kinds of errors
        return None
    with opened as image:
        if image.mode not in ("RGB", "RGBA"):
            return None
        image.seek(page or 0)
        sdk.require_size(image.height, image.width, size)  # before it is decoded
        return np.array(image.convert("RGB"))


def parse_colors(
    names: Iterable[tuple[tuple[Path, int | None], sdk.ParsedRegion]], legend: Legend, size: Size
) -> list[sdk.ParsedRegion]:
    """Return the objects of colored masks, given by file and page with the frames that they belong to."""
    regions = list[sdk.ParsedRegion]()
    for (path, page), frame in names:
        with sdk.reading(path, "save it as RGB", *sdk.DECODER_ERRORS):
            if (image := read_colors(path, size, page)) is None:
                raise ValueError("not in colors")
            codes = image.astype(np.uint32) @ (1 << 16, 1 << 8, 1)
            found = []
            for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
                color = (int(code) >> 16, int(code) >> 8 & 255, int(code) & 255)
                if color not in legend:
                    raise InputError(
                        f"{count} pixels have the color {','.join(map(str, color))}, which the legend lacks; "
                        "add it, or save the mask without smoothing and JPEG compression"
                    )
                object_id, class_name = legend[color]
                if object_id:
                    rle = sdk.encode_rle(codes == code)
                    found.append(replace(frame, rle=rle, class_name=class_name, key=object_id))
        regions += found or [frame]
    return regions


def find_legend(folder: Path) -> Path | None:
    """Return the legend of the masks in a folder, for `CLASS_MASKS` also one beside it; None without one."""
    places = [folder, folder.parent] if folder.name == CLASS_MASKS else [folder]
    return next((place / name for place in places for name in LEGENDS if (place / name).is_file()), None)


def read_legend(path: Path) -> Legend:
    """Return a legend; raise `InputError` for a damaged one."""
    with sdk.reading(path, "expected colors and class names", *sdk.MALFORMED):
        return parse_legend(path)


def parse_legend(path: Path) -> Legend:
    """Return a legend; raise any error for a damaged one, or a color that occurs twice.

    In CVAT's label map, either all labels have a color, or none: these have the colors of PASCAL VOC in order.
    """
    if path.suffix == ".json":
        entries = [(parse_color(color), value) for color, value in internal.read_json(path).items()]
    else:  # lines label:r,g,b:parts:actions; # begins a comment
        lines = read_class_names(path).splitlines()
        rows = [line.split(":") for line in lines if line.strip() and not line.startswith("#")]
        colors = [(red, green, blue) for red, green, blue in internal.PALETTE[: len(rows)].tolist()]
        if any(row[1] for row in rows):
            colors = [parse_color(row[1]) for row in rows]
        entries = [*zip(colors, (row[0] for row in rows), strict=True)]
    if len(entries) > len(dict(entries)):
        raise ValueError("a color occurs twice")
    used_ids = {value for _, value in entries if isinstance(value, int)}
    free = (object_id for object_id in range(1, MAX_ID + 1) if object_id not in used_ids)
    legend: Legend = {(0, 0, 0): (0, "")}
    for color, value in entries:
        if type(value) is int and 0 <= value <= MAX_ID:
            legend[color] = value, ""
        elif not isinstance(value, str):
            raise ValueError(f"{str(value)[:40]!r} is neither a class name nor an object id")
        elif value.lower() == "background":
            legend[color] = 0, ""
        else:
            legend[color] = next(free, 0), value
    return legend


def parse_color(text: str) -> Color:
    """Return red, green and blue of ``#ff0000`` or ``255,0,0``; raise `ValueError` for any other text."""
    digits = re.fullmatch(r"#?([0-9a-fA-F]{6})", text.strip())
    parts = text.split(",")
    values = bytes.fromhex(digits[1]) if digits else [int(part) if part.strip().isdecimal() else -1 for part in parts]
    if len(values) != 3 or not all(0 <= value < 256 for value in values):
        raise ValueError(f"{text[:40]!r} is not a color; write it as #ff0000 or 255,0,0")
    return values[0], values[1], values[2]
