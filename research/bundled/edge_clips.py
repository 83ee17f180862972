"""Clips with known alpha: rendered shapes with textures of ``datasets/sample`` over its frames.

Shapes are smooth, or have fur, long hair or a blurred edge. Their textures and backgrounds are frames of the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.media.images import read_image
from aotlab_video.sources.video import open_frames

SIZE = 480, 854
"""Height and width in pixels."""
SUPERSAMPLING = 4
NOISE = 2.0
"""Standard deviation of the noise of each frame, in levels of 8 bits."""
FRAMES = 3


class EdgeClip(NamedTuple):
    """Frames of one object and its alpha."""

    frames: np.ndarray
    """T×H×W×3 uint8."""
    alpha: np.ndarray
    """T×H×W float32, 0 to 1."""
    colors: np.ndarray
    """T×H×W×3 float32, color of the object in levels of 8 bits, also where it is transparent."""


def draw_body(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a blob as mask H×W uint8, supersampled, and its contour N×2."""
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = np.full_like(angles, rng.uniform(85, 110))
    for wave in (2, 3, 5):
        radius += rng.uniform(4, 12) * np.sin(wave * angles + rng.uniform(0, 6))
    center = np.array([SIZE[1] * rng.uniform(0.38, 0.62), SIZE[0] * rng.uniform(0.45, 0.55)])
    contour = (center + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)) * SUPERSAMPLING
    mask = np.zeros((SIZE[0] * SUPERSAMPLING, SIZE[1] * SUPERSAMPLING), np.uint8)
    cv2.fillPoly(mask, [contour.round().astype(np.int32)], 255)
    return mask, contour


def draw_strands(rng: Generator, count: int, length: tuple[float, float], width: float) -> np.ndarray:
    """Return a blob with strands H×W uint8, supersampled; ``length`` and ``width`` in pixels of the frame."""
    mask, contour = draw_body(rng)
    center = contour.mean(0)
    for start in contour[rng.integers(len(contour), size=count)]:
        direction = (start - center) / np.linalg.norm(start - center)
        angle = np.arctan2(direction[1], direction[0]) + rng.normal(0, 0.35)
        bend, steps = rng.normal(0, 0.06), 12
        points = [start - 3 * SUPERSAMPLING * direction]
        step = rng.uniform(*length) * SUPERSAMPLING / steps
        for _ in range(steps):
            points.append(points[-1] + step * np.array([np.cos(angle), np.sin(angle)]))
            angle += bend
        for index in range(steps):
            thickness = max(1, round(width * SUPERSAMPLING * (1 - index / steps)))
            ends = [tuple(np.round(point).astype(int).tolist()) for point in points[index : index + 2]]
            cv2.line(mask, ends[0], ends[1], 255, thickness, cv2.LINE_AA)
    return mask


SHAPES: dict[str, tuple[Callable[[Generator], np.ndarray], float]] = {
    "smooth": (lambda rng: draw_body(rng)[0], 0.7),
    "fur": (lambda rng: draw_strands(rng, 900, (5, 14), 1.6), 0.5),
    "hair": (lambda rng: draw_strands(rng, 260, (20, 55), 1.2), 0.5),
    "blur": (lambda rng: draw_body(rng)[0], 5.0),
}
"""Function that draws each shape, and the standard deviation of its blur in pixels."""


def compose_edge_clip(sample: Path, shape: str, seed: int, *, moves: bool = True) -> EdgeClip:
    """Compose a clip of one shape, with noise; it and the background move, unless ``moves`` is False."""
    rng = np.random.default_rng((17, seed, [*SHAPES].index(shape)))
    rabbit = open_frames(sample / "rabbit.mp4")[0]
    pond = read_image(sample / "JPEGImages" / "480p" / "pond" / "00003.jpg")
    fur, grass = rabbit[190:380, 225:385], rabbit[330:480, 420:840]
    texture, background = ((fur, pond), (grass, pond), (pond, rabbit[:, ::-1]), (fur, rabbit[:, ::-1]))[seed % 4]
    draw, blur = SHAPES[shape]
    shape_alpha = cv2.resize(draw(rng), SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    alpha = cv2.GaussianBlur(shape_alpha, (0, 0), blur)
    color = cv2.resize(texture, SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
    frames, alphas, colors = [], [], []
    for index in range(FRAMES):
        shift = index * moves
        move = np.array([[1, 0, 4 * shift], [0, 1, -1.5 * shift]], np.float32)
        moved, moved_color = (
            cv2.warpAffine(x, move, SIZE[::-1], borderMode=mode)
            for x, mode in ((alpha, cv2.BORDER_CONSTANT), (color, cv2.BORDER_REPLICATE))
        )
        behind = np.roll(background, -shift, 1).astype(np.float32)
        image = moved[..., None] * moved_color + (1 - moved[..., None]) * behind + rng.normal(0, NOISE, (*SIZE, 3))
        frames.append(image.clip(0, 255).round().astype(np.uint8))
        alphas.append(moved)
        colors.append(moved_color)
    return EdgeClip(np.stack(frames), np.stack(alphas), np.stack(colors))
