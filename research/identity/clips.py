"""Clips on which identities fail: composed clips, and real videos with their masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.dataloaders.training.clips import Clip, reflect_index
from aotlab.dataloaders.training.mixture import EDGE_BLUR, Motion
from aotlab.dataloaders.training.sets import ImageSet
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from research.bundled.benchmark_touching import (
    compose_people_clip,
    compose_touching_clip,
    list_images,
    pan_image,
)
from research.bundled.touching_clips import Cutout, cut_out_object, draw_cutouts, paste_touching

SIDE = 257
"""side of the square frames of composed clips in pixels"""
LARGE = 360, 640
"""height and width of the frames with small objects"""
FRAMES = 24
CLIPS = {
    "touching": 24,
    "people": 24,
    "crossing": 24,
    "returning": 24,
    "small": 12,
    "cuts": 12,
    "fast": 12,
    "long": 8,
    "crossing_different": 24,
    "touching_different": 24,
}
"""number of clips of each composed group; objects look alike, except in groups of different colors"""
HELD_OUT = ("breakdance-flare", "paragliding", "scooter-gray")
"""videos of ``datasets/mini/davis16`` that the bundled model was not trained on"""
LAST_SERIES = ("dance-jump", "flamingo", "lucia", "swing")
REAL = (
    {
        "davis16": (*HELD_OUT, "bmx-bumps", "horsejump-low", "kite-walk", "mallard-fly", "motocross-bumps"),
        "pairs": ("elephant+lucia", "car-turn+kite-walk", "swing+stroller", "horsejump-low+soccerball"),
    },
    {
        "davis16": ("hike", "soccerball", "stroller", "surf"),
        "pairs": ("bear+flamingo", "boat+mallard-water", "bus+hike", "rhino+dance-jump"),
    },
    {"davis16": ("car-turn", "dance-jump", "drift-turn", "lucia"), "pairs": ("train+tennis",)},
)
"""videos of ``datasets/mini`` by series and set"""
PASTED: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    tuple(product(HELD_OUT, HELD_OUT)),
    tuple(product(LAST_SERIES, LAST_SERIES)),
)
"""videos by series: a video, and the one whose object is mirrored and drawn over it"""
MIN_COLOR_DIFFERENCE = 60.0
"""smallest distance of the mean colors of objects of different colors, in levels of 8 bits of R, G and B"""
REAL_FRAMES, LONG_FRAMES = 30, 150

Compose = Callable[[ImageSet, Generator], Clip]
Draw = Callable[[ImageSet, Generator, int], list[Cutout]]


def compose_crossing(images: ImageSet, rng: Generator, draw: Draw | None = None) -> Clip:
    """Compose a clip in which three to five objects, like ones without ``draw``, cross the frame."""
    cutouts = (draw or draw_like)(images, rng, int(rng.integers(3, 6)))
    motions = []
    for index, cutout in enumerate(cutouts):
        scale = rng.uniform(0.25, 0.4) * SIDE / cutout.size.max()
        row = (0.5 + 0.12 * (index - (len(cutouts) - 1) / 2) + rng.normal(0, 0.03)) * SIDE
        column = (0.12 + 0.76 * index / (len(cutouts) - 1)) * SIDE
        motions.append(
            Motion(np.array([column, row]), np.array([SIDE - 2 * column, rng.normal(0, 0.06) * SIDE]),
                   scale, rng.uniform(-0.1, 0.1), rng.normal(0, 0.1))
        )  # fmt: skip
    return animate(draw_ground(images, rng, (SIDE, SIDE)), cutouts, [motion.at for motion in motions])


def compose_returning(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip in which one of two similar objects leaves the frame and returns at another height."""
    cutouts = draw_like(images, rng, 2)
    scales = [rng.uniform(0.3, 0.45) * SIDE / cutout.size.max() for cutout in cutouts]
    rows = rng.uniform(0.25, 0.75, 2) * SIDE
    stay = Motion(np.array([0.7, 0.5]) * SIDE, rng.normal(0, 0.05, 2) * SIDE, scales[0], 0.0, 0.0)

    def leave(time: float, center: np.ndarray) -> np.ndarray:
        """Return the map of an object that is out of the frame in the middle third of the clip."""
        away = np.clip(1 - abs(time - 0.5) / 0.4, 0, 1) * 1.6
        row = rows[0] if time < 0.5 else rows[1]
        place = np.array([(0.3 - 0.55 * away) * SIDE, row])
        return Motion(place, np.zeros(2), scales[1], 0.0, 0.0).at(0.0, center)

    return animate(draw_ground(images, rng, (SIDE, SIDE)), cutouts, [stay.at, leave])


