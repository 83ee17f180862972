"""A pond drawn by the project itself: four koi swim over pebbles, under leaves and each other, with true masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.media.canvas import TILE, blend, colour_ramp, draw_frames, value_noise

MARGIN = 1.3
"""side of the ground, in parts of the picture's"""
PEBBLES = 26
"""across the longer side of the ground"""
PAN = (0.14, 0.08)
"""of the camera over the clip, in parts of width and height"""
WATER = np.array([58, 92, 84], dtype=np.float32)
"""colour that depth fades to"""
REACH = 1.35
"""half a side of the window that holds a fish, in body lengths"""


@dataclass(frozen=True)
class Koi:
    """One fish; positions are parts of width and height, times go from 0 to 1."""

    skin: np.ndarray
    """TILE×TILE×3 float32 in 0 to 255, head at the left"""
    path: np.ndarray
    """3×2: start, bend and end (x, y) of the curve that its middle follows"""
    length: float
    """in parts of the picture's shorter side"""
    beats: float
    """strokes of the tail over the clip"""
    phase: float
    """of the first stroke, in radians"""


@dataclass(frozen=True)
class Leaf:
    """A floating leaf."""

    centre: tuple[float, float]
    """x and y in parts of width and height"""
    radius: float
    """in parts of the picture's shorter side"""
    turn: float
    """where its notch is, in radians"""


LEAVES = Leaf((0.50, 0.10), 0.16, 0.4), Leaf((0.94, 0.97), 0.24, 2.5), Leaf((0.02, 0.02), 0.20, 4.0)


