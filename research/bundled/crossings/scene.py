"""Scenes: paths that cross, occluders, a moving camera, shadows, motion blur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from scipy.interpolate import CubicSpline

from research.bundled.crossings.sprites import Background, Sources, Sprite, generate_texture

HEIGHT, WIDTH = 270, 480
FRAMES = (24, 30)
"""Fewest and most frames of a clip."""
BLUR_STEPS = 5
"""Moments at which a frame with motion blur is drawn."""
MIN_VISIBLE = 100
"""Smallest number of pixels of an object on the first frame, for it to count as shown there."""


@dataclass(frozen=True)
class Clip:
    """Frames with exact labels."""

    frames: list[np.ndarray]
    """HEIGHT×WIDTH×3 uint8."""
    labels: list[np.ndarray]
    """HEIGHT×WIDTH uint8 ids, 0 background."""
    names: list[str]
    """Names of the objects, of ids 1, 2, …"""


@dataclass(frozen=True)
class Actor:
    """A sprite with its path; arrays are F×B, for F frames at B moments each."""

    sprite: Sprite
    object_id: int
    """0: not labeled."""
    x: np.ndarray
    """Middle, in widths of the frame from its center."""
    y: np.ndarray
    """Lower end, in heights of the frame from its center."""
    depth: np.ndarray
    """0: far, 1: near."""
    size: np.ndarray
    """Longer side of the object, in heights of the frame."""
    turn: np.ndarray
    """Angle in radians."""
    flip: int
    """1, or -1 for a mirror image."""
    colors: np.ndarray
    """3×3 matrix applied to RGB."""


def draw_curve(rng: Generator, moments: np.ndarray, spread: float, knots: int = 4) -> np.ndarray:
    """Return a smooth random curve with the given standard deviation at moments (F×B) from 0 to 1."""
    return np.asarray(CubicSpline(np.linspace(0, 1, knots), rng.normal(0, spread, knots), bc_type="natural")(moments))


def draw_colors(rng: Generator, strength: float) -> np.ndarray:
    """Return a matrix 3×3 that changes hue, saturation and brightness."""
    gray = np.full((3, 3), 1 / 3)
    saturation, gain = math.exp(rng.normal(0, 0.3 * strength)), np.exp(rng.normal(0, 0.15 * strength, 3))
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    angle = rng.normal(0, 0.35 * strength)
    turn = np.eye(3) + math.sin(angle) * axis + (1 - math.cos(angle)) * axis @ axis
    return np.asarray(np.diag(gain) @ (saturation * np.eye(3) + (1 - saturation) * gray) @ turn)


def plan_actors(rng: Generator, sprites: Sequence[Sprite], alike: Sequence[bool], moments: np.ndarray) -> list[Actor]:
    """Plan paths on a ground plane or free ones, on which most objects cross, and some stay hidden for long."""
    count, ground = len(sprites), rng.random() < 0.65
    size = rng.uniform(0.16, 0.32) if rng.random() < 0.25 else rng.uniform(0.45, 0.9) * 1.3 / (1 + 0.15 * count)
    reach = np.clip(0.55 * count * size * rng.uniform(0.8, 1.4), 0.3, 0.95)
    starts = (rng.permutation(count) + 0.5) / count - 0.5 + rng.normal(0, 0.05, count)
    ends = rng.permutation(starts) if rng.random() < 0.8 else -starts
    slow, phase = rng.choice([0, 0.6, 0.95], p=[0.3, 0.3, 0.4]), rng.uniform(-0.7, 0.7)
    pace = moments + slow * np.sin(2 * math.pi * moments + phase) / (2 * math.pi)  # slow while objects cross
    horizon, drift = rng.uniform(-0.1, 0.15), rng.normal(0, 0.2) if rng.random() < 0.3 else 0.0
    labeled = np.arange(1, count + 1)
    if count > 2 and rng.random() < 0.25:
        labeled[rng.integers(count)] = 0
    actors = []
    for index, sprite in enumerate(sprites):
        begin, length = rng.uniform(0, 0.3), rng.choice([0.5, 0.8, 1.0])
        way = np.clip(begin, 0, 1 - length) + length * pace
        x = starts[index] + (ends[index] - starts[index]) * way + draw_curve(rng, moments, 0.03)
        x = reach * (x + rng.normal(0, 0.15) * np.sin(math.pi * way)) + drift * (moments - 0.5)
        if rng.random() < 0.2:  # leaves the frame, most return
            x = x + rng.choice([-1, 1]) * 1.2 * np.sin(math.pi * np.clip(rng.uniform(-0.4, 0.4) + moments, 0, 1)) ** 2
        depth = np.clip(rng.random() + draw_curve(rng, moments, 0.25), 0, 1.2)
        grown = (
            size * rng.uniform(0.9, 1.1) * (0.75 + 0.4 * depth if ground else np.exp(draw_curve(rng, moments, 0.15)))
        )
        foot = horizon + 0.3 * depth + 0.35 * size if ground else size / 2 + draw_curve(rng, moments, 0.14)
        if rng.random() < 0.4:  # steps, jumps
            foot = foot - size * rng.uniform(0.01, 0.08) * np.abs(np.sin(math.pi * rng.uniform(1, 5) * moments))
        spin = draw_curve(rng, moments, 0.4) if rng.random() < 0.1 else 0
        colors = draw_colors(rng, rng.choice([0, 0.2, 0.5]) if alike[index] else 0.5)
        actors.append(
            Actor(sprite, int(labeled[index]), x, foot, depth, grown, draw_curve(rng, moments, 0.04) + spin,
                  int(rng.choice([-1, 1], p=[0.35, 0.65])), colors)
        )  # fmt: skip
    return actors


def draw_pillar(rng: Generator) -> Sprite:
    """Return a generated column."""
    image, width = np.zeros((HEIGHT, HEIGHT, 4), np.uint8), int(rng.integers(25, 75))
    middle = slice((HEIGHT - width) // 2, (HEIGHT + width) // 2)
    image[:, middle, :3], image[:, middle, 3] = generate_texture(rng)[:, middle], 255
    return Sprite([image], (width, HEIGHT), "pillar", still=False)


def add_occluder(rng: Generator, sprite: Sprite, moments: np.ndarray) -> Actor:
    """Return an unlabeled object that stands in front of all others."""
    still, size = np.zeros_like(moments), 1.8 if sprite.name == "pillar" else rng.uniform(0.7, 1.3)
    return Actor(sprite, 0, still + rng.normal(0, 0.2), still + 0.5 * max(size, 1.2), still + 1.3, still + size, still,
                 1, draw_colors(rng, 0.4))  # fmt: skip


def bend(rng: Generator, sprite: Sprite, frames: int) -> list[np.ndarray]:
    """Return F frames of a sprite; a still one is bent slightly, by waves and at one joint."""
    if not sprite.still:
        loop = [*sprite.frames, *sprite.frames[-2:0:-1]]
        return [loop[index % len(loop)] for index in range(frames)]
    image, side, times = sprite.frames[0], len(sprite.frames[0]), np.linspace(0, 1, frames)
    waves = np.stack([draw_curve(rng, times, 0.008 * side) for _ in range(32)], 1).reshape(frames, 4, 4, 2)
    angles, facing = draw_curve(rng, times, 0.1), rng.uniform(0, 2 * math.pi)
    pivot = side * rng.uniform(0.35, 0.65, 2).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).astype(np.float32)
    along = (grid - pivot) @ np.array([math.cos(facing), math.sin(facing)]) / (0.1 * side)
    share = 1 / (1 + np.exp(-np.clip(along, -20, 20)))
    result = []
    for wave, angle in zip(waves, angles, strict=True):
        cosine, sine = np.cos(share * angle), np.sin(share * angle)
        x, y = np.moveaxis(grid - pivot, -1, 0)
        turned = np.dstack([cosine * x - sine * y, sine * x + cosine * y]) + pivot
        shift = cv2.resize(wave.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        result.append(cv2.remap(image, (turned + shift).astype(np.float32), None, cv2.INTER_LINEAR))
    return result


def draw_actor(
    frame: np.ndarray,
    labels: np.ndarray,
    actor: Actor,
    image: np.ndarray,
    index: int,
    cameras: np.ndarray,
    shadow: float,
) -> None:
    """Draw an actor into a frame H×W×3 float32 and its labels H×W uint8, in place; ``cameras``: B×2×3 for its depth."""
    side, longest = len(image), max(actor.sprite.size)
    factor = float(np.median(actor.size[index])) * HEIGHT / longest
    if factor < 0.7:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    shrink = len(image) / side
    image = image.astype(np.float32)
    light = np.linspace(0.85, 1.1, image.shape[1], dtype=np.float32)[None, :: actor.flip, None]
    np.clip(cv2.transform(image[..., :3], actor.colors) * light, 0, image[..., 3:], out=image[..., :3])
    center, moves, feet = (image.shape[1] - 1) / 2, [], []
    for moment, camera in enumerate(cameras):
        values = (each[index, moment] for each in (actor.x, actor.y, actor.size, actor.turn))
        x, y, size, turn = values
        feet.append(camera @ [x * WIDTH, y * HEIGHT, 1])
        scale = size * HEIGHT / longest / shrink
        cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
        lift = y * HEIGHT - 0.5 * actor.sprite.size[1] * scale * shrink
        place = np.array([[cosine * actor.flip, -sine, x * WIDTH], [sine * actor.flip, cosine, lift], [0, 0, 1]])
        place[:2, 2] -= place[:2, :2] @ [center, center]
        moves.append(camera @ place)
    corners = np.array([[0, 0, 1], [0, 2 * center, 1], [2 * center, 0, 1], [2 * center, 2 * center, 1]])
    reached = np.concatenate([corners @ move.T for move in moves])
    left, top = np.maximum(np.floor(reached.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(reached.max(0)).astype(int) + 1, [WIDTH, HEIGHT])
    if left >= right or top >= bottom:
        return
    window, offset = (slice(top, bottom), slice(left, right)), np.array([[0, 0, left], [0, 0, top]])
    drawn = [cv2.warpAffine(image, move - offset, (right - left, bottom - top)) for move in moves]
    mean, middle = sum(drawn[1:], drawn[0]) / len(drawn), drawn[len(drawn) // 2][..., 3]
    (x, y), wide = feet[len(feet) // 2], 0.35 * actor.sprite.size[0] * factor
    rows, columns = np.ogrid[top:bottom, left:right]
    distance = ((columns - x) / wide) ** 2 + ((rows - y) / (0.3 * wide)) ** 2
    frame[window] *= 1 - shadow * np.exp(-distance)[..., None].astype(np.float32)
    frame[window] = frame[window] * (1 - mean[..., 3:] / 255) + mean[..., :3]
    labels[window][middle > 127] = actor.object_id


def draw_cast(rng: Generator, sources: Sources, background: Background, frames: int) -> tuple[list[Sprite], list[bool]]:
    """Draw two to seven objects in groups of look-alikes; also return which have one."""
    count = int(rng.choice([2, 3, 4, 5, 6, 7], p=[0.24, 0.26, 0.2, 0.14, 0.1, 0.06]))
    kind = rng.random()
    groups = [count] if kind < 0.55 else [count - 1, 1] if kind < 0.8 else [count // 2, count - count // 2]
    drawn = [(sprite, size > 1) for size in groups for sprite in sources.draw_group(rng, size, frames, background)]
    order = rng.permutation(count)
    return [drawn[index][0] for index in order], [drawn[index][1] for index in order]


def render_clip(rng: Generator, sources: Sources) -> Clip:
    """Render a clip; at least two labeled objects are visible on its first frame."""
    while True:
        clip = _render_scene(rng, sources)
        if (np.bincount(clip.labels[0].ravel(), minlength=3)[1:] >= MIN_VISIBLE).sum() >= 2:
            return clip


def _render_scene(rng: Generator, sources: Sources) -> Clip:
    frames, blurred = int(rng.integers(FRAMES[0], FRAMES[1] + 1)), rng.random() < 0.5
    shutter = np.linspace(-0.5, 0.5, BLUR_STEPS) * rng.uniform(0.3, 0.9) if blurred else np.zeros(1)
    moments = np.clip((np.arange(frames)[:, None] + shutter) / (frames - 1), 0, 1)
    background = sources.draw_background(rng, frames)
    sprites, alike = draw_cast(rng, sources, background, frames)
    actors = plan_actors(rng, sprites, alike, moments)
    if rng.random() < 0.3:
        front = draw_pillar(rng) if rng.random() < 0.5 else sources.draw_group(rng, 1, frames, background)[0]
        actors.append(add_occluder(rng, front, moments))
    images = [bend(rng, actor.sprite, frames) for actor in actors]
    pan = [draw_curve(rng, moments, rng.choice(spreads)) for spreads in ([0, 12, 40], [0, 6, 15])]
    pan = [each + rng.normal(0, rng.choice([0, 0, 1.5]), (frames, 1)) for each in pan]
    zoom, roll = (
        np.exp(draw_curve(rng, moments, rng.choice([0, 0.05, 0.12]))),
        draw_curve(rng, moments, rng.choice([0, 0.02])),
    )
    back, shape = rng.uniform(1.2, 1.6), background.frames[0].shape
    back *= max(WIDTH / shape[1], HEIGHT / shape[0])
    centered = np.array([[back, 0, -back * shape[1] / 2], [0, back, -back * shape[0] / 2], [0, 0, 1]])
    shadow, noise, soft = rng.uniform(0.1, 0.4), rng.choice([0, 2, 5]), rng.choice([0, 0.5, 0.9])
    look, own = draw_colors(rng, 0.3), len(sprites)
    grain = noise * rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    clip = Clip([], [], [sprite.name for sprite in sprites])

    def place_camera(index: int, depth: float) -> np.ndarray:
        moves = zip(zoom[index], roll[index], pan[0][index], pan[1][index], strict=True)
        return np.array([
            [[z * math.cos(a), -z * math.sin(a), WIDTH / 2 + (0.6 + 0.4 * depth) * x],
             [z * math.sin(a), z * math.cos(a), HEIGHT / 2 + (0.6 + 0.4 * depth) * y]] for z, a, x, y in moves
        ])  # fmt: skip

    for index in range(frames):
        views = [move @ centered for move in place_camera(index, 0)]
        behind, ids = (each[index % len(each)] for each in (background.frames, background.labels))
        size = {"dsize": (WIDTH, HEIGHT), "borderMode": cv2.BORDER_REFLECT}
        frame = sum(cv2.warpAffine(behind, view, **size).astype(np.float32) for view in views) / len(views)
        ids = np.where(ids > 0, ids + own, 0).astype(np.uint8)
        labels = cv2.warpAffine(ids, views[len(views) // 2], flags=cv2.INTER_NEAREST, **size)
        for number in np.argsort([actor.depth[index].mean() for actor in actors]):
            actor = actors[number]
            cameras = place_camera(index, float(actor.depth[index].mean()))
            draw_actor(frame, labels, actor, images[number][index], index, cameras, shadow)
        frame = cv2.transform(frame, look)
        frame = cv2.GaussianBlur(frame, (0, 0), soft) if soft else frame
        frame += np.roll(grain, rng.integers(HEIGHT), axis=0)
        clip.frames.append(np.clip(frame, 0, 255).astype(np.uint8))
        clip.labels.append(labels)
    return clip
