"""Masks given for a video: one or more files, each for one or more frames."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from aotlab.engine.video.frame_range import ALL_FRAMES, FrameNumbers, FrameRange
from aotlab.masks.annotations import read_annotations
from aotlab.masks.regions import Annotations, VideoInfo
from aotlab.media.video import FrameSource
from aotlab.utils.errors import InputError


class GivenMasks(Mapping[int, np.ndarray]):
    """H×W object ids by frame index, ascending; stored as run lengths and drawn on access."""

    def __init__(self, annotations: Annotations) -> None:
        frames = sorted(annotations.frames.items())
        self.annotations = Annotations(annotations.size, dict(frames), annotations.class_names)

    def __getitem__(self, frame: int) -> np.ndarray:
        if frame not in self.annotations.frames:
            raise KeyError(frame)
        return self.annotations.mask(frame)

    def __iter__(self) -> Iterator[int]:
        return iter(self.annotations.frames)

    def __len__(self) -> int:
        return len(self.annotations.frames)


def load_masks(
    values: Sequence[str],
    source: FrameSource,
    numbers: FrameNumbers | None = None,
    within: FrameRange = ALL_FRAMES,
) -> GivenMasks:
    """Read masks and check that they fit the video.

    Args:
        values: ``[FRAME:]FILE``. A PNG without FRAME is for the first tracked frame; other files name their frames.
        source: the video.
        numbers: meaning of FRAME; None: indices.
        within: frames to track; masks of other frames are left out, unless FRAME names one.

    Raises:
        InputError: a file is missing, of unknown format, of another size, without or with too many objects, or for a
            frame that is not tracked; or two are for one frame.
    """
    video = VideoInfo(source.name, source.size, source.length, str(source.rate), source.stem)
    result, owner = Annotations(source.size), dict[int, Path]()
    for value in values:
        frame, file = split_value(value)
        if frame is not None:
            frame = frame if numbers is None else numbers.index(frame)
            _require_frame(frame, value, source, within)
        elif within.first and file.suffix.lower() == ".png":
            frame = within.first
        found = read_annotations(file, video, frame=frame)
        for index in [index for index in found.frames if index in within]:
            if index in owner:
                raise InputError(
                    f"mask {value}: frame {index} already has {owner[index]}; give one file a frame"
                )
            _require_frame(index, f"{index}:{file}", source, within)
            owner[index] = file
            result.frames[index] = found.frames[index]
        result.class_names |= found.class_names
    if values and not result.frames:
        raise InputError(f"mask {values[0]}: no mask for the frames to track; give one, or another start")
    return GivenMasks(result)


def split_value(value: str) -> tuple[int | None, Path]:
    """Split ``FRAME:FILE``; the frame is None for a value without a leading number and colon."""
    match = re.fullmatch(r"([0-9]{1,9}):(.+)", value)
    return (int(match[1]), Path(match[2])) if match else (None, Path(value))


def _require_frame(frame: int, value: str, source: FrameSource, within: FrameRange) -> None:
    if source.length is not None and frame >= source.length:
        raise InputError(
            f"mask {value}: the video holds {source.length} frames; give a frame from 0 to {source.length - 1}"
        )
    if frame not in within:
        raise InputError(f"mask {value}: not between start and end; give another frame")
