"""Clips drawn by the project itself: textured objects that turn and hide each other, with true masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aotlab.media.canvas import TILE, blend, colour_ramp, draw_frames, value_noise

LIGHT = (-0.55, -0.83)
"""Direction (x, y) from which the light falls."""

Radius = Callable[[np.ndarray, float], np.ndarray]
"""Outline of a shape: radius, about 1, for an angle in radians and a moment in 0 to 1."""


@dataclass(frozen=True)
class Sprite:
    """One object: its look and motion. Positions are shares of width and height, times 0 to 1."""

    outline: Radius
    texture: np.ndarray
    """TILE×TILE×3 float32 in 0 to 255"""
    path: np.ndarray
    """3×2: start, bend and end (x, y) of the curve it follows"""
    radius: float
    """share of the picture's shorter side"""
    growth: float
    """how much larger it is at the end, as a factor"""
    spin: float
    """turn in radians from start to end"""


def draw_clip(frames: int, height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw four objects that cross and hide each other over a slowly panning ground.

    Args:
        frames: number of frames; the same motion is spread over them.
        height: pixels.
        width: pixels.
        seed: the same seed draws the same clip.

    Returns:
        frames T×H×W×3 uint8 RGB, and masks T×H×W uint8 with ids 1 to 4, a higher id in front of a lower one.
    """
    rng = np.random.default_rng(seed)
    ground = _ground(height, width, rng)
    sprites = _sprites(rng)

    def paint(mask: np.ndarray, time: float) -> np.ndarray:
        canvas = _pan(ground, height, width, time)
        for number, sprite in enumerate(sprites, start=1):
            _paint(canvas, mask, sprite, number, time)
        return canvas

    return draw_frames(frames, height, width, paint)


def _tile() -> tuple[np.ndarray, np.ndarray]:
    """x and y of a tile's pixels, TILE×TILE float32 in 0 to 1."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32) / TILE
    return x, y


def _stripes(rng: np.random.Generator) -> np.ndarray:
    """Orange fur with dark wavering stripes."""
    x, _ = _tile()
    waver = value_noise(3, 4, rng)
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (6 * x + 1.1 * waver))
    dark = 1 / (1 + np.exp(-14 * (bands - 0.66 + 0.25 * (value_noise(2, 16, rng) - 0.5))))
    fur = colour_ramp(value_noise(4, 8, rng), (206, 98, 22), (246, 158, 52), (255, 204, 120))
    return fur * (1 - dark[..., None]) + dark[..., None] * np.array([48, 26, 18], dtype=np.float32)


def _spots(rng: np.random.Generator) -> np.ndarray:
    """Red enamel with cream spots of several sizes."""
    x, y = _tile()
    skin = colour_ramp(value_noise(4, 4, rng), (150, 14, 26), (204, 32, 36), (232, 70, 56))
    cover = np.zeros_like(x)
    for row in range(5):
        for column in range(5):
            across = column + 0.5 * (row % 2) + rng.uniform(-0.15, 0.15)
            centre = (across / 5, (row + 0.5 + rng.uniform(-0.15, 0.15)) / 5)
            away = np.hypot(
                *(np.mod(axis - at + 0.5, 1) - 0.5 for axis, at in zip((x, y), centre, strict=True))
            )
            cover = np.maximum(cover, np.clip((rng.uniform(0.035, 0.065) - away) * 110 + 0.5, 0, 1))
    cream = colour_ramp(value_noise(3, 16, rng), (236, 214, 178), (255, 246, 224))
    return skin + cover[..., None] * (cream - skin)


def _marble(rng: np.random.Generator) -> np.ndarray:
    """Blue stone with pale veins."""
    x, y = _tile()
    fold = value_noise(4, 3, rng)
    vein = np.abs(np.sin(np.pi * (2 * x + 3 * y + 2.6 * fold)))
    stone = colour_ramp(value_noise(4, 6, rng), (18, 40, 132), (36, 84, 196), (70, 140, 232))
    pale = np.exp(-9 * vein)[..., None]
    return stone + pale * (np.array([226, 236, 255], dtype=np.float32) - stone)


