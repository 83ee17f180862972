"""Masks in formats of other labeling tools: contents of a file, and helpers of parsers and writers."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

import aotlab_video
from aotlab import sdk
from aotlab.media.images import decode_pixels

log = logging.getLogger(__name__)

Size = tuple[int, int]
"""(height, width) in pixels."""


def find_bounds(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """Return the box around points (x, y), such as two opposite corners: left, top, width, height."""
    if not points:
        raise ValueError("a box without corners")
    columns, rows = zip(*points, strict=True)
    return min(columns), min(rows), max(columns) - min(columns), max(rows) - min(rows)


def read_class_names(path: Path) -> str:
    """Return the text of a list of class names; without characters that are not in UTF-8, which a warning reports."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    if "\ufffd" in text:
        log.warning("%s: not text in UTF-8, so characters of class names are lost; save it as UTF-8", path)
    return text


def split_numbers(text: str) -> list[str]:
    """Return the parts of a text like ``1,2;3,4``."""
    return text.replace(";", " ").replace(",", " ").split()


def decode_png(text: str, size: Size | None = None) -> np.ndarray:
    """Return the H×W bool mask of a PNG in base64 or a data URL: its alpha, or its gray values without alpha.

    Raises `InputError` for another size than ``size``.
    """
    with sdk.decode_image(BytesIO(base64.b64decode(text.rpartition(",")[2], validate=True))) as image:
        aotlab_video.require_size(image.height, image.width, size or (image.height, image.width))
        has_alpha = "A" in image.getbands() or "transparency" in image.info
        return (decode_pixels(image, "RGBA")[..., 3] if has_alpha else decode_pixels(image, "L")) > 0


def encode_xml(text: str) -> bytes:
    """Return XML as UTF-8, with U+FFFD for characters that XML cannot hold."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text).encode()


def place_mask(part: np.ndarray, left: int, top: int, size: Size) -> np.ndarray:
    """Return the run lengths of an image with an h×w bool mask at (left, top); raise `ValueError` outside it."""
    height, width = part.shape
    if not (0 <= left < left + width <= size[1] and 0 <= top < top + height <= size[0]):
        raise ValueError(f"a mask of {width}×{height} at {left}, {top} is not inside the image")
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = part
    return sdk.encode_rle(mask)


def trace_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return polygons N×2 (x, y) in pixels, N at least 3, around the parts of an H×W bool mask, largest first.

    Holes are filled. The lines run a quarter of a pixel inside the edge, so filling them restores the mask except for
    smoothed staircases.
    """
    import cv2

    doubled = np.repeat(np.repeat(mask.astype(np.uint8), 2, 0), 2, 1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contours = sorted(contours, key=cv2.contourArea, reverse=True)
    outlines = [(cv2.approxPolyDP(contour, 0.6, True)[:, 0] + 0.5) / 2 for contour in contours]
    # readers take an outline within the first pixel for fractions of the image
    return [outline if outline.max() > 1 else 1.5 * outline for outline in outlines]
