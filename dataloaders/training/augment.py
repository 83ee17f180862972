"""Augmentation of images with masks into training clips: size, motion, colors (AOT, Training Details)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig

FILL = (124, 116, 104)
"""Fill color outside an image: the ImageNet mean."""
CONTROL_POINTS = 5
"""Number of control points of a thin-plate spline along each side of the image."""
CONTROL_SHIFT = 0.02
"""Standard deviation of their shift, as a fraction of the image's side."""
SPLINE_CELLS = 24
"""Number of points along each side at which a spline is evaluated; the rest is interpolated."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray."""
GRAY_PROBABILITY = 0.2
BLUR_PROBABILITY = 0.3
BLUR_SIGMA = (0.1, 2.0)
"""Standard deviations of the blur in pixels."""

MAX_DROPPED_PIXELS = 100
"""Largest number of pixels on the reference frame for which an object is dropped."""
CROP_TRIES = 5
SHRINK_BELOW = 0.75
"""Scale of a crop below which the image is first shrunk by averaging."""


def count_ids(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each of the 256 ids in a uint8 array of any shape."""
    return np.bincount(labels.ravel(), minlength=256)


def make_image_clip(
    image: np.ndarray, mask: np.ndarray, phase: PhaseConfig, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make a clip from one image, H×W×3, and its mask: every frame is cropped at random, all but the first are moved.

    Returns T×crop×crop×3 uint8 and T×crop×crop uint8.
    """
    image, mask = _shrink(image, mask, phase.crop)
    if rng.random() < 0.5:
        image, mask = flip_horizontally(image, mask)
    frames, labels = [], []
    height, width = mask.shape
    for index in range(phase.clip_length):
        box = random_box(height, width, rng)
        if index == 0:
            transform = box_to_crop_matrix(box, phase.crop)
            frame, label = warp_affine(image, mask, transform, phase.crop, border=cv2.BORDER_REPLICATE)
        else:
            frame, label = _move_and_crop(image, mask, box, phase, rng)
        frames.append(_recolor(frame, phase, rng, single=True))
        labels.append(label)
    return np.stack(frames), np.stack(labels)


def make_video_clip(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], phase: PhaseConfig, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Scale, crop and flip images H×W×3 and their masks alike, keeping an object in the reference frame if possible.

    Returns T×crop×crop×3 uint8 and T×crop×crop uint8; images smaller than the crop are padded with `FILL` and
    background.
    """
    crop = phase.crop
    factor = rng.uniform(0.7, 1.3) * phase.short_edge / min(masks[0].shape)
    height, width = (max(1, round(side * factor)) for side in masks[0].shape)
    reference = _resize(masks[0], (width, height), cv2.INTER_NEAREST_EXACT)
    window = _window_on_object(reference, crop, rng)
    flipped = rng.random() < 0.5
    rows, columns = min(crop, height), min(crop, width)
    top, left = int(rng.integers(crop - rows + 1)), int(rng.integers(crop - columns + 1))
    inside = slice(top, top + rows), slice(left, left + columns)
    frames = np.empty((len(images), crop, crop, 3), np.uint8)
    if rows < crop or columns < crop:
        frames[:] = FILL
    labels = np.zeros((len(images), crop, crop), np.uint8)
    for frame, label, image, mask in zip(frames, labels, images, masks, strict=True):
        part = _resize(image, (width, height), cv2.INTER_CUBIC)[window]
        part = _recolor(np.ascontiguousarray(part), phase, rng, single=False)
        part_label = _resize(mask, (width, height), cv2.INTER_NEAREST_EXACT)[window]
        frame[inside], label[inside] = flip_horizontally(part, part_label) if flipped else (part, part_label)
    return frames, labels


def _move_and_crop(
    image: np.ndarray, mask: np.ndarray, box: tuple[int, int, int, int], phase: PhaseConfig, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Move an image and crop it to the box."""
    height, width = mask.shape
    flipped = rng.random() < 0.3
    if rng.random() < phase.thin_plate:
        coordinates = spline_coordinates(box, mask.shape, phase.crop, rng)
        if flipped:
            coordinates[..., 0] = width - coordinates[..., 0]
        return warp_spline(image, mask, coordinates)
    mirror = np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], dtype=float)
    transform = random_affine_matrix(height, width, rng) @ (mirror if flipped else np.eye(3))
    return warp_affine(image, mask, box_to_crop_matrix(box, phase.crop) @ transform, phase.crop)


