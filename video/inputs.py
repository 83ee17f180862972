"""Frames and masks given for a video: frame numbers, the part to track, and masks by frame."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from aotlab.media.annotations import read_annotations
from aotlab.media.frames import FrameSource, ImageFrames
from aotlab.media.masks import is_black_and_white
from aotlab.media.regions import MAX_ID, Annotations, Region, Size, VideoInfo, decode_runs
from aotlab.utils.errors import InputError
from aotlab.utils.places import FrameObjectValue, parse_frame_object

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameRange:
    """Range of frame indices, both ends included."""

    first: int = 0
    last: int | None = None
    """None: up to the end of the video"""

    def __contains__(self, index: int) -> bool:
        return index >= self.first and (self.last is None or index <= self.last)

    def count(self, length: int | None) -> int | None:
        """Return the number of frames of a video with ``length`` frames; None if unknown."""
        ends = [end for end in (length, None if self.last is None else self.last + 1) if end is not None]
        return min(ends) - self.first if ends else None

    def frames(self, source: FrameSource) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and image; frames of image sequences before the first one are not read."""
        if isinstance(source, ImageFrames):
            stop = self.first + (self.count(source.length) or 0)
            return ((index, source.read(index)) for index in range(self.first, stop))
        return islice(enumerate(source), self.first, None if self.last is None else self.last + 1)


ALL_FRAMES = FrameRange()


class FrameNumbers:
    """Frame numbers of a video as given by people: indices, or the numbers at the end of file names.

    Args:
        source: the video.
        by_name: use the numbers of file names, which only image folders have.

    Raises:
        InputError: with ``by_name``, a name without a number, or two names with the same one.
    """

    def __init__(self, source: FrameSource, *, by_name: bool = False) -> None:
        self._source = source
        self._numbers: list[int] | None = None
        if by_name and isinstance(source, ImageFrames):
            stems = [source.stem(index) for index in range(source.length or 0)]
            endings = [re.search(r"[0-9]{1,9}$", stem) for stem in stems]
            self._numbers = [int(ending[0]) for ending in endings if ending]
            if len(set(self._numbers)) < len(stems):
                raise InputError(
                    f"{source.name}: its file names do not end in different numbers; count frames from 0"
                )

    def index(self, number: int) -> int:
        """Return the index of a frame; raise `InputError` if no file name has this number."""
        if self._numbers is None:
            return number
        if number not in self._numbers:
            raise InputError(
                f"{self._source.name}: no frame is numbered {number}; its file names have {self._numbers[0]} to "
                f"{self._numbers[-1]}"
            )
        return self._numbers.index(number)

    def number(self, index: int) -> int:
        """Return the number of the frame with this index."""
        return index if self._numbers is None else self._numbers[index]

    def range(self, start: int | None, end: int | None) -> FrameRange:
        """Return the range from frame number ``start`` to ``end``; None: the first or last frame.

        Raises:
            InputError: the range is empty, or not in the video.
        """
        first = 0 if start is None else self.index(start)
        last = None if end is None else self.index(end)
        length = self._source.length
        if length is not None and max(first, last or 0) >= length:
            raise InputError(
                f"{self._source.name}: holds {length} frames; give a start and end from 0 to {length - 1}"
            )
        if last is not None and last < first:
            raise InputError(f"start {start}, end {end}: no frames; give a start before the end")
        return FrameRange(first, last)


