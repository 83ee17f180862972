"""Jobs: one video to track with its masks and prompts, checked before a model is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.jobs.inputs import parse_mask
from aotlab.jobs.track import JobOptions
from aotlab.media.frames import parse_rate
from aotlab.media.high_bit_depth import detect_image_kind, parse_levels
from aotlab.media.location import locate_video
from aotlab.media.prompt import FramePrompt, parse_frame_prompts
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_file_name
from aotlab.utils.text import shorten
from aotlab.utils.value_syntax import FrameObjectValue, parse_frame_object

MASK_SUFFIXES = (".png", ".xml", ".json", ".masks")
"""suffixes of mask files beside a video: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks"""


@dataclass(frozen=True)
class Job:
    """One video to track; `Job.parse` makes one of texts as on the command line, numbers and arrays."""

    name: str
    """name in records and lists; in the results of a list, also the folder's name"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[FrameObjectValue, ...] = ()
    """mask files, ``[FRAME][:ID]=FILE`` or FILE each"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of this job only"""
    levels: str | None = None
    """levels, as in `open_frames`"""
    start: int | None = None
    """number of the first frame to track; None: the first of the video"""
    end: int | None = None
    """number of the last frame to track; None: the last of the video"""
    boxes: tuple[FramePrompt, ...] = ()
    """boxes around objects without a mask, ``[FRAME][:ID]=X,Y,W,H`` or numbers for object 1"""
    points: tuple[FramePrompt, ...] = ()
    """points on objects, ``[FRAME][:ID]=X,Y`` or numbers for object 1"""
    not_points: tuple[FramePrompt, ...] = ()
    """points that are not on the objects"""
    segmenter: tuple[Path, Path] | None = None
    """segmenter of the prompts as two ONNX files; None: the checkpoint's own"""
    classes: Mapping[int, str] = field(default_factory=dict, hash=False)
    """class names by object id, or ``[:ID]=NAME`` or NAME for object 1; they replace the names in mask files"""
    rate: str | None = None
    """frames per second of an image folder or TIFF stack, as in `open_frames`"""
    list_line: str = field(default="", compare=False)
    """line of the list that the job is from, for messages"""

    @classmethod
    def parse(cls, name: str, video: str | Path, masks: Any = (), **values: Any) -> Job:
        """Return the job of values as the fields describe them; a single value of several needs no list.

        >>> Job.parse("dogs", "dogs.mp4", boxes=[(150, 2, 310, 410)], classes=["dog"])

        Raises:
            InputError: an invalid value.
        """
        values |= {"name": name, "video": video, "masks": masks}
        return cls(**{key: PARSERS.get(key, str)(value) for key, value in values.items()})

    @property
    def label(self) -> str:
        """Name and line of a list, for messages."""
        return f"{self.name} ({self.list_line})" if self.list_line else self.name

    @property
    def has_objects(self) -> bool:
        """Whether masks or prompts show what to track."""
        return bool(self.masks or self.boxes or self.points or self.not_points)

    @property
    def is_stored(self) -> bool:
        """Whether the video is a file or folder, not a stream."""
        return locate_video(self.video).kind == "stored"

    @property
    def has_images(self) -> bool:
        """Whether the video is a folder of images or a TIFF stack, which have levels and no frame rate."""
        if os.path.isfile(self.video):
            return detect_image_kind(Path(self.video)) == "tiff"
        return os.path.isdir(self.video)

    @property
    def input_paths(self) -> list[Path]:
        """Paths of the masks, and of the video unless it is a stream."""
        return [*map(Path, ([self.video] if self.is_stored else []) + [mask.value for mask in self.masks])]

    def describe_missing_files(self) -> str | None:
        """Return the message about a missing video or masks, or None."""
        missing = ", ".join(str(path) for path in self.input_paths if not os.path.exists(path))
        remedy = "paths are relative to the list" if self.list_line else "check the spelling"
        return f"{missing}: no such file or folder; {remedy}" if missing else None

    def is_repeatable(self, options: JobOptions) -> bool:
        """Return whether another run gives the same results: no stream, and no frame is dropped to keep up."""
        return self.is_stored and not options.realtime

    def is_resumable(self, options: JobOptions) -> bool:
        """Return whether a run saves checkpoints and resumes after an interruption."""
        resumable = all(output.resumable for output in options.outputs.values())
        resumable = resumable and not options.both_directions and "masks" in options.write
        return resumable and self.is_repeatable(options)


def _list_texts(name: str, values: Any) -> list[Any]:
    """Return a list of texts, paths or masks, a single one as a list; raise `InputError` for other values."""
    types = str | Path | FrameObjectValue
    items = [values] if isinstance(values, types | Mapping) or not np.iterable(values) else list(values)
    if not all(isinstance(item, types) and item != "" for item in items):
        raise InputError(f"{name}: expected a text or a list of texts, got {shorten(repr(values), 80)}")
    return items


def _parse_frame_number(value: int | str | None, name: str) -> int | None:
    if value is not None and not re.fullmatch("[0-9]{1,9}", str(value)):
        raise InputError(f"{name} {shorten(value, 40)}: expected a frame number, for example 100")
    return None if value is None else int(value)


def _parse_segmenter(files: Any) -> tuple[Path, Path] | None:
    match _list_texts("segmenter", files or ()):
        case []:
            return None
        case [encoder, decoder]:
            return Path(encoder), Path(decoder)
    raise InputError(f"segmenter {shorten(files)}: expected two ONNX files, the encoder and the decoder")


def _check_text(value: Any, check: Callable[[Any], object]) -> str | None:
    """Return a checked text or number as a text, and a pair of numbers as ``LOW,HIGH``; None: unset."""
    check(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value and str(value)


def parse_class_names(values: str | Sequence[str] | Mapping[int, str]) -> dict[int, str]:
    """Return class names by object id of texts like ``NAME`` (object 1) and ``:2=NAME``.

    Raises:
        InputError: a frame, no name, two names for one object, or a ``;`` or ``,``, which separate values in lists.
    """
    if isinstance(values, Mapping):
        values = [f":{key}={name}" if isinstance(name, str) else name for key, name in values.items()]
    names: dict[int, str] = {}
    for value in _list_texts("class", values):
        frame, object_id, name = parse_frame_object(value)
        object_id, name = 1 if object_id is None else object_id, name.strip()
        is_wrong = not name or name.startswith(":") or bool({*";,"} & {*name})
        if frame is not None or is_wrong or object_id in names:
            raise InputError(
                f"class {value}: expected one name for each object, with the object's id if it is not 1, for example "
                ":2=dog"
            )
        names[object_id] = name
    return names


PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "name": partial(require_file_name, source="name"),
    "video": lambda video: locate_video(video).text,
    "masks": lambda values: tuple(map(parse_mask, _list_texts("masks", values))),
    "overrides": lambda values: tuple(_list_texts("overrides", values)),
    "levels": partial(_check_text, check=parse_levels),
    "start": partial(_parse_frame_number, name="start"),
    "end": partial(_parse_frame_number, name="end"),
    "boxes": partial(parse_frame_prompts, "box"),
    "points": partial(parse_frame_prompts, "point"),
    "not_points": partial(parse_frame_prompts, "not-point"),
    "segmenter": _parse_segmenter,
    "classes": parse_class_names,
    "rate": partial(_check_text, check=parse_rate),
}
"""functions of `Job.parse` that read a field; other fields are texts"""
