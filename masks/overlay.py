"""Pictures for people: object masks drawn over their frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aotlab.masks.id_maps import PALETTE, palette_index

OPACITY = 0.45
"""How much of the object's colour covers the frame inside a mask, from 0 to 1."""

DARK = 0.65
"""How much a black halo covers the frame just outside a mask, from 0 to 1; it sets the contour off."""

MANY, MANY_OPACITY, MANY_DARK = 12, 0.25, 0.3
"""With more objects than this the fill is thinner and the halo weaker, so that the frame stays visible."""

LETTER_HEIGHT = 22
"""Pixels of a letter of OpenCV's plain font at scale 1."""

_COLOURS = PALETTE.astype(np.float32)

BRIGHT = 255 * (_COLOURS / 255) ** 0.45
"""colours that fill an object: blended as they are, the dark ones of the palette look like shadows"""

VIVID = 255 * (0.7 * _COLOURS / np.maximum(_COLOURS.max(axis=1, keepdims=True), 1) + 0.3)
"""colours of contours: the brightest one of the same hue, a little towards white"""


def overlay(frame: np.ndarray, labels: np.ndarray, *, opacity: float | None = None) -> np.ndarray:
    """Draw every object in its palette colour, with a bright contour inside its edge and a dark one outside.

    Args:
        frame: H×W×3 uint8 RGB; left as it is.
        labels: H×W object ids, 0 is background.
        opacity: share of the colour inside a mask, 0 to 1; None: `OPACITY`, less for many objects.

    Returns:
        H×W×3 uint8 RGB.

    Raises:
        ValueError: the sizes differ, or the opacity is out of range.
    """
    if frame.shape[:2] != labels.shape:
        raise ValueError(f"labels of shape {labels.shape} do not fit a frame of shape {frame.shape}")
    if opacity is not None and not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be between 0 and 1, got {opacity}")
    picture = frame.copy()
    if labels.any():
        window = _window(labels > 0)
        ids = palette_index(labels[window])
        many = np.count_nonzero(np.bincount(ids.ravel())) > MANY + 1
        fill = opacity if opacity is not None else MANY_OPACITY if many else OPACITY
        width, dark = (1, MANY_DARK) if many else (_line_width(labels), DARK)
        picture[window] = _drawn(frame[window], ids, fill, width, dark)
    return picture


def with_ids(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The picture (H×W×3 uint8) with each object's id of ``labels`` (H×W) where the object is widest."""
    import cv2

    picture = picture.copy()
    for number in np.unique(labels[labels > 0]).tolist():
        inside = labels == number
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        box = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        depth = cv2.distanceTransform(np.pad(box, 1).view(np.uint8), cv2.DIST_L2, 3)
        _, radius, _, (x, y) = cv2.minMaxLoc(depth)
        height = float(np.clip(radius, 8, max(8, min(labels.shape) / 18)))
        write_text(picture, str(number), (columns[0] + x - 1, rows[0] + y - 1), height, centred=True)
    return picture


def write_text(
    picture: np.ndarray, text: str, point: tuple[int, int], height: float, *, centred: bool = False
) -> None:
    """Write white letters with a black edge into the picture (H×W×3 uint8), in place.

    Args:
        picture: changed.
        text: in ASCII.
        point: (x, y) of the text's lower left corner, or of its middle.
        height: of a letter in pixels.
        centred: ``point`` is the middle.
    """
    import cv2

    scale, font = height / LETTER_HEIGHT, cv2.FONT_HERSHEY_SIMPLEX
    x, y = int(point[0]), int(point[1])
    if centred:
        (width, tall), _ = cv2.getTextSize(text, font, scale, 1)
        x, y = x - width // 2, y + tall // 2
    thick = max(1, round(height / 12))
    for colour, line in (((0, 0, 0), thick + 2), ((255, 255, 255), thick)):
        cv2.putText(picture, text, (x, y), font, scale, colour, line, cv2.LINE_AA)


def strip(pictures: Sequence[np.ndarray], *, gap: int = 8) -> np.ndarray:
    """Put pictures of one height side by side with white gaps.

    Args:
        pictures: H×W×3 uint8 each; widths may differ.
        gap: pixels between two pictures.

    Returns:
        H×(sum of the widths and gaps)×3 uint8.

    Raises:
        ValueError: there is no picture, or the heights differ.
    """
    heights = sorted({picture.shape[0] for picture in pictures})
    if len(heights) != 1:
        raise ValueError(f"a strip needs pictures of one height, got {heights or 'no picture'}")
    space = np.full((heights[0], gap, 3), 255, dtype=np.uint8)
    parts = [part for picture in pictures for part in (space, picture)][1:]
    return np.concatenate(parts, axis=1)


def _drawn(frame: np.ndarray, ids: np.ndarray, opacity: float, width: int, dark: float) -> np.ndarray:
    """The frame (H×W×3 uint8) with its objects filled and outlined by lines of this width."""
    inside = ids > 0
    picture = frame.astype(np.float32, order="C")
    _blend(picture, BRIGHT, ids, opacity * inside.astype(np.float32))
    edge = _edge(ids, width)
    _blend(picture, np.zeros_like(VIVID), ids, dark * _soft(edge & ~inside))
    _blend(picture, VIVID, ids, _soft(edge & inside))
    return (picture + 0.5).clip(0, 255).astype(np.uint8)


def _line_width(labels: np.ndarray) -> int:
    """Pixels of a contour on either side of an edge; grows with the picture."""
    return max(1, round(min(labels.shape) / 300))


def _window(inside: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns around all objects, with room for the contour; the rest of a picture needs no work."""
    margin = _line_width(inside) + 3
    spans = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(max(int(at[0]) - margin, 0), int(at[-1]) + margin + 1) for at in spans)
    return rows, columns


def _edge(ids: np.ndarray, width: int) -> np.ndarray:
    """H×W bool: pixels this near to a change of id, on both sides."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    return np.asarray(cv2.dilate(ids, kernel) != cv2.erode(ids, kernel))


def _soft(mask: np.ndarray) -> np.ndarray:
    """H×W float32 in 0 to 1: the mask with its staircase smoothed."""
    import cv2

    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (3, 3), 0.6))


def _blend(picture: np.ndarray, colours: np.ndarray, ids: np.ndarray, share: np.ndarray) -> None:
    """Mix the colours (256×3) of ids (H×W) into the picture (H×W×3 float32, changed in place) by a share (H×W)."""
    touched = np.flatnonzero(share)
    flat = picture.reshape(-1, 3)
    pixels = flat[touched]
    flat[touched] = pixels + share.ravel()[touched, None] * (colours[ids.ravel()[touched]] - pixels)
