"""J of the bundled model without and with the hook `ComponentOwnership`.

``python -m research.ownership.benchmark DATA [--davis FOLDER]``; DATA holds ``static`` and ``davis16``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np
from numpy.random import Generator

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.training.clips import Clip, Motion, paste
from aotlab.dataloaders.training.sets import ImageSet, list_frame_pairs
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import score_labels
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, Folder, option
from aotlab.utils.progress import progress_bar
from research.bundled.touching_clips import (
    MAX_OBJECTS,
    Cutout,
    compose_people_clip,
    compose_touching_clip,
    cut_out_object,
    draw_cutouts,
    open_static_part,
    pan_image,
    paste_touching,
)
from research.ownership.hook import ComponentOwnership

WITHOUT_RULES = ("input.min_short_edge=null", "input.min_object=null", "rules.cuts=false")
"""No rule, and frames in their own size, which a CPU tracks in minutes."""
PART = 2
"""Part of the images that the hook was not chosen on."""
SEED = 41
SIDE = 257
"""Side of the frames of composed clips in pixels."""
FRAMES = 24
PASTED = ("dance-jump", "flamingo", "lucia", "swing")
"""Videos of ``davis16`` that are pasted over one another."""
MIN_COLOR_DIFFERENCE = 60.0
"""Minimum distance of the mean colors of objects of different colors, in levels of 8 bits of R, G and B."""
RESAMPLES = 5000

DrawObjects = Callable[[ImageSet, Generator, int], list[Cutout]]


def draw_similar(images: ImageSet, rng: Generator, count: int) -> list[Cutout]:
    """Cut out ``count`` objects of similar colors."""
    cutouts: list[Cutout] = []
    while not cutouts:
        cutouts = draw_cutouts(images, images.sample_index(rng), rng)
    return [cutouts[index % len(cutouts)] for index in range(count)]


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


def compose_crossing(images: ImageSet, rng: Generator, draw: DrawObjects = draw_similar) -> Clip:
    """Compose a clip in which three to five objects cross the frame."""
    cutouts = draw(images, rng, int(rng.integers(3, 6)))
    motions = []
    for index, cutout in enumerate(cutouts):
        scale = rng.uniform(0.25, 0.4) * SIDE / cutout.size.max()
        row = (0.5 + 0.12 * (index - (len(cutouts) - 1) / 2) + rng.normal(0, 0.03)) * SIDE
        column = (0.12 + 0.76 * index / (len(cutouts) - 1)) * SIDE
        shift = np.array([SIDE - 2 * column, rng.normal(0, 0.06) * SIDE])
        growth, turn = rng.uniform(-0.1, 0.1), rng.normal(0, 0.1)
        motions.append(Motion(np.array([column, row]), shift, scale, growth, turn))
    return animate(draw_background(images, rng), cutouts, motions)


def compose_touching_different(images: ImageSet, rng: Generator) -> Clip:
    """Compose a clip in which two or three objects of different colors touch or overlap."""
    cutouts = draw_different(images, rng, int(rng.integers(2, 4)))
    frames = draw_background(images, rng)
    background = Clip(frames, np.zeros(frames.shape[:3], np.uint8), 0)
    return paste_touching(background, cutouts, rng, max_objects=MAX_OBJECTS)


def draw_background(images: ImageSet, rng: Generator) -> np.ndarray:
    """Pan over a random image: T×H×W×3 without objects."""
    image, mask = images.images[int(rng.integers(len(images.images)))].read()
    return pan_image(image, np.zeros_like(mask), rng, FRAMES, SIDE).frames


def animate(frames: np.ndarray, cutouts: Sequence[Cutout], motions: Sequence[Motion]) -> Clip:
    """Draw objects 1 to n over frames T×H×W×3, in place, the last one on top."""
    labels = np.zeros(frames.shape[:3], np.uint8)
    for index, frame in enumerate(frames):
        for number, (cutout, motion) in enumerate(zip(cutouts, motions, strict=True), start=1):
            matrix = motion.matrix(index / (len(frames) - 1), cutout.size / 2)[:2]
            mask = cv2.warpAffine(cutout.mask, matrix, (SIDE, SIDE))
            image = cv2.warpAffine(cutout.image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
            paste(frame, image, mask)
            labels[index][mask > 0.5] = number
    return Clip(frames, labels, len(cutouts))


def read_labeled_clip(video: Video) -> Clip:
    """Read the labeled frames of a benchmark's video and their masks."""
    images, labels = zip(*(frame.read() for frame in list_frame_pairs(video)), strict=True)
    return Clip(np.stack(images), np.stack(labels), 0)


def read_video(root: Path, name: str) -> Clip:
    """Read a video and its masks of one object."""
    paths = sorted((root / "Annotations" / name).glob("*.png"))
    labels = np.stack([read_mask(path) > 0 for path in paths]).astype(np.uint8)
    images = np.stack([read_image(root / "JPEGImages" / name / f"{path.stem}.jpg") for path in paths])
    return Clip(images, labels, 1)


