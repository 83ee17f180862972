"""Inputs of a video: frames to track, and masks by frame."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from aotlab.media.masks import MAX_ID
from aotlab.media.rle import decode_rle
from aotlab.media.smoothing import describe_smoothing
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors
from aotlab.utils.run_folder import EXPORT_RECORD, MASKS
from aotlab.utils.text import format_count
from aotlab_video.masks.annotations import check_video_name, read_mask_files
from aotlab_video.masks.mask_images import LabelCheck
from aotlab_video.masks.regions import Annotations, VideoInfo
from aotlab_video.masks.value_syntax import FORMAT_OPTION, PromptArgument, parse_frame_object
from aotlab_video.runs.frame_numbers import FrameNumbers
from aotlab_video.runs.store import Results
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.numbers import split_numbers

log = logging.getLogger("aotlab.video")

EXPORTED_MASKS = ("coco.json", "cvat.xml", "youtube_vis.json", MASKS)
"""Outputs of such an export that contain the masks of all frames; those with class names first."""
CLOCK_TIME = re.compile(r"[0-9]{2}[-_.:][0-9]{2}[-_.:]$")
"""End of a prefix with hours and minutes, whose seconds begin again with each minute."""
MIN_NUMBERED = 3
"""Smallest number of frames whose numbers have a usual step."""


def require_ids(labels: np.ndarray, subject: object) -> None:
    """Raise `InputError` about an image of unstated format whose H×W ids look like gray values."""
    problem = describe_smoothing(labels)
    remedy = f"give {FORMAT_OPTION} soft to cut it at one half, or {FORMAT_OPTION} ids"
    require(not problem, problem, subject=subject, remedy=remedy)


class FrameSelection:
    """Frames of a video to track.

    Args:
        start: number or time code of the first frame, see `FrameNumbers`; None: the first of the video.
        end: number or time code of the last frame; None: the last of the video.
        by_name: use the numbers at the end of file names, which only image folders have.

    Raises:
        InputError: no such frame, ``end`` is before ``start``, or ``by_name`` without file names that end in distinct
            numbers.
    """

    def __init__(
        self,
        video: FrameSource | VideoInfo,
        start: int | str | None = None,
        end: int | str | None = None,
        *,
        by_name: bool = False,
    ) -> None:
        self._numbers = FrameNumbers(video, by_name=by_name)
        self._has_end = end is not None
        self.first = 0 if start is None else self._numbers.index(start, "start")
        """Index of the first frame."""
        last = None if video.length is None else video.length - 1
        self.last = last if end is None else self._numbers.index(end, "end")
        """Index of the last frame; None: that of a stream."""
        is_range = self.last is None or self.first <= self.last
        require(is_range, f"before start {start}", subject=f"end {end}", remedy="give a later frame")

    def __contains__(self, index: int) -> bool:
        return index >= self.first and (self.last is None or index <= self.last)

    @property
    def count(self) -> int | None:
        """Number of frames; None if unknown."""
        return None if self.last is None else self.last + 1 - self.first

    def index(self, frame: int | str | None, subject: str, remedy: str = "") -> int:
        """Return the index of a number or time code, None: the first frame.

        Raises `InputError` about ``subject`` if the frame is not one of these.
        """
        if frame is None:
            return self.first
        if (index := self._numbers.find(frame)) not in self:
            tracked = self._numbers.describe(self.first, self.last, like=frame)
            remedy = self._numbers.explain_missing(frame) or remedy
            raise InputError(f"{subject}: frame {frame} is not tracked ({tracked}){remedy}")
        return index

    def require_frame(self, index: int, subject: str) -> None:
        """Raise `InputError` about ``subject`` if this frame index is not one of these."""
        if index not in self:
            raise InputError(f"{subject} is not tracked ({self._numbers.describe(self.first, self.last)})")

    def number(self, index: int) -> int:
        """Return the user's number of a frame index."""
        return self._numbers.number(index)

    def read(self, source: FrameSource, first: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield index and image from index ``first`` on: H×W×3 uint8 RGB; without ``end``, a cut file raises."""
        first = self.first if first is None else first
        if self.last is None or first <= self.last:
            count = None if self.last is None else self.last + 1 - first
            yield from islice(source.iterate_from(first), count if self._has_end else None)


def find_gap(names: Sequence[str]) -> InputError | None:
    """Return an error without subject if the names of frames in order have gaps; raise one for several sequences.

    Names that do not all end in a number, and numbers without a usual step, such as times, have no gaps.
    """
    frames = [part for part in split_numbers(names) if part]
    if len(frames) < max(len(names), MIN_NUMBERED):
        return None
    counts = Counter(prefix for prefix, _ in frames)
    if len({number for _, number in frames}) < len(frames) and not any(map(CLOCK_TIME.search, counts)):
        first, second, *_ = (next(name for name in names if name.startswith(prefix)) for prefix in counts)
        if min(counts.values()) > 1 or not any(prefix[-1:].isalnum() for prefix in counts):
            remedy = "move each to its own folder"
            raise InputError(f"frames of {len(counts)} sequences, such as {first} and {second}", remedy=remedy)
        return None
    steps = [second - first for (_, first), (_, second) in pairwise(frames)]
    step, count = Counter(steps).most_common(1)[0]
    gaps = [index for index, length in enumerate(steps) if length > step > 0 and length % step == 0]
    if not gaps or len(counts) > 1 or 2 * count < len(steps):
        return None
    missing = sum(steps[index] // step - 1 for index in gaps)
    before, after = names[gaps[0]], names[gaps[0] + 1]
    return InputError(
        f"{format_count(missing, 'frame')} missing, the first after {before}, so {after} is frame {gaps[0] + 1}",
        remedy="add them, or use the numbers of the file names with --frame-numbers file",
    )


def read_annotations(
    path: Path,
    video: VideoInfo,
    *,
    frame: int | None = None,
    strict: bool = False,
    boxes: bool = False,
    check: LabelCheck | None = None,
) -> Annotations:
    """Return the objects on the annotated frames of a file or folder, as `read_mask_files`, or in a folder of results.

    The record of results has the names of the video and of classes.

    Raises:
        InputError: as `read_mask_files`; or results lack masks of tracked frames, or have masks of others.
    """
    results, masks = Results.read(path), path
    if results is not None:
        masks = path / MASKS
        require(masks.exists(), "results without masks", subject=path, remedy="track the video again")
        if results.problem:
            log.warning("%s: results of an unfinished run (%s)", path, results.problem)
    elif (path / EXPORT_RECORD).is_file():
        masks = next((path / name for name in EXPORTED_MASKS if (path / name).exists()), path)
    if masks != path:  # written by aotlab
        video, check = replace(video, start_number=0, mask_format="ids"), None
    annotations = read_mask_files(masks, video, frame=frame, strict=strict, boxes=boxes, check=check)
    if results is not None:
        annotations.class_names = results.classes.class_names
        annotations.video = results.inputs.get("video", {}).get("name", annotations.video)
        with prefix_errors(masks):
            results.require_tracked(annotations.frames)
            check_video_name(masks, annotations.video, video, strict=strict)
    return annotations


def load_masks(
    values: Sequence[str | PromptArgument],
    video: VideoInfo,
    frames: FrameSelection | None = None,
    *,
    strict: bool = False,
) -> Annotations:
    """Read masks, and boxes of objects without masks, and check that they fit the video.

    Args:
        values: ``[FRAME][:ID]=FILE``, or FILE. A PNG without FRAME is for the first tracked frame; other files name
            their frames. With ID, the file shows this object only.
        frames: frames to track; masks of other frames are left out, unless FRAME names one. None: all frames.
        strict: raise if a file states the name of another video.

    Raises:
        InputError: a file is missing, of unknown format, of another size, without or with too many objects, or for a
            frame that is not tracked; or two are for one object on one frame.
    """
    frames = frames or FrameSelection(video)
    merged = Annotations(video.size)
    files: dict[int, Path] = {}
    for value in map(parse_mask, values):
        subject, (number, object_id, text) = f"mask {value}", value
        annotations = _read_mask_value(value, video, frames, strict=strict)
        for index in annotations.frames:
            present = {region.object_id for region in merged.frames.get(index, ())}
            if index in files and (object_id is None or object_id in present):
                raise InputError(
                    f"frame {frames.number(index)} already has {files[index]}",
                    subject=subject,
                    remedy=(
                        "give one file per frame, or one for each object, for example "
                        f"{PromptArgument(number, 2, text)}"
                    ),
                )
            files[index] = Path(text)
        _merge(merged, annotations, subject)
    if values and not (merged.boxes or any(region.area for _, region in merged.regions())):
        raise InputError(
            "no mask is on a tracked frame", subject=f"mask {values[0]}", remedy="give one, or another start"
        )
    return merged


def split_absent(masks: Annotations) -> dict[int, list[int]]:
    """Remove regions without pixels in place; return the ids of the objects that they state to be absent, by frame."""
    absent: dict[int, list[int]] = {}
    for index, regions in [*masks.frames.items()]:
        masks.frames[index] = [region for region in regions if region.area]
        if ids := [region.object_id for region in regions if not region.area]:
            absent[index] = ids
        if not masks.frames[index]:
            del masks.frames[index]
    return absent


def _read_mask_value(value: PromptArgument, video: VideoInfo, frames: FrameSelection, *, strict: bool) -> Annotations:
    """Read a mask file and return its objects on the frames to track."""
    subject, (number, object_id, text) = f"mask {value}", value
    file = Path(text)
    index = find_frame(value, frames)
    names = video.frame_names or ()
    if number is None and index is not None and file.stem in names and file.stem != names[index]:
        other = PromptArgument(frames.number(names.index(file.stem)), object_id, text)
        log.warning("%s: used for frame %s; for the frame of its name write %s", subject, names[index], other)
    annotations = read_annotations(file, video, frame=index, strict=strict, boxes=True, check=require_ids)
    if object_id is not None:
        annotations = _assign_id(annotations, object_id, subject)
    masks = {index: regions for index, regions in annotations.frames.items() if regions and index in frames}
    boxes = {index: found for index, found in annotations.boxes.items() if index in frames}
    return replace(annotations, frames=masks, boxes=boxes)


def _merge(merged: Annotations, added: Annotations, subject: str) -> None:
    """Add annotations to ``merged`` in place; warn about overlaps."""
    covered_pixels = Counter[int]()
    for index, regions in added.frames.items():
        regions_below = merged.frames.setdefault(index, [])
        covering = np.zeros(merged.size, bool)
        for region in regions if regions_below else ():
            covering |= decode_rle(region.rle, merged.size)
        for region in regions_below:
            covered_pixels[region.object_id] += int((decode_rle(region.rle, merged.size) & covering).sum())
        regions_below += regions
    for index, boxes in added.boxes.items():
        merged.boxes[index] = merged.boxes.get(index, {}) | boxes
    for object_id, count in (+covered_pixels).items():  # those above 0
        log.warning("%s: overlaps object %d (%d pixels)", subject, object_id, count)
    for object_id, name in added.class_names.items():
        earlier = merged.class_names.setdefault(object_id, name)
        if earlier != name:
            raise InputError(
                f"object {object_id} is {name!r}, but {earlier!r} in an earlier file",
                subject=subject,
                remedy="give files with object ids (track_id), or one file for both",
            )
    merged.classes = added.classes | merged.classes


def parse_mask(value: str | Path | PromptArgument) -> PromptArgument:
    """Return the frame, object and file of ``[FRAME][:ID]=FILE``; raise `InputError` for an id out of range.

    A `Path` is a file without frame and object.
    """
    if isinstance(value, Path):
        return PromptArgument(None, None, str(value))
    mask = value if isinstance(value, PromptArgument) else parse_frame_object(value)
    if mask.object_id is not None and not 1 <= mask.object_id <= MAX_ID:
        raise InputError(f"object ids are 1 to {MAX_ID}", subject=f"mask {value}", remedy="give another")
    return mask


def find_frame(mask: PromptArgument, frames: FrameSelection) -> int | None:
    """Return the frame index of a mask; None if its file names its frames. A PNG without FRAME is for the first one."""
    number, object_id, file = mask
    if number is None:
        return frames.first if Path(file).suffix.lower() == ".png" else None
    is_id = number and isinstance(number, int) and object_id is None  # the number may be meant as an object id
    return frames.index(number, f"mask {mask}", f"; for object {number} write :{number}={file}" if is_id else "")


def _assign_id(annotations: Annotations, object_id: int, subject: str) -> Annotations:
    """Return the only object of annotations under another id; raise `InputError` if there are several."""
    ids = sorted({*annotations.objects(), *(key for boxes in annotations.boxes.values() for key in boxes)})
    require(len(ids) == 1, f"shows objects {', '.join(map(str, ids))}", subject=subject, remedy=f"remove :{object_id}")
    frames = {
        frame: [replace(region, object_id=object_id) for region in regions]
        for frame, regions in annotations.frames.items()
    }
    boxes = {frame: {object_id: found[ids[0]]} for frame, found in annotations.boxes.items()}
    names = {object_id: annotations.class_names[ids[0]]} if ids[0] in annotations.class_names else {}
    return replace(annotations, frames=frames, boxes=boxes, class_names=names)
