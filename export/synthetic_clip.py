"""Synthetic clip with ground truth, for benchmarks and checks."""

import numpy as np

CURVES = np.array(
    [
        [[0.26, 0.28], [0.52, 0.30], [0.74, 0.70]],
        [[0.74, 0.74], [0.50, 0.80], [0.24, 0.66]],
        [[0.75, 0.28], [0.55, 0.62], [0.30, 0.36]],
        [[0.24, 0.74], [0.44, 0.30], [0.76, 0.26]],
    ]
)
"""Start, bend and end of each object's path, as shares (x, y) of width and height."""
COLORS = np.array([(196, 34, 38), (246, 158, 52), (46, 96, 206), (240, 200, 60)], np.float32)
BACKGROUND = np.array((104, 120, 84), np.float32)
SIZE = 0.14
"""Radius of an object, as a share of the shorter side."""


def draw_clip(frames: int, height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw four textured objects that turn, cross and hide each other over a panning background.

    The same motion is spread over any number of frames. Return frames T×H×W×3 uint8 RGB, and masks T×H×W uint8 with
    ids 1 to 4, a higher id in front of a lower one.
    """
    rng = np.random.default_rng(seed)
    curves = CURVES + rng.uniform(-0.015, 0.015, CURVES.shape)
    background = _texture(BACKGROUND, (round(1.2 * height) + 1, round(1.2 * width) + 1), rng)
    side = round(4 * SIZE * min(height, width)) + 2
    textures = [_texture(color, (side, side), rng) for color in COLORS]
    images = np.empty((frames, height, width, 3), np.uint8)
    masks = np.zeros((frames, height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) + 0.5
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        time = index / max(frames - 1, 1)
        top, left = round(0.2 * height * time), round(0.2 * width * time)
        image[:] = background[top : top + height, left : left + width]
        for number, (curve, texture) in enumerate(zip(curves, textures, strict=True), start=1):
            weights = np.array([(1 - time) ** 2, 2 * time * (1 - time), time**2])
            x, y = weights @ curve * (width, height)
            angle = np.arctan2(rows - y, columns - x) - (number - 2.5) * time
            distance = np.hypot(rows - y, columns - x)
            inside = distance < SIZE * min(height, width) * (1 + 0.2 * np.sin((number + 1) * angle))
            x_offset = distance[inside] * np.cos(angle[inside])
            y_offset = distance[inside] * np.sin(angle[inside])
            image[inside] = texture[(y_offset + side / 2).astype(int), (x_offset + side / 2).astype(int)]
            mask[inside] = number
    return images, masks


def _texture(color: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return H×W×3 uint8: a color with smooth light and dark patches, coarse and fine."""
    import cv2

    brightness = np.ones(size, np.float32)
    for cells, strength in ((6, 0.5), (24, 0.4)):
        grid = rng.uniform(-strength, strength, (cells, cells)).astype(np.float32)
        brightness += cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(color * brightness[..., None], 0, 255).astype(np.uint8)
