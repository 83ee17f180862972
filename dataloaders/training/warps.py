"""Affine and thin-plate warps. Pixel (column, row) is the square up to (column+1, row+1)."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator

FILL = (124, 116, 104)
"""fill colour outside an image: the ImageNet mean"""
CONTROL_POINTS = 5
"""number of control points of a thin-plate spline along each side of the image"""
CONTROL_SHIFT = 0.02
"""standard deviation of their shift, as a fraction of the image's side"""
SPLINE_CELLS = 24
"""number of points along each side at which a spline is evaluated; the rest is interpolated"""


def translation(x: float, y: float) -> np.ndarray:
    """Return a 3×3 shift."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=float)


def mirror(width: float) -> np.ndarray:
    """Return the 3×3 map that mirrors an image of this width left to right."""
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], dtype=float)


def random_affine(height: int, width: int, rng: Generator) -> np.ndarray:
    """Draw a 3×3 map about the centre: rotation ±20°, scale 0.9 to 1.1, shear ±10°, shift up to a tenth."""
    angle, shear = math.radians(rng.uniform(-20, 20)), math.tan(math.radians(rng.uniform(-10, 10)))
    scale = rng.uniform(0.9, 1.1)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    slant = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    shift = translation(rng.uniform(-0.1, 0.1) * width, rng.uniform(-0.1, 0.1) * height)
    centre = translation(width / 2, height / 2)
    return shift @ centre @ turn @ slant @ translation(-width / 2, -height / 2)


def random_box(height: int, width: int, rng: Generator) -> tuple[int, int, int, int]:
    """Draw a box (left, top, width, height) of 0.8 to 1 of the area with a ratio of 3:4 to 4:3.

    If ten draws do not fit into the image, as in very wide ones, return the largest central box of such a ratio.
    """
    narrow, wide = 3 / 4, 4 / 3
    for _ in range(10):
        area = rng.uniform(0.8, 1.0) * height * width
        ratio = math.exp(rng.uniform(math.log(narrow), math.log(wide)))
        columns, rows = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < columns <= width and 0 < rows <= height:
            left, top = rng.integers(width - columns + 1), rng.integers(height - rows + 1)
            return int(left), int(top), columns, rows
    columns, rows = min(width, round(height * wide)), min(height, round(width / narrow))
    return (width - columns) // 2, (height - rows) // 2, columns, rows


def fit_box(box: tuple[int, int, int, int], crop: int) -> np.ndarray:
    """Return the 3×3 map of the box (left, top, width, height) to a square of ``crop`` pixels."""
    left, top, columns, rows = box
    return np.diag([crop / columns, crop / rows, 1.0]) @ translation(-left, -top)


def warp_affine(
    image: np.ndarray, mask: np.ndarray, move: np.ndarray, crop: int, *, border: int = cv2.BORDER_CONSTANT
) -> tuple[np.ndarray, np.ndarray]:
    """Warp an image and its mask.

    Args:
        image: H×W×3 uint8.
        mask: H×W uint8.
        move: 3×3 map from the image to the result.
        crop: side of the result in pixels.
        border: OpenCV border mode of the image; the mask is padded with background.

    Returns:
        crop×crop×3 uint8 and crop×crop uint8.
    """
    # OpenCV's origin is the centre of the first pixel.
    matrix = (translation(-0.5, -0.5) @ move @ translation(0.5, 0.5))[:2]
    size = (crop, crop)
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border, borderValue=FILL)
    return moved, cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderValue=0)


def warp_spline(
    image: np.ndarray, mask: np.ndarray, coordinates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Warp an image and its mask by source coordinates, crop×crop×2 float32."""
    columns, rows = cv2.split(coordinates - np.float32(0.5))
    moved = cv2.remap(image, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=FILL)
    return moved, cv2.remap(mask, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)


def spline_coordinates(
    box: tuple[int, int, int, int], shape: tuple[int, int], crop: int, rng: Generator
) -> np.ndarray:
    """Draw a random thin-plate spline and return the source coordinates of a crop.

    Args:
        box: part of the warped image that becomes the crop.
        shape: height and width of the image.
        crop: side of the crop in pixels.

    Returns:
        crop×crop×2 float32: column and row in the image.
    """
    from scipy.interpolate import RBFInterpolator

    sides = np.array([shape[1], shape[0]], dtype=float)
    line = np.linspace(0, 1, CONTROL_POINTS)
    control = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    spline = RBFInterpolator(control, rng.normal(0, CONTROL_SHIFT, control.shape), kernel="thin_plate_spline")
    cells = _middles(box, SPLINE_CELLS)
    shifts = spline((cells / sides).reshape(-1, 2)).reshape(cells.shape) * sides
    shifts = cv2.resize(shifts.astype(np.float32), (crop, crop), interpolation=cv2.INTER_CUBIC)
    return _middles(box, crop).astype(np.float32) + shifts


def _middles(box: tuple[int, int, int, int], count: int) -> np.ndarray:
    """Return column and row of the centres of count×count cells that fill a box: count×count×2."""
    left, top, columns, rows = box
    steps = (np.arange(count) + 0.5) / count
    return np.stack(np.meshgrid(left + steps * columns, top + steps * rows), axis=-1)