class VideoMasks(Mapping[int, np.ndarray]):
    """H×W object ids by frame index, ascending; stored as run lengths and drawn on access."""

    def __init__(self, annotations: Annotations) -> None:
        frames = sorted(annotations.frames.items())
        self.annotations = Annotations(annotations.size, dict(frames), annotations.class_names)
        self.annotations.classes = annotations.classes

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
    video: VideoInfo,
    numbers: FrameNumbers | None = None,
    within: FrameRange = ALL_FRAMES,
    *,
    strict: bool = False,
) -> VideoMasks:
    """Read masks and check that they fit the video.

    Args:
        values: ``[FRAME][:ID]=FILE``, or FILE. A PNG without FRAME is for the first tracked frame; other files name
            their frames. With ID, the file shows this object only.
        video: the video.
        numbers: meaning of FRAME; None: indices.
        within: frames to track; masks of other frames are left out, unless FRAME names one.
        strict: raise if a file states the name of another video.

    Raises:
        InputError: a file is missing, of unknown format, of another size, without or with too many objects, or for a
            frame that is not tracked; two are for one object on one frame; or two are black and white without ID.
    """
    result, owner, unnamed = Annotations(video.size), dict[int, Path](), None
    for value in values:
        number, object_id, file = split_mask_value(value)
        frame = number
        if frame is not None:
            frame = frame if numbers is None else numbers.index(frame)
            _require_frame(frame, value, video, within)
        elif within.first and file.suffix.lower() == ".png":
            frame = within.first
        annotations = read_annotations(file, video, frame=frame, strict=strict)
        first, second = (FrameObjectValue(number, choice, str(file)) for choice in (1, 2))
        if object_id is not None:
            annotations = _assign_id(annotations, object_id, value)
        elif is_black_and_white(file):
            if unnamed is not None:
                raise InputError(
                    f"mask {value}: black and white, as is {unnamed}; give {first} for the same object, or {second} "
                    "for another"
                )
            unnamed = file
        covered = Counter[int]()
        for index in [index for index, shown in annotations.frames.items() if shown and index in within]:
            regions = result.frames.setdefault(index, [])
            if index in owner and object_id in (None, *(region.object_id for region in regions)):
                raise InputError(
                    f"mask {value}: frame {index} already has {owner[index]}; give one file a frame, or one for each "
                    f"object, for example {second}"
                )
            _require_frame(index, f"{index}={file}", video, within)
            owner[index] = file
            covered.update(_count_covered(regions, annotations.frames[index], video.size))
            regions += annotations.frames[index]
        for each, count in covered.items():
            log.warning("mask %s: covers %d pixels of object %d, which it loses", value, count, each)
        for object_id, name in annotations.class_names.items():
            other = result.class_names.setdefault(object_id, name)
            if other != name:
                raise InputError(
                    f"mask {value}: object {object_id} is {name!r}, but {other!r} in an earlier file; give files with "
                    "object ids (track_id), or one file for both"
                )
        result.classes = annotations.classes | result.classes
    if values and not result.frames:
        raise InputError(f"mask {values[0]}: no mask for the frames to track; give one, or another start")
    return VideoMasks(result)


def split_mask_value(value: str) -> tuple[int | None, int | None, Path]:
    """Return frame, object id and file of ``[FRAME][:ID]=FILE``; raise `InputError` for an id out of range."""
    frame, object_id, file = parse_frame_object(value)
    if object_id not in (None, *range(1, MAX_ID + 1)):
        raise InputError(f"mask {value}: object ids are 1 to {MAX_ID}; give another")
    return frame, object_id, Path(file)


def resolve_mask_value(value: str, folder: Path) -> str:
    """Return ``[FRAME][:ID]=FILE`` with the file relative to a folder."""
    frame, object_id, file = split_mask_value(value)
    return str(FrameObjectValue(frame, object_id, os.path.join(folder, file)))


def _assign_id(annotations: Annotations, object_id: int, value: str) -> Annotations:
    """Return the only object of annotations under another id; raise `InputError` if there are several."""
    ids = annotations.objects()
    if len(ids) != 1:
        raise InputError(f"mask {value}: shows objects {', '.join(map(str, ids))}; leave out :{object_id}")
    frames = {
        frame: [replace(region, object_id=object_id) for region in regions]
        for frame, regions in annotations.frames.items()
    }
    names = {object_id: annotations.class_names[ids[0]]} if ids[0] in annotations.class_names else {}
    return replace(annotations, frames=frames, class_names=names)


def _count_covered(below: Sequence[Region], above: Sequence[Region], size: Size) -> dict[int, int]:
    """Return how many pixels of each object other regions take from it."""
    taken = np.zeros(size, bool)
    for region in above if below else ():
        taken |= decode_runs(region.runs, size)
    counts = {region.object_id: int((decode_runs(region.runs, size) & taken).sum()) for region in below}
    return {object_id: count for object_id, count in counts.items() if count}


def _require_frame(frame: int, value: str, video: VideoInfo, within: FrameRange) -> None:
    if video.length is not None and frame >= video.length:
        raise InputError(
            f"mask {value}: the video holds {video.length} frames; give a frame from 0 to {video.length - 1}"
        )
    if frame not in within:
        raise InputError(f"mask {value}: not between start and end; give another frame")