def compose_touching_different(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip in which two or three objects of different colors touch or overlap, and pass or part."""
    cutouts = draw_different(images, rng, int(rng.integers(2, 4)))
    frames = draw_ground(images, rng, (SIDE, SIDE))
    ground = Clip(frames, np.zeros(frames.shape[:3], np.uint8), 0)
    return paste_touching(ground, cutouts, rng, max_objects=10)


def compose_small(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip of 640×360 with one or two similar objects of about 1 % of the frame."""
    cutouts = draw_like(images, rng, int(rng.integers(1, 3)))
    motions, size = [], np.array([LARGE[1], LARGE[0]])
    for cutout in cutouts:
        scale = rng.uniform(30, 55) / math.sqrt(cutout.mask.sum())
        start = rng.uniform(0.2, 0.8, 2) * size
        end = np.clip(start + rng.normal(0, 0.2, 2) * size, 0.1 * size, 0.9 * size)
        motions.append(Motion(start, end - start, scale, rng.uniform(-0.2, 0.2), rng.normal(0, 0.15)))
    return animate(draw_ground(images, rng, LARGE), cutouts, [motion.at for motion in motions])


def compose_cuts(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip of three shots: two objects in other places before another image, then the first shot again."""
    cutouts = draw_like(images, rng, 2)
    shots = []
    for _ in range(2):
        centers = [np.array([0.28, rng.uniform(0.35, 0.65)]), np.array([0.72, rng.uniform(0.35, 0.65)])]
        motions = [
            Motion(centers[place] * SIDE, rng.normal(0, 0.1, 2) * SIDE,
                   rng.uniform(0.3, 0.45) * SIDE / cutout.size.max(), 0.1, rng.normal(0, 0.1))
            for place, cutout in zip(rng.permutation(2), cutouts, strict=True)
        ]  # fmt: skip
        shots.append(
            animate(draw_ground(images, rng, (SIDE, SIDE)), cutouts, [motion.at for motion in motions])
        )
    third = FRAMES // 3
    parts = [(shots[0], slice(0, third)), (shots[1], slice(0, third)), (shots[0], slice(third, 2 * third))]
    frames, labels = (np.concatenate([getattr(shot, name)[part] for shot, part in parts])
                      for name in ("frames", "labels"))  # fmt: skip
    return Clip(frames, labels, 2)


def compose_fast(images: ImageSet, rng: Generator) -> Clip:
    """Every third frame of a clip of touching objects."""
    clip = compose_touching_clip(images, rng, 30, SIDE)
    return replace(clip, frames=clip.frames[::3], labels=clip.labels[::3])


def compose_long(images: ImageSet, rng: Generator) -> Clip:
    """Play a clip of touching, crossing or returning objects or of people forward and backward, again and again."""
    groups = ("touching", "people", "crossing", "returning")
    return loop_clip(COMPOSED[groups[int(rng.integers(len(groups)))]](images, rng), LONG_FRAMES)


COMPOSED: dict[str, Compose] = {
    "touching": lambda images, rng: compose_touching_clip(images, rng, FRAMES, SIDE),
    "people": lambda images, rng: compose_people_clip(images, rng, FRAMES, SIDE),
    "crossing": compose_crossing,
    "returning": compose_returning,
    "small": compose_small,
    "cuts": compose_cuts,
    "fast": compose_fast,
    "long": compose_long,
    "crossing_different": lambda images, rng: compose_crossing(images, rng, draw_different),
    "touching_different": compose_touching_different,
}


def draw_like(images: ImageSet, rng: Generator, count: int) -> list[Cutout]:
    """Cut out ``count`` objects of like colors."""
    cutouts: list[Cutout] = []
    while len(cutouts) < count:
        cutouts = draw_cutouts(images, images.sample_index(rng), rng)
        cutouts = [cutouts[index % len(cutouts)] for index in range(count)] if cutouts else []
    return cutouts


def draw_different(images: ImageSet, rng: Generator, count: int) -> list[Cutout]:
    """Cut out ``count`` objects of different colors."""
    cutouts: list[Cutout] = []
    colors: list[np.ndarray] = []
    while len(cutouts) < count:
        cutout = cut_out_object(*images.images[images.sample_index(rng)].read(), rng)
        if cutout is None:
            continue
        color = cutout.image[cutout.mask > 0].mean(0)
        if all(math.dist(color, other) >= MIN_COLOR_DIFFERENCE for other in colors):
            cutouts.append(cutout)
            colors.append(color)
    return cutouts


def draw_ground(images: ImageSet, rng: Generator, size: tuple[int, int]) -> np.ndarray:
    """Pan over a random image: T×H×W×3 without objects."""
    image, mask = images.images[int(rng.integers(len(images.images)))].read()
    frames = pan_image(image, np.zeros_like(mask), rng, FRAMES, max(size)).frames
    return np.ascontiguousarray(frames[:, : size[0], : size[1]])


def animate(
    frames: np.ndarray,
    cutouts: Sequence[Cutout],
    motions: Sequence[Callable[[float, np.ndarray], np.ndarray]],
) -> Clip:
    """Draw objects 1 to n over frames T×H×W×3, the last on top; ``motions``: see `Motion.at`."""
    height, width = frames.shape[1:3]
    labels = np.zeros(frames.shape[:3], np.uint8)
    for index, frame in enumerate(frames):
        for number, (cutout, move) in enumerate(zip(cutouts, motions, strict=True), start=1):
            matrix = move(index / (len(frames) - 1), cutout.size / 2)[:2]
            mask = cv2.warpAffine(cutout.mask, matrix, (width, height))
            image = cv2.warpAffine(cutout.image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
            cover = cv2.GaussianBlur(mask, (0, 0), EDGE_BLUR)[..., None]
            frame[:] = np.rint(frame + cover * (image.astype(np.float32) - frame))
            labels[index][mask > 0.5] = number
    return Clip(frames, labels, len(cutouts))


def read_video(frames: Path, masks: Path) -> Clip:
    """Read a folder of frames and one of masks; 255 in an annotation of one object is the object."""
    paths = sorted(masks.glob("*.png"))
    labels = np.stack([read_mask(path) for path in paths])
    if set(np.unique(labels)) == {0, 255}:
        labels = (labels > 0).astype(np.uint8)
    images = np.stack([read_image(frames / f"{path.stem}.jpg") for path in paths])
    return Clip(images, labels, int(labels[0].max()))


def loop_clip(clip: Clip, frames: int) -> Clip:
    """Play a clip forward and backward until it has ``frames`` frames."""
    kept = [reflect_index(index, len(clip.frames)) for index in range(frames)]
    return replace(clip, frames=clip.frames[kept], labels=clip.labels[kept])


def paste_video(ground: Clip, top: Clip) -> Clip:
    """Draw object 1 of a clip, mirrored, over another clip of the same size, as object 2."""
    count = min(len(ground.frames), len(top.frames))
    frames, labels = top.frames[:count, :, ::-1], top.labels[:count, :, ::-1]
    pasted = np.where(labels[..., None] == 1, frames, ground.frames[:count])
    return Clip(pasted, np.where(labels == 1, 2, ground.labels[:count]).astype(np.uint8), 2)


def compose_clip(compose: Compose, images: ImageSet, seed: tuple[int, int, int]) -> Clip:
    """Compose a clip with objects; ``seed``: of the series, the group and the clip."""
    clip = compose(images, np.random.default_rng(seed))
    return clip if clip.objects else compose_clip(compose, images, (*seed[:2], seed[2] + 1000))


def list_clips(data: Path, series: int = 0) -> Iterator[tuple[str, str, Callable[[], Clip]]]:
    """Yield group, name and a function that makes the clip, of all clips that rules are chosen on.

    Args:
        data: folder with ``static``, ``davis16`` and ``pairs``.
        series: 0: clips that the rules were made on; 1 and 2: clips of other images and videos, to decide on defaults.
    """
    images = list_images(data, series)

    def read(kind: str, name: str) -> Clip:
        return read_video(data / kind / "JPEGImages" / name, data / kind / "Annotations" / name)

    def cut(kind: str, name: str) -> Clip:
        clip = read(kind, name)
        return replace(clip, frames=clip.frames[:REAL_FRAMES], labels=clip.labels[:REAL_FRAMES])

    def paste(ground: str, top: str) -> Clip:
        return paste_video(read("davis16", ground), read("davis16", top))

    for kind, names in REAL[series].items():
        for name in names:
            yield "real", name, partial(cut, kind, name)
    for ground, top in PASTED[series]:
        yield "pasted", f"{ground}+{top}", partial(paste, ground, top)
    for number in range(max(CLIPS.values())):
        for seed, (group, compose) in enumerate(COMPOSED.items()):
            if number < CLIPS[group]:
                yield group, str(number), partial(compose_clip, compose, images, (39 + series, seed, number))
    for ground, top in PASTED[series]:
        if ground == top:
            yield "long", f"{ground}+{top}", lambda pair=(ground, top): loop_clip(paste(*pair), LONG_FRAMES)  # type: ignore[misc]
