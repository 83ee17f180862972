"""What drawn clips share: textures, frames one by one, and shapes laid over a picture with their shadows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TILE = 256
"""Pixels on a side of a texture tile; tiles repeat without a seam."""


def draw_frames(
    frames: int, height: int, width: int, paint: Callable[[np.ndarray, float], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Frames T×H×W×3 uint8 RGB and masks T×H×W uint8.

    ``paint`` fills in a mask H×W of zeros at a time in 0 to 1, and returns the picture H×W×3 float32.
    """
    pictures = np.empty((frames, height, width, 3), dtype=np.uint8)
    masks = np.zeros((frames, height, width), dtype=np.uint8)
    for index in range(frames):
        canvas = paint(masks[index], index / max(frames - 1, 1))
        pictures[index] = np.clip(canvas + 0.5, 0, 255)
    return pictures, masks


def value_noise(octaves: int, cells: int, rng: np.random.Generator, *, size: int = TILE) -> np.ndarray:
    """Random values on ever finer grids, smoothly interpolated and added up; repeats without a seam.

    Args:
        octaves: number of grids; each is twice as fine and half as strong as the one before.
        cells: cells on a side of the coarsest grid.
        rng: source of the values.
        size: pixels on a side.

    Returns:
        size×size float32 in 0 to 1.
    """
    total = np.zeros((size, size), dtype=np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        grid = rng.random((count, count), dtype=np.float32)
        position = np.arange(size, dtype=np.float32) * count / size
        low = position.astype(int)
        blend = position - low
        blend = blend * blend * (3 - 2 * blend)
        low, high = low % count, (low + 1) % count
        rows = grid[low] + blend[:, None] * (grid[high] - grid[low])
        total += (rows[:, low] + blend * (rows[:, high] - rows[:, low])) / 2**octave
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)


def colour_ramp(values: np.ndarray, *stops: tuple[int, int, int]) -> np.ndarray:
    """Values in 0 to 1 (H×W) to H×W×3 float32, along evenly spaced colours."""
    positions = np.linspace(0, 1, len(stops))
    channels = [np.interp(values, positions, [stop[channel] for stop in stops]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def blend(
    view: np.ndarray,
    colours: np.ndarray,
    cover: np.ndarray,
    *,
    shadow: tuple[float, float, float],
    darkness: float,
) -> None:
    """Draw colours H×W×3 over a part of a canvas, in place, by how much they cover (H×W, 0 to 1), with a shadow.

    ``shadow``: its offset (x, y) and blur in pixels; ``darkness``: the share of light that it takes.
    """
    import cv2

    x, y, blur = shadow
    shift = np.array([[1, 0, x], [0, 1, y]], dtype=np.float32)
    dark = cv2.GaussianBlur(cv2.warpAffine(cover, shift, cover.shape[::-1]), (0, 0), max(blur, 0.3))
    view *= 1 - darkness * dark[..., None]
    view += cover[..., None] * (colours - view)
