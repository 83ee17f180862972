"""One video through a tracker: frames and given masks in, a PNG for each frame out."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from aotlab.dataloaders.images import read_image
from aotlab.dataloaders.sequences import Video
from aotlab.evaluation.davis import annotation_labels
from aotlab.utils.devices import settle
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path
from aotlab.utils.masks import read_mask, write_mask
from aotlab.utils.overlap import ahead, behind
from aotlab.utils.overlay import overlay as draw_overlay

if TYPE_CHECKING:
    from aotlab.engine.ensemble import Ensemble
    from aotlab.engine.tracker import Tracker


def track_video(
    tracker: Tracker | Ensemble, video: Video, output: Path, *, overlay: bool = False
) -> Generator[float, None, None]:
    """Track one video, writing each frame's result when it is made; yields the seconds its step took.

    Frames are read ahead of the tracker and results written behind it, in threads.

    Raises:
        InputError: a frame or mask cannot be read, or a result not written.
    """
    tracker.reset(len(video.frames))
    known: set[int] = set()
    with behind() as later, closing(ahead(read_image, video.frames)) as frames:
        for index, (path, frame) in enumerate(zip(video.frames, frames, strict=True)):
            height, width = frame.shape[:2]
            size = video.output_size(height, width)
            mask = _reference(video, index, (height, width), known)
            start = time.perf_counter()
            labels = tracker.step(frame, mask, size=size).labels
            settle(tracker.device)
            seconds = time.perf_counter() - start
            if mask is not None:
                if not known:
                    # benchmarks expect the given mask itself in the first frame
                    labels = resize_labels(mask, size)
                known.update(np.unique(mask).tolist())
            if video.written is None or path.stem in video.written:
                later(write_mask, output / video.name / f"{path.stem}.png", labels)
            if overlay:
                later(_write_overlay, output / "overlay" / video.name / f"{path.stem}.jpg", frame, labels)
            yield seconds


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
