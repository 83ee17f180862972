"""Scenes: paths that cross, occluders, a moving camera, shadows, motion blur."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from scipy.interpolate import CubicSpline

from research.bundled.crossings.sprites import Sources, Sprite, generate_texture

HEIGHT, WIDTH = 270, 480
FRAMES = (24, 30)
"""Fewest and most frames of a clip."""
BLUR_STEPS = 5
"""Number of moments at which a frame with motion blur is drawn; the middle one gives its labels."""
COUNTS = {2: 0.24, 3: 0.26, 4: 0.2, 5: 0.14, 6: 0.1, 7: 0.06}
"""Probabilities of the number of objects."""
MIN_VISIBLE = 100
"""Smallest number of pixels of each of two objects on the first frame."""


class Actor(NamedTuple):
    """A sprite and its path: arrays F×B, of F frames at B moments each."""

    sprite: Sprite
    object_id: int  # 0: not labeled
    x: np.ndarray  # middle, in pixels from the center of the frame
    y: np.ndarray  # lower end, in pixels from the center of the frame
    depth: np.ndarray  # 0: far, 1: near
    size: np.ndarray  # longer side of the object in pixels
    turn: np.ndarray  # radians
    mirror: int  # -1 for a mirror image, else 1
    colors: np.ndarray  # 3×3 matrix applied to RGB


def draw_curve(rng: Generator, moments: np.ndarray, spread: float) -> np.ndarray:
    """Return a smooth random curve with this standard deviation at moments from 0 to 1."""
    return np.asarray(CubicSpline(np.linspace(0, 1, 4), rng.normal(0, spread, 4), bc_type="natural")(moments))


def draw_colors(rng: Generator, strength: float) -> np.ndarray:
    """Return a matrix 3×3 that changes hue, saturation and brightness."""
    axis, angle = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3), rng.normal(0, 0.35 * strength)
    turn = np.eye(3) + math.sin(angle) * axis + (1 - math.cos(angle)) * axis @ axis
    saturation = math.exp(rng.normal(0, 0.3 * strength))
    gains = np.exp(rng.normal(0, 0.15 * strength, 3))
    return np.asarray(np.diag(gains) @ (saturation * np.eye(3) + (1 - saturation) / 3) @ turn)


def plan_actors(rng: Generator, sprites: Sequence[Sprite], moments: np.ndarray) -> list[Actor]:
    """Plan paths on a ground plane or free ones; most cross, and objects may stay hidden for several frames."""
    count, ground, small = len(sprites), rng.random() < 0.65, rng.random() < 0.25
    size = rng.uniform(0.16, 0.32) if small else rng.uniform(0.6, 1.15) / (1 + 0.15 * count)
    reach = np.clip(0.55 * count * size * rng.uniform(0.8, 1.4), 0.3, 0.95)
    starts = (rng.permutation(count) + 0.5) / count - 0.5 + rng.normal(0, 0.05, count)
    ends = rng.permutation(starts) if rng.random() < 0.8 else -starts
    slow, phase = rng.choice([0, 0.6, 0.95]), rng.uniform(-0.7, 0.7)
    pace = moments + slow * np.sin(2 * math.pi * moments + phase) / (2 * math.pi)  # slow while objects cross
    horizon, drift = rng.uniform(-0.1, 0.15), rng.normal(0, rng.choice([0, 0, 0.2]))
    ids, actors = np.arange(1, count + 1), []
    if count > 2 and rng.random() < 0.25:
        ids[rng.integers(count)] = 0
    for sprite, object_id, start, end in zip(sprites, ids, starts, ends, strict=True):
        length = rng.choice([0.5, 0.8, 1.0])
        way = rng.uniform(0, 1 - length) + length * pace
        x = start + (end - start) * way + rng.normal(0, 0.15) * np.sin(math.pi * way) + draw_curve(rng, moments, 0.03)
        x = reach * x + drift * (moments - 0.5)
        if rng.random() < 0.2:  # leaves the frame; most return
            x = x + rng.choice([-1, 1]) * 1.2 * np.sin(math.pi * np.clip(rng.uniform(-0.4, 0.4) + moments, 0, 1)) ** 2
        depth = np.clip(rng.random() + draw_curve(rng, moments, 0.25), 0, 1.2)
        own_size = size * rng.uniform(0.9, 1.1)
        grown = own_size * (0.75 + 0.4 * depth if ground else np.exp(draw_curve(rng, moments, 0.15)))
        y = horizon + 0.3 * depth + 0.35 * size if ground else size / 2 + draw_curve(rng, moments, 0.14)
        steps = rng.choice([0, 0, 0.04]) * np.abs(np.sin(math.pi * rng.uniform(1, 5) * moments))
        turn = draw_curve(rng, moments, 0.4 if rng.random() < 0.1 else 0.04)
        colors, mirror = draw_colors(rng, rng.choice([0, 0.2, 0.5])), int(rng.choice([-1, 1]))
        place = (WIDTH * x, HEIGHT * (y - steps * size), depth, HEIGHT * grown)
        actors.append(Actor(sprite, int(object_id), *place, turn, mirror, colors))
    return actors


def draw_occluder(rng: Generator, sources: Sources, moments: np.ndarray) -> Actor:
    """Draw an unlabeled column or object that stands in front of all others."""
    still, size = np.zeros_like(moments), HEIGHT * rng.uniform(0.7, 1.3)
    (sprite,), foot = sources.draw_group(rng, 1, len(moments)), 0.6 * HEIGHT
    if rng.random() < 0.5:
        image, width, size, foot = np.zeros((HEIGHT, HEIGHT, 4), np.uint8), int(rng.integers(25, 75)), 500, 250
        image[:, (HEIGHT - width) // 2 :][:, :width] = np.insert(generate_texture(rng)[:, :width], 3, 255, axis=2)
        sprite = Sprite([image, image], width, HEIGHT)  # not bent
    return Actor(sprite, 0, still + rng.normal(0, 90), still + foot, still + 1.3, still + size, still, 1, np.eye(3))


def bend_sprite(rng: Generator, sprite: Sprite, frames: int) -> Sequence[np.ndarray]:
    """Return F frames of a sprite; one of a single image is bent slightly, by waves and at one joint."""
    if len(sprite.frames) > 1:
        loop = [*sprite.frames, *sprite.frames[-2:0:-1]]
        return [loop[index % len(loop)] for index in range(frames)]
    image, side, times = sprite.frames[0], len(sprite.frames[0]), np.linspace(0, 1, frames)
    waves = np.stack([draw_curve(rng, times, 0.008 * side) for _ in range(32)], 1).reshape(frames, 4, 4, 2)
    facing, pivot = rng.uniform(0, 2 * math.pi), side * rng.uniform(0.35, 0.65, 2)
    x, y = np.meshgrid(np.arange(side) - pivot[0], np.arange(side) - pivot[1])
    share = 1 / (1 + np.exp(-np.clip(x * math.cos(facing) + y * math.sin(facing), -side, side) / (0.1 * side)))
    result = []
    for wave, angle in zip(waves.astype(np.float32), draw_curve(rng, times, 0.1), strict=True):
        cosine, sine = np.cos(share * angle), np.sin(share * angle)
        points = np.dstack([cosine * x - sine * y, sine * x + cosine * y]) + pivot
        points += cv2.resize(wave, (side, side), interpolation=cv2.INTER_CUBIC)
        columns, rows = cv2.split(points.astype(np.float32))
        result.append(cv2.remap(image, columns, rows, cv2.INTER_LINEAR))
    return result


def draw_actor(
    frame: np.ndarray, labels: np.ndarray, actor: Actor, image: np.ndarray, index: int, cameras: np.ndarray,
    shade: float,
) -> None:  # fmt: skip
    """Draw an actor and its shadow, in place.

    Args:
        frame: H×W×3 float32.
        labels: H×W uint8.
        image: the actor's sprite on this frame.
        index: number of the frame.
        cameras: matrices B×2×3 from the actor's plane to the frame.
        shade: darkness of the shadow, 0 to 1.
    """
    scale = float(actor.size[index].mean()) / max(actor.sprite.width, actor.sprite.height)
    if scale < 0.7:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shrink, side, image = len(image) / len(actor.sprite.frames[0]), len(image) - 1, image.astype(np.float32)
    light = np.linspace(0.85, 1.1, side + 1, dtype=np.float32)[None, :: actor.mirror, None]
    np.clip(cv2.transform(image[..., :3], actor.colors) * light, 0, image[..., 3:], out=image[..., :3])
    scales, turns = actor.size[index] / actor.size[index].mean() * scale / shrink, actor.turn[index]
    moves = []
    for zoom, turn, x, y, camera in zip(scales, turns, actor.x[index], actor.y[index], cameras, strict=True):
        cosine, sine = zoom * math.cos(turn), zoom * math.sin(turn)
        linear = np.array([[cosine * actor.mirror, -sine], [sine * actor.mirror, cosine]])
        middle = [x, y - 0.5 * actor.sprite.height * zoom * shrink] - linear @ [side / 2, side / 2]
        moves.append(camera @ np.vstack([np.column_stack([linear, middle]), [0, 0, 1]]))
    corners = np.array([[0, 0, 1], [0, side, 1], [side, 0, 1], [side, side, 1]])
    reached = np.concatenate([corners @ move.T for move in moves])
    left, top = np.maximum(np.floor(reached.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(reached.max(0)).astype(int) + 1, [WIDTH, HEIGHT])
    if left >= right or top >= bottom:
        return
    window, offset = (slice(top, bottom), slice(left, right)), np.array([[0, 0, left], [0, 0, top]])
    drawn = [cv2.warpAffine(image, move - offset, (right - left, bottom - top)) for move in moves]
    mean, middle = sum(drawn[1:], drawn[0]) / len(drawn), len(drawn) // 2
    foot = cameras[middle] @ [actor.x[index, middle], actor.y[index, middle], 1]
    wide = 0.35 * actor.sprite.width * scale
    rows, columns = np.ogrid[top:bottom, left:right]
    distance = ((columns - foot[0]) / wide) ** 2 + ((rows - foot[1]) / (0.3 * wide)) ** 2
    frame[window] *= 1 - shade * np.exp(-distance)[..., None].astype(np.float32)
    frame[window] = frame[window] * (1 - mean[..., 3:] / 255) + mean[..., :3]
    labels[window][drawn[middle][..., 3] > 127] = actor.object_id


def draw_cameras(rng: Generator, moments: np.ndarray) -> np.ndarray:
    """Return matrices F×B×2×3 from the plane at depth 1 to the frame: pan, shake, zoom, roll."""
    zoom = np.exp(draw_curve(rng, moments, rng.choice([0, 0.05, 0.12])))
    roll = draw_curve(rng, moments, rng.choice([0, 0.02]))
    pan = [draw_curve(rng, moments, rng.choice(spreads)) for spreads in ([0, 12, 40], [0, 6, 15])]
    x, y = (each + rng.normal(0, rng.choice([0, 0, 1.5]), (len(moments), 1)) for each in pan)
    cosine, sine = zoom * np.cos(roll), zoom * np.sin(roll)
    return np.moveaxis(np.array([[cosine, -sine, x], [sine, cosine, y]]), (0, 1), (-2, -1))


def draw_cast(rng: Generator, sources: Sources, video: int | None, frames: int) -> list[Sprite]:
    """Draw two to seven objects in one or two groups of look-alikes, one perhaps of the background's ``video``."""
    count, kind = int(rng.choice(list(COUNTS), p=list(COUNTS.values()))), rng.random()
    groups = [count] if kind < 0.55 else [count - 1, 1] if kind < 0.8 else [count // 2, count - count // 2]
    sprites = [sprite for size in groups[1:] for sprite in sources.draw_group(rng, size, frames)]
    if video is not None and rng.random() < 0.35:
        sprites += sources.cut_out_copies(video, rng, groups[0])
    else:
        sprites += sources.draw_group(rng, groups[0], frames)
    return [sprites[index] for index in rng.permutation(count)]


def draw_background(image: np.ndarray, ids: np.ndarray, moves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return an image as HEIGHT×WIDTH×3 float32, blurred over B moves 2×3, and its ids uint8 at the middle one."""
    size, border = (WIDTH, HEIGHT), cv2.BORDER_REFLECT
    drawn = [cv2.warpAffine(image, move, size, borderMode=border).astype(np.float32) for move in moves]
    middle = moves[len(moves) // 2]
    labels = cv2.warpAffine(ids.astype(np.uint8), middle, size, flags=cv2.INTER_NEAREST, borderMode=border)
    return np.asarray(sum(drawn[1:], drawn[0]) / len(drawn)), np.asarray(labels)


def render_clip(rng: Generator, sources: Sources) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Render F frames HEIGHT×WIDTH×3 uint8 and their labels HEIGHT×WIDTH uint8; the first shows two objects or more."""
    count = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    shutter = np.linspace(-0.5, 0.5, BLUR_STEPS) * rng.uniform(0.3, 0.9) if rng.random() < 0.5 else np.zeros(1)
    moments = np.clip((np.arange(count)[:, None] + shutter) / (count - 1), 0, 1)
    background, video = sources.draw_background(rng, count)
    sprites = draw_cast(rng, sources, video, count)
    actors = plan_actors(rng, sprites, moments)
    if rng.random() < 0.3:
        actors.append(draw_occluder(rng, sources, moments))
    images = [bend_sprite(rng, actor.sprite, count) for actor in actors]
    cameras, (height, width) = draw_cameras(rng, moments), background[0][1].shape
    zoom = rng.uniform(1.2, 1.6) * max(WIDTH / width, HEIGHT / height)
    centered = np.array([[zoom, 0, -zoom * width / 2], [0, zoom, -zoom * height / 2], [0, 0, 1]])
    middle = np.array([[0, 0, WIDTH / 2], [0, 0, HEIGHT / 2]])
    shade, soft, look = rng.uniform(0.1, 0.4), rng.choice([0, 0.5, 0.9]), draw_colors(rng, 0.3)
    grain = rng.choice([0, 2, 5]) * rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    frames, labels = [], []
    for index in range(count):
        image, own = background[index % len(background)]
        views = cameras[index] * [1, 1, 0.6] + middle
        frame, ids = draw_background(image, np.where(own, own + len(sprites), 0), [view @ centered for view in views])
        depths = [float(actor.depth[index].mean()) for actor in actors]
        for number in np.argsort(depths):
            views = cameras[index] * [1, 1, 0.6 + 0.4 * depths[number]] + middle  # near objects move more
            draw_actor(frame, ids, actors[number], images[number][index], index, views, shade)
        frame = np.asarray(cv2.transform(frame, look))
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), soft)) if soft else frame
        frame += np.roll(grain, rng.integers(HEIGHT), axis=0)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
        labels.append(ids)
    visible = (np.bincount(labels[0].ravel(), minlength=2)[1:] >= MIN_VISIBLE).sum()
    return (frames, labels) if visible >= 2 else render_clip(rng, sources)