def paste_video(bottom: Clip, top: Clip) -> Clip:
    """Draw object 1 of a clip, mirrored, over another clip of the same size, as object 2."""
    count = min(len(bottom.frames), len(top.frames))
    frames, labels = top.frames[:count, :, ::-1], top.labels[:count, :, ::-1]
    pasted = np.where(labels[..., None] == 1, frames, bottom.frames[:count])
    return Clip(pasted, np.where(labels == 1, 2, bottom.labels[:count]).astype(np.uint8), 2)


class Group(NamedTuple):
    """Composed clips of one kind."""

    compose: Callable[[ImageSet, Generator], Clip]
    clips: int
    seed: int


GROUPS = {
    "touching": Group(lambda images, rng: compose_touching_clip(images, rng, FRAMES, SIDE), 22, 0),
    "crossing": Group(compose_crossing, 22, 2),
    "people": Group(lambda images, rng: compose_people_clip(images, rng, FRAMES, SIDE), 12, 1),
    "touching_different": Group(compose_touching_different, 22, 9),
    "crossing_different": Group(partial(compose_crossing, draw=draw_different), 22, 8),
}
"""Objects are similar, except in groups of different colors."""


def compose_clip(group: Group, images: ImageSet, number: int) -> Clip:
    """Compose a clip that shows an object on its first frame."""
    clip = group.compose(images, np.random.default_rng((SEED, group.seed, number)))
    return clip if clip.num_objects else compose_clip(group, images, number + 1000)


def list_clips(data: Path, davis: Path | None = None) -> Iterator[tuple[str, Callable[[], Clip]]]:
    """Yield the group of each clip and a function that makes it; ``davis``: videos in its layout, each a group."""
    for dataset in ("davis2017", "davis2016") if davis else ():
        for video in find_benchmark(dataset).open_videos(davis):
            yield f"{dataset} {video.name}", partial(read_labeled_clip, video)
    images, videos = open_static_part(data, PART), data / "davis16"
    for name, group in GROUPS.items():
        for number in range(group.clips):
            yield name, partial(compose_clip, group, images, number)
    for bottom, top in product(PASTED, PASTED):
        yield "pasted", lambda pair=(bottom, top): paste_video(*(read_video(videos, name) for name in pair))  # type: ignore[misc]


class Score(NamedTuple):
    """Result of tracking one clip."""

    region: float
    """J in percent."""
    exchanged: int
    """Number of pixels of objects that are labeled as another object."""
    pixels: int


def track(tracker: Tracker, clip: Clip) -> Score:
    """Track a clip and score it."""
    tracker.reset(len(clip.frames))
    predictions = []
    for index, frame in enumerate(clip.frames):
        mask = np.where(clip.labels[0] < VOID, clip.labels[0], 0) if index == 0 else None
        predictions.append(tracker.step(np.ascontiguousarray(frame), mask).labels)
    truth, predicted = clip.labels[1:], np.stack(predictions[1:])
    objects = (truth > 0) & (truth < VOID)
    exchanged = objects & (predicted > 0) & (predicted != truth)
    region = score_labels(list(clip.labels), predictions).region.mean()
    return Score(100 * float(region), int(exchanged.sum()), int(objects.sum()))


def format_row(name: str, without: np.ndarray, scores: np.ndarray) -> str:
    """Return one line of the table from two N×3 arrays of `Score`: a group without and with the hook."""
    gains = scores[:, 0] - without[:, 0]
    drawn = np.random.default_rng(0).integers(len(gains), size=(RESAMPLES, len(gains)))
    low, high = np.percentile(gains[drawn].mean(1), (5, 95))
    (before, *counts), (after, *new_counts) = without.mean(0), scores.mean(0)
    exchanged, still = (100 * switched / pixels for switched, pixels in (counts, new_counts))
    return (
        f"| {name} | {len(gains)} | {before:.1f} | {after:.1f} | {gains.mean():+.1f} ({low:+.1f} to {high:+.1f}) "
        f"| {exchanged:.1f} → {still:.1f} % |"
    )


@command("python -m research.ownership.benchmark")
@click.argument("data", type=Folder, metavar="DATA", help="folder of static/ and davis16/")
@option("--davis", type=ExistingFolder, help="folder in the layout of DAVIS, with val lists of 2016 and 2017")
def main(*, data: Path, davis: Path | None) -> int:
    """Measure the hook on composed clips, pasted videos and videos."""
    trackers = [Tracker.from_pretrained(overrides=WITHOUT_RULES, hooks=hooks) for hooks in ((), [ComponentOwnership()])]
    scores: dict[str, list[list[Score]]] = {}
    clips = list(list_clips(data, davis))
    with progress_bar(len(clips), unit="clip") as bar:
        for name, make in clips:
            clip = make()
            scores.setdefault(name, []).append([track(tracker, clip) for tracker in trackers])
            bar.update()
    scores["all"] = list(chain.from_iterable(scores[name] for name in (*GROUPS, "pasted")))
    print("| objects | videos | without | with | gain (90 %) | pixels exchanged |")
    print("|---" * 6 + "|")
    for name, pairs in scores.items():
        print(format_row(name, *np.array(pairs).swapaxes(0, 1)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