def _planks(rng: np.random.Generator) -> np.ndarray:
    """Yellow painted boards with seams and scratches."""
    _, y = _tile()
    grain = value_noise(3, 4, rng)
    grain = 0.6 * grain + 0.4 * np.sin(40 * np.pi * y + 5 * grain) ** 2
    board = colour_ramp(grain, (196, 140, 8), (240, 196, 36), (255, 226, 98))
    seam = np.exp(-((np.mod(y * 6, 1) - 0.5) ** 2) / 0.004)
    shade = 1 - 0.55 * seam - 0.12 * (np.floor(y * 6) % 2)
    return board * shade[..., None].astype(np.float32)


def _ground(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A meadow of grass and worn earth, a quarter larger than the picture: H'×W'×3 float32."""
    import cv2

    span = round(1.25 * max(height, width))
    side = TILE * (4 if span > 2 * TILE else 2)
    patches = value_noise(4, 5, rng, size=side)
    blades = np.clip(1.6 * (value_noise(2, 180, rng, size=side) - 0.5) + 0.5, 0, 1)
    clumps = value_noise(3, 24, rng, size=side)
    grass = 0.45 * patches + 0.25 * clumps + 0.30 * blades
    grass = colour_ramp(grass, (30, 48, 30), (84, 112, 62), (150, 166, 106))
    earth = colour_ramp(0.6 * clumps + 0.4 * blades, (82, 70, 58), (146, 130, 108), (190, 176, 152))
    bare = 1 / (1 + np.exp(-18 * (value_noise(4, 4, rng, size=side) - 0.56)))
    picture = grass + bare[..., None].astype(np.float32) * (earth - grass)
    meadow = np.asarray(cv2.resize(picture, (span, span), interpolation=cv2.INTER_AREA))
    return meadow[: round(1.25 * height) + 2]


def _pan(ground: np.ndarray, height: int, width: int, time: float) -> np.ndarray:
    """The part of the ground in view, H×W×3 float32; it drifts by less than a pixel a frame where it must."""
    import cv2

    shift_x = 0.18 * width * time
    shift_y = 0.10 * height * (1 + np.sin(np.pi * (time - 0.5)))
    matrix = np.array([[1, 0, -shift_x], [0, 1, -shift_y]], dtype=np.float32)
    picture = cv2.warpAffine(ground, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(picture)


def _blob(phases: np.ndarray) -> Radius:
    """A soft body whose outline wobbles."""

    def radius(angle: np.ndarray, time: float) -> np.ndarray:
        wobble = 2 * np.pi * time
        slow = 0.13 * np.sin(3 * angle + phases[0] + wobble)
        return 1 + slow + 0.08 * np.sin(2 * angle + phases[1] - wobble) + 0.04 * np.sin(5 * angle + phases[2])

    return radius


def _ellipse(angle: np.ndarray, time: float) -> np.ndarray:
    """An ellipse whose shape breathes a little."""
    ratio = 0.72 + 0.06 * np.sin(2 * np.pi * time)
    return ratio * 1.15 / np.hypot(ratio * np.cos(angle), np.sin(angle))


def _star(angle: np.ndarray, time: float) -> np.ndarray:
    """A star with five round arms."""
    return 0.98 + 0.27 * np.cos(5 * angle) + 0.03 * np.cos(10 * angle + 0 * time)


def _box(angle: np.ndarray, time: float) -> np.ndarray:
    """A box with round corners."""
    power = 6.0
    flat = np.abs(np.cos(angle) / 1.1) ** power + np.abs(np.sin(angle) / 0.78) ** power
    return flat ** (-1 / power) + 0 * time


def _sprites(rng: np.random.Generator) -> list[Sprite]:
    """Four objects that start apart in the four quarters and cross near the middle, the last one in front."""
    paths = np.array(
        [
            [[0.20, 0.27], [0.48, 0.30], [0.80, 0.62]],
            [[0.77, 0.75], [0.62, 0.90], [0.24, 0.72]],
            [[0.80, 0.26], [0.60, 0.62], [0.18, 0.40]],
            [[0.22, 0.76], [0.40, 0.20], [0.74, 0.24]],
        ]
    )
    paths += rng.uniform(-0.02, 0.02, paths.shape)
    return [
        Sprite(_ellipse, _spots(rng), paths[0], 0.155, 1.25, 1.9),
        Sprite(_blob(rng.uniform(0, 6.28, 3)), _stripes(rng), paths[1], 0.165, 1.1, -0.9),
        Sprite(_box, _planks(rng), paths[2], 0.150, 0.85, -1.3),
        Sprite(_star, _marble(rng), paths[3], 0.150, 1.15, 2.6),
    ]


def _paint(canvas: np.ndarray, mask: np.ndarray, sprite: Sprite, number: int, time: float) -> None:
    """Draw one object and its shadow on the canvas (H×W×3 float32), and its id on the mask, both in place."""
    height, width = mask.shape
    start, bend, end = sprite.path
    ease = time + 0.06 * np.sin(2 * np.pi * time)
    centre = (1 - ease) ** 2 * start + 2 * ease * (1 - ease) * bend + ease**2 * end
    size = sprite.radius * min(height, width) * sprite.growth**time
    y, x = np.ogrid[0:height, 0:width]
    # Only the window around the object is worked on: it is a small part of the picture.
    middle = (centre * (width, height)).astype(int)
    reach = int(1.75 * size) + 2
    window = tuple(slice(max(at - reach, 0), max(at + reach, 0)) for at in (middle[1], middle[0]))
    dx = (x[:, window[1]] + 0.5 - centre[0] * width) / size + np.zeros_like(y[window[0]], dtype=np.float32)
    dy = (y[window[0]] + 0.5 - centre[1] * height) / size + np.zeros_like(dx)
    if dx.size == 0:
        return
    cover, depth = _cover(sprite, dx, dy, time, size)
    colours = _look(sprite, dx, dy, depth, time)
    blend(canvas[window], colours, cover, shadow=(0.10 * size, 0.16 * size, 0.09 * size), darkness=0.5)
    mask[window][cover > 0.5] = number


def _cover(
    sprite: Sprite, dx: np.ndarray, dy: np.ndarray, time: float, size: float
) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel the object covers, and how far out it lies towards the outline; 0 to 1."""
    angle = np.arctan2(dy, dx) - sprite.spin * time
    outline = sprite.outline(angle, time)
    away = np.hypot(dx, dy)
    # The slope turns the difference along the ray into a distance across the outline, so all edges are soft.
    step = 1e-3
    slope = (sprite.outline(angle + step, time) - outline) / step / outline
    pixels = (outline - away) * size / np.hypot(1, slope)
    return np.clip(pixels + 0.5, 0, 1).astype(np.float32), np.minimum(away / outline, 1)


def _look(sprite: Sprite, dx: np.ndarray, dy: np.ndarray, depth: np.ndarray, time: float) -> np.ndarray:
    """The object's lit colours, H×W×3 float32: its texture turned with it, the light fixed."""
    import cv2

    turn = sprite.spin * time
    u = (dx * np.cos(turn) + dy * np.sin(turn)) * 0.36 + 0.5
    v = (dy * np.cos(turn) - dx * np.sin(turn)) * 0.36 + 0.5
    column, row = ((axis * TILE).astype(np.float32) for axis in (u, v))
    colours = cv2.remap(sprite.texture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    facing = dx * LIGHT[0] + dy * LIGHT[1]
    shade = 0.92 + 0.30 * facing - 0.28 * depth**6
    shine = 70 * np.exp(-((dx - 0.42 * LIGHT[0]) ** 2 + (dy - 0.42 * LIGHT[1]) ** 2) / 0.09)
    return np.clip(colours * shade[..., None] + shine[..., None], 0, 255).astype(np.float32)
