"""Conversion of plates to the planes of video files."""

from __future__ import annotations

import cv2
import numpy as np

from aotlab_compositing.plates import LUMA, Planes, measure_range, read_float_rgb, read_planes
from aotlab_video import BT709, ColorTags, Plate, encode_srgb

SRGB = 13
"""FFmpeg's number of the sRGB curve."""


def make_planes(plate: Plate, depth: int) -> Planes:
    """Return a frame for a video file with ``depth`` bits of limited range, in 4:4:4.

    Video files keep their colors and tags. Others get the matrix of BT.709: floats are
    shown from 0 to 1, and linear light is encoded with the sRGB curve.
    """
    planes = read_planes(plate)
    if planes is not None:
        return scale_planes(planes, depth)
    rgb, tags = np.nan_to_num(read_float_rgb(plate).astype(np.float32)).clip(0, 1), plate.tags
    if plate.is_linear:
        rgb, tags = encode_srgb(rgb), tags._replace(transfer=SRGB)
    return rgb_to_planes(rgb, tags._replace(matrix=BT709), depth)


def scale_planes(planes: Planes, depth: int) -> Planes:
    """Return planes with another depth, rounded, of limited range."""
    is_rounded = all(values.dtype.kind == "u" for values in planes.values)
    if is_rounded and depth == planes.depth and not planes.is_full:
        return planes
    scaled = []
    for index, values in enumerate(planes.values):
        black, span = measure_range(planes.depth, index > 0, is_full=planes.is_full)
        new_black, new_span = measure_range(depth, index > 0, is_full=False)
        codes = (values.astype(np.float32) - black) * (new_span / span) + (new_black + 0.5)
        scaled.append(codes.clip(0, 2**depth - 1).astype(np.uint16))
    return Planes(scaled, depth, False, planes.tags)


def multiply_planes(planes: Planes, alpha: np.ndarray) -> Planes:
    """Return planes over black: colors multiplied by alpha, H×W from 0 to 1."""
    multiplied = []
    for index, values in enumerate(planes.values):
        black, _ = measure_range(planes.depth, index > 0, is_full=planes.is_full)
        multiplied.append(((values - np.float32(black)) * alpha + (black + 0.5)).astype(np.uint16))
    return planes._replace(values=multiplied)


def rgb_to_planes(rgb: np.ndarray, tags: ColorTags, depth: int) -> Planes:
    """Return H×W×3 RGB from 0 to 1 as planes of limited range, in 4:4:4."""
    red, blue = LUMA[tags.matrix]
    green = 1 - red - blue
    brightness = np.array([red, green, blue])
    colors = np.array(
        [brightness, ([0, 0, 1] - brightness) / (2 * (1 - blue)), ([1, 0, 0] - brightness) / (2 * (1 - red))]
    )
    offsets, spans = zip(*(measure_range(depth, index > 0, is_full=False) for index in range(3)), strict=True)
    matrix = np.column_stack([colors * np.array(spans)[:, None], offsets])
    planes = cv2.split(cv2.transform(rgb.astype(np.float32), matrix))
    values = [(plane + 0.5).clip(0, 2**depth - 1).astype(np.uint16) for plane in planes]
    return Planes(values, depth, False, tags)
