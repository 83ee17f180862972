"""Clips on which identities fail: composed of images held out of training, and real videos with their masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from aotlab.dataloaders.training.clips import Clip, reflect_index
from aotlab.dataloaders.training.mixture import EDGE_BLUR, Motion
from aotlab.dataloaders.training.sets import ImageSet
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from research.bundled.benchmark_touching import held_out_images, panned, touching_clip, two_people
from research.bundled.touching_clips import Cutout, draw_cutouts

SIDE = 257
"""side of the square frames of composed clips in pixels"""
LARGE = 360, 640
"""height and width of the frames with small objects"""
FRAMES = 24
CLIPS = {"touching": 24, "people": 24, "crossing": 24, "returning": 24, "small": 12, "cuts": 12, "fast": 12}
"""number of clips of each composed group"""
REAL = {
    "davis16": ("breakdance-flare", "paragliding", "scooter-gray", "bmx-bumps", "horsejump-low", "kite-walk",
                "mallard-fly", "motocross-bumps"),
    "pairs": ("elephant+lucia", "car-turn+kite-walk", "swing+stroller", "horsejump-low+soccerball"),
}  # fmt: skip
"""videos of ``data/mini`` by set; only the first three of davis16 were kept out of training"""
LOOPED = {"davis16": ("scooter-gray",), "pairs": ("swing+stroller", "rhino+dance-jump", "boat+mallard-water")}
REAL_FRAMES, LOOPED_FRAMES = 30, 90

Compose = Callable[[ImageSet, Generator], Clip]


def compose_crossing(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip in which three to five like objects cross the frame and hide one another."""
    cutouts = draw_like(images, rng, int(rng.integers(3, 6)))
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
    """Compose a clip in which one of two like objects leaves the frame and returns at another height."""
    cutouts = draw_like(images, rng, 2)
    scales = [rng.uniform(0.3, 0.45) * SIDE / cutout.size.max() for cutout in cutouts]
    rows = rng.uniform(0.25, 0.75, 2) * SIDE
    stay = Motion(np.array([0.7, 0.5]) * SIDE, rng.normal(0, 0.05, 2) * SIDE, scales[0], 0.0, 0.0)

    def leave(time: float, centre: np.ndarray) -> np.ndarray:
        """Return the map of an object that is out of the frame in the middle third of the clip."""
        away = np.clip(1 - abs(time - 0.5) / 0.4, 0, 1) * 1.6
        row = rows[0] if time < 0.5 else rows[1]
        place = np.array([(0.3 - 0.55 * away) * SIDE, row])
        return Motion(place, np.zeros(2), scales[1], 0.0, 0.0).at(0.0, centre)

    return animate(draw_ground(images, rng, (SIDE, SIDE)), cutouts, [stay.at, leave])


def compose_small(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip of 640×360 with one or two like objects of about 1 % of the frame."""
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
        centres = [np.array([0.28, rng.uniform(0.35, 0.65)]), np.array([0.72, rng.uniform(0.35, 0.65)])]
        motions = [
            Motion(centres[place] * SIDE, rng.normal(0, 0.1, 2) * SIDE,
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
    clip = touching_clip(images, rng, 30, SIDE)
    return replace(clip, frames=clip.frames[::3], labels=clip.labels[::3])


COMPOSED: dict[str, Compose] = {
    "touching": lambda images, rng: touching_clip(images, rng, FRAMES, SIDE),
    "people": lambda images, rng: two_people(images, rng, FRAMES, SIDE),
    "crossing": compose_crossing,
    "returning": compose_returning,
    "small": compose_small,
    "cuts": compose_cuts,
    "fast": compose_fast,
}


def draw_like(images: ImageSet, rng: Generator, count: int) -> list[Cutout]:
    """Cut out ``count`` objects of like colours."""
    cutouts: list[Cutout] = []
    while len(cutouts) < count:
        cutouts = draw_cutouts(images, images.draw(rng), rng)
        cutouts = [cutouts[index % len(cutouts)] for index in range(count)] if cutouts else []
    return cutouts


def draw_ground(images: ImageSet, rng: Generator, size: tuple[int, int]) -> np.ndarray:
    """Pan over a random image: T×H×W×3 without objects."""
    image, mask = images.images[int(rng.integers(len(images.images)))].read()
    frames = panned(image, np.zeros_like(mask), rng, FRAMES, max(size)).frames
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


def list_clips(data: Path) -> Iterator[tuple[str, str, Callable[[], Clip]]]:
    """Yield group, name and a function that makes the clip, of all clips that rules are chosen on.

    Args:
        data: folder with ``static``, ``davis16`` and ``pairs``.
    """
    images = held_out_images(data)
    for number in range(max(CLIPS.values())):
        for seed, (group, compose) in enumerate(COMPOSED.items()):
            if number >= CLIPS[group]:
                continue

            def make(compose: Compose = compose, seed: tuple[int, int] = (seed, number)) -> Clip:
                clip = compose(images, np.random.default_rng([39, *seed]))
                return clip if clip.objects else make(compose, (seed[0], seed[1] + 1000))

            yield group, str(number), make
    for group, sets, length in (("real", REAL, REAL_FRAMES), ("long", LOOPED, LOOPED_FRAMES)):
        for kind, names in sets.items():
            for name in names:
                folder = data / kind
                parts = folder / "JPEGImages" / name, folder / "Annotations" / name

                def load(parts: tuple[Path, Path] = parts, group: str = group, length: int = length) -> Clip:
                    clip = read_video(*parts)
                    whole = len(clip.frames)
                    kept = [
                        reflect_index(i, whole)
                        for i in range(length if group == "long" else min(length, whole))
                    ]
                    return replace(clip, frames=clip.frames[kept], labels=clip.labels[kept])

                yield group, name, load


def list_reported(davis: Path) -> Iterator[tuple[str, str, Callable[[], Clip]]]:
    """Yield the name of a video as its group, of the lists of ``davis``, which nothing is chosen on."""
    frames, masks = davis / "JPEGImages" / "480p", davis / "Annotations" / "480p"
    for path in sorted(masks.iterdir()):
        yield path.name, "reported", lambda name=path.name: read_video(frames / name, masks / name)  # type: ignore[misc]
