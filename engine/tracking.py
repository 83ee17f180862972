"""Track objects through a video: frames stream in, masks and an overlay video stream out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from dataloaders.video import FrameSource, VideoWriter
from utils.errors import InputError
from utils.files import require_writable
from utils.masks import write_mask
from utils.overlay import overlay as draw_overlay

MASKS = "masks"
"""Folder of the masks, in the output folder."""

OVERLAY = "overlay.mp4"
"""Name of the overlay video, in the output folder."""


class Steps(Protocol):
    """What tracking needs of a tracker."""

    def step(self, frame: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """Take a frame (H×W×3 uint8 RGB) and perhaps its mask; return what has ``labels``, H×W ids."""


@dataclass(frozen=True)
class TrackReport:
    """What a run of `track` did."""

    frames: int
    """frames whose mask is written"""
    seconds: float
    """time spent in the tracker, without reading and writing"""
    masks: Path
    """folder of the masks"""
    overlay: Path | None
    """the overlay video; None where none was asked for"""
    error: str | None = None
    """the sentence that says why it ended early or what was left out; None if all went well"""

    @property
    def frames_per_second(self) -> float:
        """Speed of the tracker alone; 0 where it did nothing."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


def track(
    tracker: Steps,
    source: FrameSource,
    masks: Mapping[int, np.ndarray],
    output: Path,
    *,
    overlay: bool = True,
    progress: bool = True,
) -> TrackReport:
    """Run the tracker over a video and write what it finds, one frame at a time.

    Every frame gives a PNG in ``output/masks``, named by ``source.stem``, and a frame of the overlay video.
    One that cannot be read ends the run: what was done is kept, and the report's ``error`` names the frame.

    Args:
        tracker: has ``step``; it returns empty labels before the first mask.
        source: the frames.
        masks: H×W object ids by frame index; one at a later frame adds objects.
        output: folder; made if it is missing.
        overlay: also write the overlay video; ``progress``: show a bar where stderr is a terminal.

    Raises:
        InputError: the output folder cannot be written, or not even the first frame can be done.
    """
    folder, video = require_writable(output / MASKS), output / OVERLAY if overlay else None
    done, seconds, problem = 0, 0.0, None
    bar = tqdm(total=source.length, unit="frame", disable=None if progress else True)
    with bar, _writer(video, source) as writer:
        try:
            for frame, labels, spent in _follow(tracker, source, masks):
                write_mask(folder / f"{source.stem(done)}.png", labels)
                if writer is not None:
                    writer.write(draw_overlay(frame, labels))
                done, seconds = done + 1, seconds + spent
                bar.update()
        except InputError as error:
            if done == 0:
                raise
            problem = str(error)  # and the block ends without an error, which finishes the video
    return TrackReport(done, seconds, folder, video, problem or _unused(source, masks, done))


def _writer(video: Path | None, source: FrameSource) -> AbstractContextManager[VideoWriter | None]:
    """The writer of the overlay video, or none."""
    return nullcontext() if video is None else VideoWriter(video, rate=source.rate, size=source.size)


def _follow(
    tracker: Steps, source: FrameSource, masks: Mapping[int, np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Yield every frame, the tracker's labels for it (H×W ids), and the seconds that the tracker took."""
    for index, frame in enumerate(source):
        start = time.perf_counter()
        labels = np.asarray(tracker.step(frame, masks.get(index)).labels)
        yield frame, labels, time.perf_counter() - start


def _unused(source: FrameSource, masks: Mapping[int, np.ndarray], frames: int) -> str | None:
    """The sentence about masks of frames that the video does not have, or None."""
    late = sorted(index for index in masks if index >= frames)
    if not late:
        return None
    return (
        f"{source.name}: the mask of frame {late[0]} was not used, the video holds {frames} frames; "
        f"give masks of frames 0 to {frames - 1}"
    )
