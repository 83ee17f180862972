"""Colored masks with the label map of CVAT beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np

import aotlab_video
from aotlab import InputError, sdk
from aotlab.media.images import decode_pixels
from aotlab.media.masks import PALETTE
from aotlab_studio.formats import Size, read_class_names

LABEL_MAP = "labelmap.txt"
"""File name of the label map."""
CLASS_MASKS = "SegmentationClass"
"""Folder of colored masks in exports of CVAT, beside the label map."""

Color = tuple[int, int, int]
LabelMap = dict[Color, tuple[int, str]]
"""Object id and class name of each color. The background has id 0, and is black by default."""


def read_colors(path: Path, size: Size, page: int | None = None) -> np.ndarray | None:
    """Return a page of an image in color as H×W×3 uint8; None for any other file.

    Raises `OSError` or `ValueError` for a damaged image, or one of another size.
    """
    try:
        opened = sdk.decode_image(path)
    except (OSError, ValueError):
        return None
    with opened as image:
        if image.mode not in ("RGB", "RGBA"):
            return None
        aotlab_video.require_size(image.height, image.width, size)  # before it is decoded
        pixels = decode_pixels(image, "RGB", page=page or 0)
        height, width = pixels.shape[:2]  # of another page
        aotlab_video.require_size(height, width, size)
        return pixels


def parse_colors(
    names: Iterable[tuple[tuple[Path, int | None], aotlab_video.ParsedRegion]], label_map: LabelMap, size: Size
) -> list[aotlab_video.ParsedRegion]:
    """Return the objects of colored masks, given by file and page with the frames that they belong to."""
    regions = list[aotlab_video.ParsedRegion]()
    for (path, page), frame in names:
        with sdk.reading(path, "save it as RGB"):
            if (image := read_colors(path, size, page)) is None:
                raise ValueError("not in colors")
            codes = image.astype(np.uint32) @ (1 << 16, 1 << 8, 1)
            found = []
            for code, pixels in zip(*np.unique(codes, return_counts=True), strict=True):
                color = (int(code) >> 16, int(code) >> 8 & 255, int(code) & 255)
                if color not in label_map:
                    raise InputError(
                        f"{pixels} pixels have the color {','.join(map(str, color))}, which the label map lacks; "
                        "add it, or save the mask without smoothing and JPEG compression"
                    )
                object_id, class_name = label_map[color]
                if object_id:
                    rle = sdk.encode_rle(codes == code)
                    found.append(replace(frame, rle=rle, class_name=class_name, key=object_id))
        regions += found or [frame]
    return regions


def find_label_map(folder: Path) -> Path | None:
    """Return the label map of the masks in a folder, for `CLASS_MASKS` also one beside it; None without one."""
    places = [folder, folder.parent] if folder.name == CLASS_MASKS else [folder]
    return next((path for place in places if (path := place / LABEL_MAP).is_file()), None)


def read_label_map(path: Path) -> LabelMap:
    """Return the objects of a label map: lines ``label:r,g,b:parts:actions``, comments begin with #.

    Either all labels have a color, or none: these have the colors of PASCAL VOC in order. Objects count the labels from
    1 without the background. Raises `InputError` for other files, or a color that occurs twice.
    """
    with sdk.reading(path, "expected lines like person:255,0,0::"):
        lines = read_class_names(path).splitlines()
        rows = [line.split(":") for line in lines if line.strip() and not line.startswith("#")]
        if any(len(row) < 2 for row in rows):
            raise ValueError("a line without a colon")
        colors = [(red, green, blue) for red, green, blue in PALETTE[: len(rows)].tolist()]
        if any(row[1] for row in rows):
            colors = [parse_color(row[1]) for row in rows]
        if len({*colors}) < len(rows):
            raise ValueError("a color occurs twice")
        label_map, ids = {(0, 0, 0): (0, "")}, count(1)
        for color, (name, *_) in zip(colors, rows, strict=True):
            label_map[color] = (0, "") if name.lower() == "background" else (next(ids), name)
        return label_map


def parse_color(text: str) -> Color:
    """Return red, green and blue of ``255,0,0``; raise `ValueError` for any other text."""
    values = [int(part) if part.strip().isdecimal() else -1 for part in text.split(",")]
    if len(values) != 3 or not all(0 <= value < 256 for value in values):
        raise ValueError(f"{text[:40]!r} is not a color; write it as 255,0,0")
    return values[0], values[1], values[2]