def draw_pond(frames: int, height: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw four koi that cross under each other and under floating leaves, seen by a drifting camera.

    Args:
        frames: number of frames; the same motion is spread over them.
        height: pixels.
        width: pixels.
        seed: the same seed draws the same clip.

    Returns:
        frames T×H×W×3 uint8 RGB, and masks T×H×W uint8 with ids 1 to 4, a higher id in front of a lower one. Leaves are
        background and hide what is under them.
    """
    rng = np.random.default_rng(seed)
    ground, light, shoal = _ground(height, width, rng), _caustics(rng), _shoal(rng)
    leaf_skin = colour_ramp(value_noise(4, 4, rng), (38, 88, 34), (66, 122, 46), (104, 150, 66))

    def paint(mask: np.ndarray, time: float) -> np.ndarray:
        canvas = _view(ground, light, height, width, time)
        for number, koi in enumerate(shoal, start=1):
            _paint_koi(canvas, mask, koi, number, time)
        for leaf in LEAVES:
            _paint_leaf(canvas, mask, leaf, leaf_skin, time)
        return canvas

    return draw_frames(frames, height, width, paint)


def _ground(height: int, width: int, rng: Generator) -> np.ndarray:
    """Pebbles under water, larger than the picture: H'×W'×3 float32."""
    rows, columns = round(MARGIN * height) + 2, round(MARGIN * width) + 2
    cell = max(rows, columns) / PEBBLES
    grid_rows, grid_columns = int(rows / cell) + 3, int(columns / cell) + 3
    shift = rng.uniform(0.1, 0.9, (2, grid_rows, grid_columns)).astype(np.float32)
    tone = rng.random((grid_rows, grid_columns), dtype=np.float32)
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / cell + 1
    nearest, second = np.full((rows, columns), 9, np.float32), np.full((rows, columns), 9, np.float32)
    value = np.zeros((rows, columns), dtype=np.float32)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            row = np.clip(y.astype(int) + down, 0, grid_rows - 1)
            column = np.clip(x.astype(int) + across, 0, grid_columns - 1)
            away = np.hypot(y - row - shift[0, row, column], x - column - shift[1, row, column])
            second = np.where(away < nearest, nearest, np.minimum(second, away))
            value = np.where(away < nearest, tone[row, column], value)
            nearest = np.minimum(nearest, away)
    rounded = np.clip(3.2 * (second - nearest), 0, 1) ** 0.5
    grain = cv2.resize(value_noise(5, 6, rng), (columns, rows), interpolation=cv2.INTER_CUBIC)
    stone = colour_ramp(
        0.7 * value + 0.3 * grain, (66, 70, 62), (112, 108, 90), (150, 140, 118), (128, 136, 132)
    )
    picture = stone * (0.42 + 0.58 * rounded)[..., None]
    weed = 1 / (1 + np.exp(-12 * (cv2.resize(value_noise(3, 3, rng), (columns, rows)) - 0.62)))
    picture += 0.55 * weed[..., None] * (np.array([44, 82, 50], dtype=np.float32) - picture)
    return np.asarray(0.62 * picture + 0.38 * WATER, dtype=np.float32)


def _caustics(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two tiles (TILE×TILE) whose sum has bright lines where sunlight gathers."""
    return value_noise(2, 6, rng) - 0.5, value_noise(2, 7, rng) - 0.5


def _view(
    ground: np.ndarray, light: tuple[np.ndarray, np.ndarray], height: int, width: int, time: float
) -> np.ndarray:
    """The ground in view under moving light, H×W×3 float32."""
    shift = np.array(
        [[1, 0, -PAN[0] * width * time], [0, 1, -PAN[1] * height * _ease(time)]], dtype=np.float32
    )
    picture = cv2.warpAffine(ground, shift, (width, height), borderMode=cv2.BORDER_REFLECT)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) * (TILE / max(height, width) * 1.6)
    waves = np.zeros((height, width), dtype=np.float32)
    for tile, (across, down) in zip(light, ((0.5, 0.2), (-0.4, 0.3)), strict=True):
        waves = waves + cv2.remap(
            tile,
            x + TILE * across * time,
            y + TILE * down * time,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
    gleam = 0.86 + 0.5 * np.exp(-np.abs(waves) / 0.06)
    return np.asarray(picture * gleam[..., None], dtype=np.float32)


def _ease(time: float) -> float:
    return 0.5 - 0.5 * float(np.cos(np.pi * time))


def _shoal(rng: Generator) -> list[Koi]:
    """Four koi of different colours that start apart and cross near the middle, the last one on top."""
    paths = np.array(
        [
            [[0.20, 0.30], [0.50, 0.34], [0.82, 0.62]],
            [[0.78, 0.76], [0.55, 0.84], [0.20, 0.66]],
            [[0.80, 0.28], [0.60, 0.66], [0.30, 0.34]],
            [[0.22, 0.74], [0.42, 0.26], [0.74, 0.22]],
        ]
    )
    paths += rng.uniform(-0.015, 0.015, paths.shape)
    skins = (
        _patched((240, 232, 218), (208, 52, 22), rng),
        _patched((238, 120, 22), (250, 150, 40), rng),
        _patched((38, 44, 62), (70, 78, 100), rng),
        _patched((244, 206, 72), (252, 226, 120), rng),
    )
    lengths = 0.50, 0.46, 0.48, 0.44
    return [
        Koi(skin, path, length, rng.uniform(3.0, 4.5), rng.uniform(0, 2 * np.pi))
        for skin, path, length in zip(skins, paths, lengths, strict=True)
    ]


def _scales(rng: Generator) -> np.ndarray:
    """How bright each point of a skin is, TILE×TILE float32: rows of scales and stains."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float32) / TILE
    net = np.abs(np.sin(np.pi * (22 * x + 14 * y))) * np.abs(np.sin(np.pi * (22 * x - 14 * y)))
    behind_head = np.clip(12 * (x - 0.25), 0, 1)
    return np.asarray(
        1 - 0.16 * behind_head * (1 - net**0.5) - 0.10 * value_noise(4, 5, rng), dtype=np.float32
    )


def _patched(base: tuple[int, int, int], patch: tuple[int, int, int], rng: Generator) -> np.ndarray:
    """A scaly skin with patches of a second colour."""
    cover = 1 / (1 + np.exp(-40 * (value_noise(2, 3, rng) - 0.52)))[..., None]
    skin = np.array(base, dtype=np.float32) + cover * (np.array(patch, dtype=np.float32) - np.array(base))
    return np.asarray(skin * _scales(rng)[..., None], dtype=np.float32)


def _paint_koi(canvas: np.ndarray, mask: np.ndarray, koi: Koi, number: int, time: float) -> None:
    """Draw one fish and its shadow on the canvas (H×W×3 float32), and its id on the mask, both in place."""
    height, width = mask.shape
    length = koi.length * min(height, width)
    start, bend, end = koi.path
    ease = time + 0.05 * np.sin(2 * np.pi * time)
    centre = ((1 - ease) ** 2 * start + 2 * ease * (1 - ease) * bend + ease**2 * end) * (width, height)
    ahead = ((1 - ease) * (bend - start) + ease * (end - bend)) * (width, height)
    ahead = ahead / np.hypot(*ahead)
    window, x, y = _window(centre, REACH * length, mask.shape)
    if not x.size:
        return
    # Along the body: 0 at the nose, 1 at the end of the tail; across: to the right of where it swims.
    along = 0.5 - (x * ahead[0] + y * ahead[1]) / length
    across = (y * ahead[0] - x * ahead[1]) / length
    wave = 2 * np.pi * (koi.beats * time - 0.9 * along) + koi.phase
    across = across - 0.07 * np.clip(along, 0.1, 1.1) ** 1.5 * np.sin(wave)
    cover, body = _outline(along, across, length, float(np.sin(2 * np.pi * koi.beats * time)))
    colours = _lit(koi.skin, along, across, body)
    shadow = 0.09 * length, 0.13 * length, 0.035 * length
    blend(canvas[window], colours, cover, shadow=shadow, darkness=0.45)
    mask[window][cover > 0.5] = number


def _window(
    centre: np.ndarray, reach: float, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The part of the picture within ``reach`` pixels of a point, and its pixels' x and y from the point."""
    columns, rows = (
        slice(max(int(at - reach), 0), max(min(int(at + reach) + 2, limit), 0))
        for at, limit in zip(centre, shape[::-1], strict=True)
    )
    y, x = np.mgrid[rows, columns].astype(np.float32) + 0.5
    return (rows, columns), x - np.float32(centre[0]), y - np.float32(centre[1])


def _outline(
    along: np.ndarray, across: np.ndarray, length: float, stroke: float
) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel a fish covers (0 to 1), and how far out on the body it lies (0 the spine, 1 the edge)."""
    s = np.clip(along, 0, 1)
    width = 0.135 * np.sin(np.pi * np.clip(s / 0.86, 0, 1) ** 0.62) ** 0.8 + 0.018 * (s > 0.05)
    tail = np.clip((s - 0.78) / 0.22, 0, 1)
    width = np.maximum(width, 0.10 * tail**1.2 * np.clip((1.0 - s) * 14, 0, 1) ** 0.5 + 0.02 * (tail > 0))
    inside = np.minimum(width - np.abs(across), np.minimum(along, 1 - along)) * length
    cover = np.clip(inside + 0.5, 0, 1)
    for side in (-1, 1):  # the breast fins, spread by every stroke
        spread = 0.75 + 0.18 * stroke
        forward, out = along - 0.27, side * across - 0.09
        u, v = (
            forward * np.cos(spread) + out * np.sin(spread),
            out * np.cos(spread) - forward * np.sin(spread),
        )
        fin = 1 - np.hypot((u - 0.085) / 0.11, v / 0.04)
        cover = np.maximum(cover, np.clip(0.04 * fin * length + 0.5, 0, 1) * (fin > -0.5))
    return cover.astype(np.float32), np.minimum(np.abs(across) / np.maximum(width, 1e-3), 1)


def _lit(skin: np.ndarray, along: np.ndarray, across: np.ndarray, body: np.ndarray) -> np.ndarray:
    """A fish's colours, H×W×3 float32: round like a cylinder, with a bright back and eyes."""
    column, row = (TILE * along).astype(np.float32), (TILE * (0.5 + 2.2 * across)).astype(np.float32)
    colours = cv2.remap(skin, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    shade = 1.02 - 0.42 * body**2.5
    shine = 46 * np.exp(-((across + 0.025) ** 2) / 0.0009) * ((along > 0.08) & (along < 0.8))
    eyes = np.hypot(along - 0.075, np.abs(across) - 0.045) < 0.014
    lit = colours * shade[..., None] + shine[..., None]
    lit[eyes] = 18
    return np.asarray(0.93 * np.clip(lit, 0, 255) + 0.07 * WATER, dtype=np.float32)


def _paint_leaf(canvas: np.ndarray, mask: np.ndarray, leaf: Leaf, skin: np.ndarray, time: float) -> None:
    """Draw a floating leaf and its shadow, in place; it moves with the camera, and what it covers has no id."""
    height, width = mask.shape
    size = leaf.radius * min(height, width)
    middle = (np.array(leaf.centre) - np.array(PAN) * (time, _ease(time)) * 0.8) * (width, height)
    window, x, y = _window(middle, 1.5 * size, mask.shape)
    if not x.size:
        return
    angle, away = np.arctan2(y, x) - leaf.turn - 0.15 * time, np.hypot(x, y) / size
    folded = np.abs(np.mod(angle + np.pi, 2 * np.pi) - np.pi)
    edge = (1 + 0.03 * np.sin(9 * angle)) * np.clip((folded - 0.10) * 6, 0, 1)
    cover = np.clip((edge - away) * size + 0.5, 0, 1).astype(np.float32)
    column, row = ((0.5 + 0.4 * axis / size) * TILE for axis in (x, y))
    colours = cv2.remap(skin, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
    veins = np.exp(-((np.sin(7 * angle) / 0.12) ** 2)) * np.clip(away * 3, 0, 1)
    colours = colours * (1.02 - 0.25 * away**6 + 0.16 * veins)[..., None]
    shadow = 0.10 * size, 0.14 * size, 0.06 * size
    blend(canvas[window], np.clip(colours, 0, 255), cover, shadow=shadow, darkness=0.4)
    mask[window][cover > 0.5] = 0