def _recolor(frame: np.ndarray, phase: PhaseConfig, rng: Generator, *, single: bool) -> np.ndarray:
    """Change colors as published: AOT mildly and only for single images, DeAOT strongly and per frame."""
    if phase.augmentation == "deaot":
        return random_gray_and_blur(jitter_colors(frame, STRONG_JITTER, rng), rng)
    return jitter_colors(frame, MILD_JITTER, rng) if single else frame


def _window_on_object(reference: np.ndarray, crop: int, rng: Generator) -> tuple[slice, slice]:
    """Draw the rows and columns of a random crop, a few times until it shows enough of an object."""
    height, width = reference.shape
    for _ in range(CROP_TRIES):
        top = int(rng.integers(max(height - crop, 0) + 1))
        left = int(rng.integers(max(width - crop, 0) + 1))
        window = slice(top, top + crop), slice(left, left + crop)
        if count_ids(reference[window])[1:255].max() > MAX_DROPPED_PIXELS:
            break
    return window


def _shrink(image: np.ndarray, mask: np.ndarray, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """Shrink images much larger than the crop; the warp interpolates 16 pixels and would skip the rest."""
    factor = crop / min(mask.shape)
    if factor >= SHRINK_BELOW:
        return image, mask
    size = round(mask.shape[1] * factor), round(mask.shape[0] * factor)
    return _resize(image, size, cv2.INTER_AREA), _resize(mask, size, cv2.INTER_NEAREST_EXACT)


def flip_horizontally(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image and its mask left to right."""
    return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])


def _resize(image: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """Resize H×W or H×W×3 to (width, height)."""
    return np.asarray(cv2.resize(image, size, interpolation=interpolation))


def translation_matrix(x: float, y: float) -> np.ndarray:
    """Return a 3×3 shift."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=float)


def random_affine_matrix(height: int, width: int, rng: Generator) -> np.ndarray:
    """Draw a 3×3 map about the center: rotation ±20°, scale 0.9 to 1.1, shear ±10°, shift up to a tenth."""
    angle, shear = math.radians(rng.uniform(-20, 20)), math.tan(math.radians(rng.uniform(-10, 10)))
    scale = rng.uniform(0.9, 1.1)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    shear_matrix = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    shift = translation_matrix(rng.uniform(-0.1, 0.1) * width, rng.uniform(-0.1, 0.1) * height)
    center = translation_matrix(width / 2, height / 2)
    return shift @ center @ rotation @ shear_matrix @ translation_matrix(-width / 2, -height / 2)


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


def box_to_crop_matrix(box: tuple[int, int, int, int], crop: int) -> np.ndarray:
    """Return the 3×3 map of the box (left, top, width, height) to a square of ``crop`` pixels."""
    left, top, columns, rows = box
    return np.diag([crop / columns, crop / rows, 1.0]) @ translation_matrix(-left, -top)


def warp_affine(
    image: np.ndarray, mask: np.ndarray, transform: np.ndarray, crop: int, *, border: int = cv2.BORDER_CONSTANT
) -> tuple[np.ndarray, np.ndarray]:
    """Warp an image H×W×3 and its mask to crop×crop pixels by a 3×3 map from image to result.

    ``border``: OpenCV border mode of the image; the mask is padded with background.
    """
    # OpenCV's origin is the center of the first pixel
    matrix = (translation_matrix(-0.5, -0.5) @ transform @ translation_matrix(0.5, 0.5))[:2]
    size = (crop, crop)
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=border, borderValue=FILL)
    return moved, cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderValue=0)


