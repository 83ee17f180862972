"""A tracker over the videos of a data set: result PNGs, frames per second, scores where truth is known."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from dataloaders.images import read_image
from dataloaders.sequences import Video
from engine.scoring import has_truth, score_videos
from evaluation.davis import annotation_labels
from evaluation.sequences import SequenceScores
from utils.errors import InputError
from utils.files import atomic_path, require_writable
from utils.masks import read_mask, write_mask
from utils.overlay import overlay as draw_overlay

if TYPE_CHECKING:
    from engine.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass
class EvaluationReport:
    """What came of an evaluation run."""

    output: Path
    """folder with one folder of PNGs for each sequence"""
    finished: list[str] = field(default_factory=list)
    """sequences that ran to their last frame"""
    failures: dict[str, str] = field(default_factory=dict)
    """sequence to what went wrong with it"""
    timed_frames: int = 0
    seconds: float = 0.0
    """spent in the tracker on the timed frames: all but the first of each video; no reading or writing"""

    @property
    def fps(self) -> float | None:
        """Frames per second of the tracker alone; None where no frame was timed."""
        return self.timed_frames / self.seconds if self.seconds > 0 else None


def evaluate(
    tracker: Tracker,
    videos: Sequence[Video],
    output: Path,
    *,
    overlay: bool = False,
    progress: bool = True,
) -> EvaluationReport:
    """Track every video and write ``output/<sequence>/<frame>.png``; one that cannot be read is skipped.

    Args:
        tracker: reset before each video.
        videos: what to run on.
        output: folder of the results.
        overlay: also write ``output/overlay/<sequence>/<frame>.jpg``.
        progress: show a bar over all frames on stderr.

    Raises:
        InputError: the output folder cannot be written, or holds the data set itself.
    """
    require_writable(output)
    _refuse_source_folders(videos, output)
    report = EvaluationReport(output)
    with tqdm(total=sum(len(video.frames) for video in videos), unit="frame", disable=not progress) as bar:
        for video in videos:
            bar.set_description(video.name)
            spent: list[float] = []
            try:
                for seconds in track_video(tracker, video, output, overlay=overlay):
                    spent.append(seconds)
                    bar.update()
                report.finished.append(video.name)
            except InputError as error:
                log.error("%s: skipped: %s", video.name, error)
                report.failures[video.name] = str(error)
                bar.update(len(video.frames) - len(spent))
            report.timed_frames += len(spent[1:])
            report.seconds += sum(spent[1:])
    return report


def track_video(tracker: Tracker, video: Video, output: Path, *, overlay: bool = False) -> Iterator[float]:
    """Track one video, writing each frame's result when it is made; yields the seconds its step took.

    Raises:
        InputError: a frame or mask cannot be read, or a result not written.
    """
    tracker.reset(len(video.frames))
    known: set[int] = set()
    for index, path in enumerate(video.frames):
        frame = read_image(path)
        height, width = frame.shape[:2]
        size = video.output_size(height, width)
        mask = _reference(video, index, (height, width), known)
        start = time.perf_counter()
        labels = tracker.step(frame, mask, size=size).labels
        seconds = time.perf_counter() - start
        if mask is not None:
            if not known:
                # benchmarks expect the given mask itself in the first frame
                labels = resize_labels(mask, size)
            known.update(np.unique(mask).tolist())
        if video.written is None or path.stem in video.written:
            write_mask(output / video.name / f"{path.stem}.png", labels)
        if overlay:
            _write_overlay(output / "overlay" / video.name / f"{path.stem}.jpg", frame, labels)
        yield seconds


def score(videos: Sequence[Video], report: EvaluationReport) -> dict[str, SequenceScores]:
    """Score the finished videos with ground truth; those that cannot be scored join the failures."""
    scorable = [video for video in videos if video.name in report.finished and has_truth(video)]
    found = score_videos(scorable, report.output)
    report.failures |= found.failures
    return found.scores


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """H×W ids in another (height, width), by nearest neighbour: ids have no values in between."""
    if labels.shape == size:
        return labels
    rows, columns = (
        ((np.arange(wanted) + 0.5) * have / wanted).astype(np.intp)
        for have, wanted in zip(labels.shape, size, strict=True)
    )
    return labels[rows[:, None], columns[None, :]]


def _reference(video: Video, index: int, size: tuple[int, int], known: set[int]) -> np.ndarray | None:
    """The ids given to the method at a frame, H×W, void as background; None where nothing is given.

    Only objects that begin here are given: masks of later frames may show the known ones too.
    """
    if index not in video.masks:
        return None
    labels = annotation_labels(read_mask(video.masks[index], size=size), merge_ids=video.merge_ids)
    new = video.new_ids(index)
    if new is not None:
        labels = np.where(np.isin(labels, list(new)), labels, 0)
    elif known:
        labels = np.where(np.isin(labels, list(known)), 0, labels)
    if labels.any():
        return labels
    if new is None and known:
        return None
    raise InputError(f"{video.masks[index]}: no object in the reference mask; expected ids 1 to 254")


def _write_overlay(path: Path, frame: np.ndarray, labels: np.ndarray) -> None:
    height, width = labels.shape
    if frame.shape[:2] != labels.shape:
        frame = np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
    with atomic_path(path) as temporary:
        Image.fromarray(draw_overlay(frame, labels)).save(temporary, format="JPEG", quality=90)


def _refuse_source_folders(videos: Sequence[Video], output: Path) -> None:
    """Results must not overwrite frames or annotations of the same name."""
    for video in videos:
        sources = {
            path.parent.resolve() for path in (*video.frames, *video.annotations, *video.masks.values())
        }
        if (output / video.name).resolve() in sources:
            raise InputError(f"{output}: this is a folder of the data set itself; choose another --output")
