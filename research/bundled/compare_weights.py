"""Weights compared on clips of look-alikes and on videos, with intervals of their gains.

    python -m research.bundled.compare_weights DATA WEIGHTS... [--rendered FOLDER] [--davis FOLDER]

WEIGHTS is a file or ``bundled``, perhaps with settings: ``long.safetensors,rules.cuts=false``. Gains are over the
first weights, on the same clips.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.training.clips import Clip
from aotlab.dataloaders.training.layouts import read_video_folders
from aotlab.dataloaders.training.sets import list_frame_pairs, select_labeled_frames
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.benchmarks import find_benchmark, select_videos
from aotlab.evaluation.comparison import bootstrap_mean
from aotlab.evaluation.label_scores import score_labels
from aotlab.media.masks import VOID
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, PositiveInt, list_option, option
from aotlab.utils.progress import progress_bar
from research.bundled.benchmark_touching import (
    FRAMES,
    SIDE,
    expected_calibration_error,
    softmax_with_temperature,
    track_clip,
)
from research.bundled.touching_clips import HELD_OUT_PART, compose_people_clip, compose_touching_clip, open_static_part

SHOWN = 50
"""Smallest number of pixels of an object on the first frame, for it to be tracked and scored."""
SMALL_VIDEOS = ("breakdance-flare", "paragliding", "scooter-gray")
"""Videos of 240 rows that no training uses."""
INTERVAL = 0.9
HEADER = ("clips", "number", "weights", "J&F", "gain (90 %)", "J", "pixels exchanged", "calibration error")


class Result(NamedTuple):
    """Result of tracking one clip."""

    mean: float
    """J&F in percent."""
    region: float
    """J in percent."""
    exchanged: int
    """Number of pixels of objects that are labeled as another object."""
    pixels: int
    """Number of pixels of objects."""
    probability: np.ndarray
    """N float32, of pixels that are labeled as an object."""
    right: np.ndarray
    """N bools."""


def keep_first_objects(clip: Clip) -> Clip:
    """Return a clip with only the objects that its first frame shows, numbered from 1; 255 is void."""
    counts = np.bincount(clip.labels[0].ravel(), minlength=256)
    ids = [index for index in range(1, VOID) if counts[index] >= SHOWN]
    numbers = np.zeros(256, np.uint8)
    numbers[ids], numbers[VOID] = np.arange(1, len(ids) + 1), VOID
    return Clip(clip.frames, numbers[clip.labels], len(ids), clip.names)


def read_clip(video: Video) -> Clip:
    """Read the labeled frames of a video and their masks."""
    images, labels = zip(*(frame.read() for frame in list_frame_pairs(select_labeled_frames(video))), strict=True)
    return Clip(np.stack(images), np.stack(labels), 0, (video.name,))


def track(tracker: Tracker, clip: Clip) -> Result:
    """Track a clip and score it."""
    predicted, (logits, channels) = track_clip(tracker, clip)
    probability = softmax_with_temperature(logits, tracker.config.confidence_temperature)
    scores = score_labels(list(clip.labels), predicted)
    truth, found = clip.labels[1:], np.stack(predicted[1:])
    objects = (truth > 0) & (truth < VOID)
    exchanged = int((objects & (found > 0) & (found != truth)).sum())
    return Result(
        100 * scores.mean, 100 * scores.J, exchanged, int(objects.sum()),
        probability.max(1), probability.argmax(1) == channels,
    )  # fmt: skip


def list_groups(
    data: Path, rendered: Path | None, davis: Path | None, clips: int
) -> Iterator[tuple[str, list[Callable[[], Clip]]]]:
    """Yield the name of each group of clips, and functions that make them."""
    if rendered:
        yield "rendered", [partial(read_clip, video) for video in read_video_folders(rendered)[:clips]]
    images = open_static_part(data, HELD_OUT_PART)
    for name, compose in (("touching", compose_touching_clip), ("people", compose_people_clip)):
        rngs = (np.random.default_rng([1, number]) for number in range(clips))
        yield name, [partial(compose, images, rng, FRAMES, SIDE) for rng in rngs]
    for name in ("davis2017", "davis2016") if davis else ():
        yield name, [partial(read_clip, video) for video in find_benchmark(name).open_videos(davis)]
    videos = select_videos(find_benchmark("folder").open_videos(data / "davis16"), SMALL_VIDEOS)
    yield "240p", [partial(read_clip, video) for video in videos]


def format_rows(name: str, weights: Sequence[str], results: Sequence[Sequence[Result]]) -> list[str]:
    """Return a line of the table for each weights; ``results``: a list for each clip of the result of each weights."""
    rows = []
    for number, label in enumerate(weights):
        column = [clip[number] for clip in results]
        gains = [[after.mean - clip[0].mean] for after, clip in zip(column, results, strict=True)]
        interval = bootstrap_mean(gains, INTERVAL) if number else None
        gain = f"{np.mean(gains):+.1f}" + (" ({:+.1f} to {:+.1f})".format(*interval) if interval else "")
        exchanged = sum(result.exchanged for result in column) / max(1, sum(result.pixels for result in column))
        probability, right = (np.concatenate([result[index] for result in column]) for index in (4, 5))
        means = [float(np.mean([result[index] for result in column])) for index in (0, 1)]
        values = (name, str(len(column)), label, f"{means[0]:.1f}", gain if number else "", f"{means[1]:.1f}",
                  f"{exchanged:.1%}", f"{expected_calibration_error(probability, right):.1%}")  # fmt: skip
        rows.append(f"| {' | '.join(values)} |")
    return rows


def load_tracker(weights: str) -> Tracker:
    """Load ``FILE,key=value,...`` or ``bundled,key=value,...``."""
    file, *settings = weights.split(",")
    return Tracker.from_pretrained(None if file == "bundled" else file, overrides=settings)


@command("python -m research.bundled.compare_weights")
@click.argument("data", type=ExistingFolder, metavar="DATA", help="folder of static/ and davis16/")
@click.argument("weights", nargs=-1, required=True, metavar="WEIGHTS...", help="files, or bundled, and settings")
@option("--rendered", type=ExistingFolder, help="clips of research.bundled.crossings, of another seed than in training")
@option("--davis", type=ExistingFolder, help="folder in the layout of DAVIS, with val lists of 2016 and 2017")
@option("--clips", type=PositiveInt, default=24, help="number of rendered and of composed clips")
@list_option("--groups", "only these: rendered, touching, people, davis2017, davis2016, 240p")
def main(
    *, data: Path, weights: tuple[str, ...], rendered: Path | None, davis: Path | None, clips: int,
    groups: tuple[str, ...],
) -> int:  # fmt: skip
    """Compare weights on clips of look-alikes and on videos."""
    trackers = [load_tracker(each) for each in weights]
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|")
    for name, makers in list_groups(data, rendered, davis, clips):
        if groups and name not in groups:
            continue
        results = []
        with progress_bar(len(makers), unit="clip") as bar:
            for make in makers:
                clip = keep_first_objects(make())
                results.append([track(tracker, clip) for tracker in trackers])
                bar.update()
        print("\n".join(format_rows(name, weights, results)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
