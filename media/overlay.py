"""Overlays: object masks drawn over frames."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from aotlab.media.images import to_array
from aotlab.media.masks import PALETTE, palette_index
from aotlab.utils.errors import InputError, require

FILL_OPACITY = 0.45
HALO_OPACITY = 0.65
MANY_OBJECTS, MANY_FILL_OPACITY, MANY_HALO_OPACITY = 12, 0.25, 0.3
"""Number of objects above which fill and halo are more transparent."""
LETTER_HEIGHT = 22
"""Height of a letter of OpenCV's plain font at scale 1, in pixels."""
_COLORS = PALETTE.astype(np.float32)
FILL_COLORS = (255 * (_COLORS / 255) ** 0.45 + 0.5).astype(np.uint8)[:, None]
"""Fill colors, 256×1×3: the palette, brightened, as dark colors look like shadows."""
CONTOUR_COLORS = 255 * (0.7 * _COLORS / np.maximum(_COLORS.max(axis=1, keepdims=True), 1) + 0.3)
"""Contour colors: the brightest of the same hue, mixed with white."""


def draw_overlay(frame: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Draw every object in its palette color, with a bright contour inside its edge and a dark one outside.

    Args:
        frame: H×W×3 uint8 RGB, not modified.
        labels: H×W object ids, integers or bools, 0 is background. Both may be arrays, tensors on the CPU or lists.

    Raises:
        InputError: other shapes or types, or negative ids.
    """
    frame, labels = to_array("draw_overlay: frame", frame), to_array("draw_overlay: labels", labels)
    require(
        labels.dtype.kind in "biu", f"object ids must be integers, got {labels.dtype}", subject="draw_overlay: labels"
    )
    if frame.dtype != np.uint8 or frame.shape != (*labels.shape, 3) or labels.min(initial=0) < 0:
        raise InputError(
            f"expected a frame H×W×3 uint8 and object ids H×W from 0, got a frame of {frame.shape} {frame.dtype} "
            f"and ids of {labels.shape} from {labels.min(initial=0)}",
            subject="draw_overlay",
        )
    import cv2

    image = frame.copy()
    if labels.any():
        window = _bound_objects(labels > 0)
        ids = palette_index(labels[window])
        counts = cv2.calcHist([ids], [0], None, [256], [0, 256])
        width, fill, halo = _line_width(labels), FILL_OPACITY, HALO_OPACITY
        if np.count_nonzero(counts[1:]) > MANY_OBJECTS:
            width, fill, halo = 1, MANY_FILL_OPACITY, MANY_HALO_OPACITY
        image[window] = _draw_objects(frame[window], ids, fill, width, halo)
    return image


def draw_ids(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw the id of each object in ``labels`` (H×W) at its widest place: H×W×3 uint8."""
    import cv2

    image = image.copy()
    for object_id in np.unique(labels[labels > 0]).tolist():
        inside = labels == object_id
        left, top, width, height = cv2.boundingRect(inside.view(np.uint8))
        box = inside[top : top + height, left : left + width]
        depth = cv2.distanceTransform(np.pad(box, 1).view(np.uint8), cv2.DIST_L2, 3)
        _, radius, _, (x, y) = cv2.minMaxLoc(depth)
        letter_height = float(np.clip(radius, 8, max(8, min(labels.shape) / 18)))
        draw_text(image, str(object_id), (left + x - 1, top + y - 1), letter_height, centered=True)
    return image


def draw_names(image: np.ndarray, labels: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """Draw the names of the objects in ``labels`` (H×W) at their centers: H×W×3 uint8."""
    drawn = Image.fromarray(image)
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(max(12, labels.shape[0] // 30))
    for object_id, name in names.items():
        rows, columns = np.nonzero(labels == object_id)
        if len(rows):
            width = draw.textlength(name, font)
            left = min(max(2.0, columns.mean() - width / 2), max(2.0, labels.shape[1] - width - 2))
            position = (left, float(rows.mean()))
            draw.text(position, name, "white", font, "lm", stroke_width=2, stroke_fill="black")
    return np.asarray(drawn)


def draw_text(image: np.ndarray, text: str, point: tuple[int, int], height: float, *, centered: bool = False) -> None:
    """Write white ASCII letters with a black edge, ``height`` pixels high, into the image (H×W×3 uint8), in place.

    ``point`` is (x, y) of the lower left corner, or of the center if ``centered``; centered letters are moved inside.
    """
    import cv2

    scale, font = height / LETTER_HEIGHT, cv2.FONT_HERSHEY_SIMPLEX
    x, y = int(point[0]), int(point[1])
    if centered:
        (width, text_height), _ = cv2.getTextSize(text, font, scale, 1)
        x = min(max(x - width // 2, 0), image.shape[1] - width)
        y = min(max(y + text_height // 2, text_height), image.shape[0])
    thickness = max(1, round(height / 12))
    for color, line in (((0, 0, 0), thickness + 2), ((255, 255, 255), thickness)):
        cv2.putText(image, text, (x, y), font, scale, color, line, cv2.LINE_AA)


def concat_images(images: Sequence[np.ndarray], *, gap: int = 8) -> np.ndarray:
    """Join images H×W×3 uint8 of one height side by side, with white gaps of this many pixels, at least one."""
    parts = [np.pad(image, ((0, 0), (0, gap), (0, 0)), constant_values=255) for image in images]
    return np.concatenate(parts, axis=1)[:, :-gap]


def _draw_objects(frame: np.ndarray, ids: np.ndarray, opacity: float, width: int, halo: float) -> np.ndarray:
    """Draw filled objects with contours of this width over the frame: H×W×3 uint8."""
    import cv2

    inside = ids > 0
    filled = cv2.addWeighted(frame, 1 - opacity, cv2.applyColorMap(ids, FILL_COLORS), opacity, 0)
    image = cv2.copyTo(filled, inside.view(np.uint8), frame.copy())
    edge = _detect_edges(ids, width)
    _blend(image, np.zeros_like(CONTOUR_COLORS), ids, halo * _smooth(edge & ~inside))
    _blend(image, CONTOUR_COLORS, ids, _smooth(edge & inside))
    return image


def _line_width(labels: np.ndarray) -> int:
    """Return the width of a contour on either side of an edge in pixels, by image size."""
    return max(1, round(min(labels.shape) / 300))


def _bound_objects(inside: np.ndarray) -> tuple[slice, slice]:
    """Return rows and columns around all objects, padded for contours."""
    margin = _line_width(inside) + 3
    spans = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
    rows, columns = (slice(max(int(at[0]) - margin, 0), int(at[-1]) + margin + 1) for at in spans)
    return rows, columns


def _detect_edges(ids: np.ndarray, width: int) -> np.ndarray:
    """Return the pixels within ``width`` of a change of id, on both sides: H×W bool."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    return np.asarray(cv2.dilate(ids, kernel) != cv2.erode(ids, kernel))


def _smooth(mask: np.ndarray) -> np.ndarray:
    """Smooth the edges of a mask: H×W float32, 0 to 1."""
    import cv2

    return np.asarray(cv2.GaussianBlur(mask.view(np.uint8) * np.uint8(255), (3, 3), 0.6) / np.float32(255))


def _blend(image: np.ndarray, colors: np.ndarray, ids: np.ndarray, opacity: np.ndarray) -> None:
    """Blend the colors (256×3) of ids (H×W) into the image (H×W×3 uint8, in place) by opacities (H×W)."""
    indices = np.flatnonzero(opacity > 0)
    flat = image.reshape(-1, 3)
    pixels = flat[indices].astype(np.float32)
    flat[indices] = pixels + opacity.ravel()[indices, None] * (colors[ids.ravel()[indices]] - pixels) + 0.5