def warp_spline(image: np.ndarray, mask: np.ndarray, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Warp an image and its mask by source coordinates, crop×crop×2 float32."""
    columns, rows = cv2.split(coordinates - np.float32(0.5))
    moved = cv2.remap(image, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=FILL)
    return moved, cv2.remap(mask, columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)


def spline_coordinates(box: tuple[int, int, int, int], shape: tuple[int, int], crop: int, rng: Generator) -> np.ndarray:
    """Draw a random thin-plate spline; return column and row in the image of each pixel of a crop, crop×crop×2 float32.

    ``box``: part of the warped image that becomes the crop; ``shape``: (height, width) of the image.
    """
    from scipy.interpolate import RBFInterpolator

    sides = np.array([shape[1], shape[0]], dtype=float)
    line = np.linspace(0, 1, CONTROL_POINTS)
    control = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    spline = RBFInterpolator(control, rng.normal(0, CONTROL_SHIFT, control.shape), kernel="thin_plate_spline")
    cells = _cell_centers(box, SPLINE_CELLS)
    shifts = spline((cells / sides).reshape(-1, 2)).reshape(cells.shape) * sides
    shifts = cv2.resize(shifts.astype(np.float32), (crop, crop), interpolation=cv2.INTER_CUBIC)
    return _cell_centers(box, crop).astype(np.float32) + shifts


def _cell_centers(box: tuple[int, int, int, int], count: int) -> np.ndarray:
    """Return column and row of the centers of count×count cells that fill a box: count×count×2."""
    left, top, columns, rows = box
    steps = (np.arange(count) + 0.5) / count
    return np.stack(np.meshgrid(left + steps * columns, top + steps * rows), axis=-1)


@dataclass(frozen=True)
class ColorJitter:
    """Strength of color changes: factors from 1 - value to 1 + value; hue as a fraction of the color circle."""

    brightness: float
    contrast: float
    saturation: float
    hue: float
    probability: float = 1.0


MILD_JITTER = ColorJitter(0.1, 0.1, 0.1, 0.03)
STRONG_JITTER = ColorJitter(0.4, 0.4, 0.2, 0.1, probability=0.8)


def jitter_colors(image: np.ndarray, limits: ColorJitter, rng: Generator) -> np.ndarray:
    """Change brightness, contrast, saturation and hue of H×W×3 uint8 in random order."""
    if rng.random() >= limits.probability:
        return image
    changes = (
        (scale_brightness, rng.uniform(1 - limits.brightness, 1 + limits.brightness)),
        (scale_contrast, rng.uniform(1 - limits.contrast, 1 + limits.contrast)),
        (scale_saturation, rng.uniform(1 - limits.saturation, 1 + limits.saturation)),
        (shift_hue, rng.uniform(-limits.hue, limits.hue)),
    )
    for number in rng.permutation(len(changes)):
        change, amount = changes[number]
        image = change(image, amount)
    return image


def random_gray_and_blur(image: np.ndarray, rng: Generator) -> np.ndarray:
    """Turn H×W×3 uint8 gray, and blur it, each with some probability."""
    if rng.random() < GRAY_PROBABILITY:
        image = scale_saturation(image, 0.0)
    if rng.random() < BLUR_PROBABILITY:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*BLUR_SIGMA))
    return image


def scale_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all colors; 0 gives black."""
    return _apply_levels(image, np.arange(256) * factor)


def scale_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Scale differences to the image's mean gray; 0 gives a uniform gray."""
    mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
    return _apply_levels(image, mean + (np.arange(256) - mean) * factor)


def scale_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Scale differences to each pixel's gray value; 0 gives a gray image."""
    mixing = factor * np.eye(3) + (1 - factor) * np.array([LUMA] * 3)
    return np.asarray(cv2.transform(image, mixing))


def shift_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Rotate all hues by this fraction of the color circle (0 to 1, either sign)."""
    steps = round(turn * 256) % 256
    if steps == 0:  # a round trip through HSV would lose precision
        return image
    hue = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hue[..., 0] += np.uint8(steps)  # hue wraps around
    return np.asarray(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB_FULL))


def _apply_levels(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Apply a lookup table of 256 levels of any range."""
    return np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)))
