"""The masks that a video's objects are given by: one or more files, each for a frame or for several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from aotlab.masks.exchange.matching import Target
from aotlab.masks.exchange.reading import read_annotations
from aotlab.masks.exchange.regions import Annotations
from aotlab.media.video import FrameSource
from aotlab.utils.errors import InputError


class GivenMasks(Mapping[int, np.ndarray]):
    """H×W object ids by frame number, ascending; held as run lengths and drawn when asked for."""

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


def load_masks(values: Sequence[str], source: FrameSource) -> GivenMasks:
    """Read ``[FRAME:]FILE`` values and check that they can be this video's.

    A PNG without FRAME is for frame 0; other files say themselves which frames they are for.

    Raises:
        InputError: a file is missing, of no known format, of another size, without or with too many objects, or for a
            frame that the video does not have; or two are for one frame.
    """
    target = Target(source.name, source.size, source.length, source.stem)
    result = Annotations(source.size)
    owner: dict[int, str] = {}
    for value in values:
        frame, file = split_value(value)
        if frame is not None:
            _require_frame(frame, file, source)
        found = read_annotations(file, target, frame=frame)
        for index in found.frames:
            if index in owner:
                raise InputError(
                    f"mask {value}: frame {index} already has {owner[index]}; give one FRAME:FILE a frame"
                )
            _require_frame(index, file, source)
            owner[index] = str(file)
        result.frames |= found.frames
        result.class_names |= found.class_names
    return GivenMasks(result)


def split_value(value: str) -> tuple[int | None, Path]:
    """The frame and the file of ``FRAME:FILE``; None for a value without a leading number and colon."""
    match = re.fullmatch(r"([0-9]{1,9}):(.+)", value)
    return (int(match[1]), Path(match[2])) if match else (None, Path(value))


def _require_frame(frame: int, file: Path, source: FrameSource) -> None:
    if source.length is not None and frame >= source.length:
        raise InputError(
            f"mask {frame}:{file}: the video holds {source.length} frames; "
            f"give a frame from 0 to {source.length - 1}"
        )
