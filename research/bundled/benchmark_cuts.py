"""J of the bundled model before and after cuts, for each setting of ``rules.after_cut``.

``python -m research.bundled.benchmark_cuts DATA``; DATA holds ``davis16``. Each clip has three shots: a video, another
one without its object, and the end of the first one again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np

from aotlab.dataloaders.training.clips import Clip
from aotlab.engine.tracking.tracker import Tracker
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import Choice, Folder, option
from aotlab.utils.progress import progress_bar

SETTINGS = ("continue", "end", "recognize")
OWN_SIZE = ("input.min_short_edge=null", "input.min_object=null")
"""Frames in their own size, which a CPU tracks in minutes."""
SHOT = 8
"""Number of frames of a shot."""
OFFSET = 7
"""Distance of the two videos of a clip in the list."""


class ShotScores(NamedTuple):
    """J of each shot in percent; on frames without the object, 100 without a mask, else 0."""

    before: float
    absent: float
    again: float


def read_video(root: Path, name: str) -> Clip:
    """Read a video and its masks of one object."""
    paths = sorted((root / "Annotations" / name).glob("*.png"))
    labels = np.stack([read_mask(path) > 0 for path in paths]).astype(np.uint8)
    images = np.stack([read_image(root / "JPEGImages" / name / f"{path.stem}.jpg") for path in paths])
    return Clip(images, labels, 1)


def compose_shots(clip: Clip, other: Clip) -> Clip:
    """Return a clip of three shots, the second one of ``other``, resized and without object."""
    height, width = clip.labels.shape[1:]
    frames = np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in other.frames])
    shots = clip.frames[:SHOT], frames[:SHOT], clip.frames[-SHOT:]
    labels = clip.labels[:SHOT], np.zeros((SHOT, height, width), np.uint8), clip.labels[-SHOT:]
    return Clip(np.concatenate(shots), np.concatenate(labels), 1)


def score_shots(labels: np.ndarray, predicted: np.ndarray) -> ShotScores:
    """Compare true and predicted masks T×H×W of one object, without the given first one."""
    truth, masks = labels == 1, predicted == 1
    union, shared = (truth | masks).sum((1, 2)), (truth & masks).sum((1, 2))
    scores = 100 * np.where(union, shared / np.maximum(union, 1), 1.0)
    return ShotScores(*(float(part.mean()) for part in (scores[1:SHOT], scores[SHOT : 2 * SHOT], scores[2 * SHOT :])))


def track_shots(tracker: Tracker, clip: Clip) -> ShotScores:
    """Track the object of a clip of shots from its first mask, and score each shot."""
    tracker.reset(len(clip.frames))
    mask = np.where(clip.labels[0] == 1, 1, 0).astype(np.uint8)
    predicted = [
        tracker.step(np.ascontiguousarray(frame), mask if index == 0 else None).labels
        for index, frame in enumerate(clip.frames)
    ]
    return score_shots(clip.labels, np.stack(predicted))


def format_rows(scores: dict[str, Sequence[ShotScores]]) -> list[str]:
    """Return the lines of the table from the scores of all clips by setting."""
    lines = ["| `rules.after_cut` | J before | object absent | object again | mean after cuts |", "|---" * 5 + "|"]
    for setting, values in scores.items():
        before, absent, again = np.mean(values, 0)
        lines.append(f"| `{setting}` | {before:.1f} | {absent:.1f} | {again:.1f} | {(absent + again) / 2:.1f} |")
    return lines


@command("python -m research.bundled.benchmark_cuts")
@click.argument("data", type=Folder, metavar="DATA", help="folder of davis16/")
@option("--list", "name", type=Choice(("train", "val")), default="train", help="list of videos in davis16/ImageSets")
def main(*, data: Path, name: str) -> int:
    """Measure what becomes of objects at cuts."""
    names = (data / "davis16" / "ImageSets" / f"{name}.txt").read_text().split()
    clips = [read_video(data / "davis16", video) for video in names]
    trackers = {
        setting: Tracker.from_pretrained(overrides=(*OWN_SIZE, "rules.cuts=true", f"rules.after_cut={setting}"))
        for setting in SETTINGS
    }
    scores: dict[str, list[ShotScores]] = {setting: [] for setting in SETTINGS}
    with progress_bar(len(clips) * len(SETTINGS), unit="clip") as bar:
        for index, clip in enumerate(clips):
            shots = compose_shots(clip, clips[(index + OFFSET) % len(clips)])
            for setting, tracker in trackers.items():
                scores[setting].append(track_shots(tracker, shots))
                bar.update()
    print(f"{len(clips)} clips of 3 shots of {SHOT} frames")
    print("\n".join(format_rows({**scores})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
