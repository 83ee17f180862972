"""Jobs: videos to track with their masks and prompts, and options of tracking."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np

from aotlab.media.frames import RateOption, parse_rate
from aotlab.media.levels import parse_levels
from aotlab.media.location import locate_video
from aotlab.media.matching import MASK_ENDING
from aotlab.media.prompt import FramePrompt, parse_frame_prompts
from aotlab.media.value_syntax import (
    MATRICES,
    FrameObjectValue,
    MaskFormat,
    parse_frame,
    parse_frame_object,
    parse_input_transform,
    parse_removal,
)
from aotlab.runs.inputs import parse_mask
from aotlab.runs.output import Output
from aotlab.runs.output_options import parse_output_options
from aotlab.runs.outputs import make_output
from aotlab.runs.store import MASKS
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.files import require_file_name
from aotlab.utils.text import shorten, strip_credentials

MaskOption = str | Path | FrameObjectValue
"""``[FRAME][:ID]=FILE``, or a path without frame and object."""
PromptOption = str | FramePrompt | Iterable[str | FramePrompt | float | Iterable[float]]
"""One or several boxes or points, each a text or numbers."""
ClassNames = str | Iterable[str] | Mapping[int, str] | Mapping[str, str]
"""Class names by object id, or texts like ``NAME`` (object 1) and ``:2=NAME``."""
MASK_ENDINGS = (MASK_ENDING, ".png", ".xml", ".json", ".masks")
"""Endings of mask files beside a video: NAME.mask.png, NAME.png, NAME.xml, NAME.json, or a folder NAME.masks."""


@dataclass
class RunOptions:
    """Options of `track` and `run_job`."""

    write: Sequence[str] = ("masks", "overlay")
    """Names of the outputs to write, from `list_outputs`; a single name needs no tuple. Masks are always stored."""
    soft: bool = False
    """Whether to store the probabilities at edges, so that outputs which need them can be written later."""
    both_directions: bool = False
    """Whether to track forward and backward from every annotated frame and merge the predictions."""
    realtime: bool = False
    """Whether to drop frames to keep up with the source."""
    timeout: float = 30.0
    """Seconds without a frame after which tracking stops."""
    by_name: bool = False
    """Whether frame numbers are those in the file names of an image folder, instead of counted from 0."""
    mask_start_number: int | None = None
    """Number of a video file's first frame in files of masks; None: 0, but a first mask 1 is refused."""
    mask_format: MaskFormat | None = None
    """Format of mask images: ids, binary, soft, mots or palette; None: binary if all are black and white, else ids."""
    output_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of installed outputs by name, such as ``{"alpha": "premultiplied"}``; those of the command's help."""
    progress: bool = True
    """Whether to show a progress bar if stderr is a terminal."""

    def __post_init__(self) -> None:
        self.write = tuple(_list_texts("write", self.write))
        if self.mask_format is not None:
            require_choice(self.mask_format, get_args(MaskFormat), "mask_format")
        self.output_options = parse_output_options(self.output_options, self.write)
        if self.both_directions and self.realtime:
            raise InputError(
                "cannot be combined with realtime (--realtime), as later frames are needed",
                subject="tracking in both directions (--both-directions)",
                remedy="give one of them",
            )
        self.make_outputs()  # raises InputError

    def make_outputs(self) -> dict[str, Output]:
        """Return the outputs to write beside the masks by name."""
        return {name: make_output(name, self.output_options) for name in self.write if name != MASKS}

    @property
    def stores_soft(self) -> bool:
        """Whether the probabilities at edges are stored."""
        # also if an option lets an output do without them
        return self.soft or any(make_output(name).needs_soft for name in self.write if name != MASKS)


@dataclass(init=False)  # arguments have wider types than fields
class Job:
    """One video to track. Masks, boxes, points and classes may be written as on the command line.

    >>> Job("dogs", "dogs.mp4", boxes=[(150, 2, 310, 410)], classes=["dog"])

    Raises:
        InputError: an invalid text, as on the command line.
    """

    name: str
    """Name in records and lists. A list stores its results in a folder of this name."""
    video: str
    """Path, URL or camera, as `open_frames` takes it."""
    masks: tuple[FrameObjectValue, ...]
    """Mask files, each ``FILE`` or ``[FRAME][:ID]=FILE``."""
    overrides: tuple[str, ...]
    """Settings ``key=value`` that only this job has."""
    levels: str | None
    """Intensities to show as black and white, ``auto`` or ``LOW,HIGH``; None: `open_frames` chooses them."""
    input_transform: str | None
    """Curve or color space of the values of images, as in `open_frames`."""
    matrix: str | None
    """Color matrix of a video file that states none, as in `open_frames`."""
    layer: str | None
    """Layer of EXR images, as in `open_frames`."""
    interlaced: bool
    """Whether to track an interlaced file, as in `open_frames`; also ``yes`` or ``no``."""
    start: int | str | None
    """Number or time code of the first frame to track; None: the first of the video."""
    end: int | str | None
    """Number or time code of the last frame to track; None: the last of the video."""
    boxes: tuple[FramePrompt, ...]
    """Boxes around objects that have no mask, ``[FRAME][:ID]=X,Y,W,H`` or numbers for object 1."""
    points: tuple[FramePrompt, ...]
    """Points on objects, ``[FRAME][:ID]=X,Y`` or numbers for object 1."""
    negative_points: tuple[FramePrompt, ...]
    """Points that are not on the objects."""
    segmenter: str | tuple[Path, Path] | None
    """Name of a plug-in's tracker, or ONNX files (encoder and decoder), that turn prompts into masks; None: the
    tracker's own, else the bundled one."""
    classes: dict[int, str]
    """Class names by object id, or ``[:ID]=NAME`` or NAME for object 1; they replace the names in mask files."""
    removals: tuple[tuple[int | str, int], ...]
    """Pairs of a frame, as a number or time code, and the id of an object that is not tracked from it on."""
    rate: Fraction | None
    """Frames per second of an image folder or TIFF stack, as in `open_frames`."""
    source_line: str = field(compare=False)
    """File and line of the list that contains the job, for messages; empty: no list."""

    def __init__(
        self,
        name: str,
        video: str | Path,
        masks: MaskOption | Iterable[MaskOption] = (),
        *,
        overrides: Iterable[str] = (),
        levels: str | None = None,
        input_transform: str | None = None,
        matrix: str | None = None,
        layer: str | None = None,
        interlaced: bool | str = False,
        start: int | str | None = None,
        end: int | str | None = None,
        boxes: PromptOption = (),
        points: PromptOption = (),
        negative_points: PromptOption = (),
        segmenter: str | tuple[str | Path, str | Path] | None = None,
        classes: ClassNames = (),
        removals: Iterable[str | tuple[int | str, int]] = (),
        rate: RateOption = None,
        source_line: str = "",
    ) -> None:
        """Parse the values; a single one needs no list."""
        parse_levels(levels)  # raises InputError
        self.name, self.source_line = require_file_name(name, "name"), source_line
        self.video, self.levels = locate_video(video).text, levels
        self.input_transform = None if input_transform is None else parse_input_transform(input_transform)
        if matrix is not None:
            require_choice(matrix, MATRICES, "matrix")
        self.matrix, self.layer = matrix, layer
        if not isinstance(interlaced, bool):
            require_choice(interlaced, ("yes", "no"), "interlaced")
        self.interlaced = interlaced in (True, "yes")
        self.start = None if start is None else parse_frame(start, "start")
        self.end = None if end is None else parse_frame(end, "end")
        self.rate = None if rate is None else parse_rate(rate)
        self.masks = tuple(map(parse_mask, _list_texts("masks", masks)))
        self.overrides = tuple(_list_texts("overrides", overrides))
        self.boxes = parse_frame_prompts("box", boxes)
        self.points = parse_frame_prompts("point", points)
        self.negative_points = parse_frame_prompts("negative-point", negative_points)
        pairs: Any = [removals] if isinstance(removals, str) or not np.iterable(removals) else removals
        self.removals = tuple(map(parse_removal, pairs))
        self.segmenter = segmenter if isinstance(segmenter, str) else None
        if segmenter is not None and not isinstance(segmenter, str):
            is_pair = not isinstance(segmenter, Path) and len(segmenter) == 2
            require(is_pair, "expected a name or two ONNX files", subject=f"segmenter {segmenter}")
            self.segmenter = (Path(segmenter[0]), Path(segmenter[1]))
        self.classes = parse_class_names(classes)

    @property
    def label(self) -> str:
        """Name and line of a list, for messages."""
        return f"{self.name} ({self.source_line})" if self.source_line else self.name

    @property
    def has_objects(self) -> bool:
        """Whether masks or prompts show what to track."""
        return bool(self.masks or self.boxes or self.points or self.negative_points)

    @property
    def is_stored(self) -> bool:
        """Whether the video is a file or folder, not a stream."""
        return locate_video(self.video).kind == "stored"

    @property
    def video_address(self) -> str:
        """Absolute path of a stored video or pipe; of a stream, its address without password."""
        kind, video = locate_video(self.video)
        is_path = kind in ("stored", "pipe") or os.path.exists(video)
        return os.path.abspath(video) if is_path else strip_credentials(video)

    @property
    def input_paths(self) -> list[Path]:
        """Paths of the masks, and of the video unless it is a stream."""
        video = [Path(self.video)] if self.is_stored else []
        return video + [Path(mask.value) for mask in self.masks]

    def describe_missing_files(self) -> str | None:
        """Return a message if the video or a mask is missing, else None."""
        missing = ", ".join(str(path) for path in self.input_paths if not os.path.exists(path))
        if not missing:
            return None
        remedy = "paths are relative to the list" if self.source_line else "check the spelling"
        return f"{missing}: no such file or folder; {remedy}"


def _list_texts(name: str, values: Any) -> list[Any]:
    """Return texts, paths or masks, one or several, as a list; raise `InputError` for other values."""
    types = str | Path | FrameObjectValue
    items = [values] if isinstance(values, types | Mapping) or not np.iterable(values) else list(values)
    if not all(isinstance(item, types) and item != "" for item in items):
        raise InputError(f"expected a text or a list of texts, got {shorten(repr(values), 80)}", subject=name)
    return items


def parse_class_names(values: ClassNames) -> dict[int, str]:
    """Return class names by object id of texts like ``NAME`` (object 1) and ``:2=NAME``.

    Raises:
        InputError: a frame, no name, two names for one object, or a ``;`` or ``,``, which separate values in lists.
    """
    if isinstance(values, Mapping) and all(isinstance(name, str) for name in values.values()):
        values = [f":{key}={name}" for key, name in values.items()]
    names: dict[int, str] = {}
    for value in _list_texts("class", values):
        frame, object_id, name = parse_frame_object(value)
        object_id, name = 1 if object_id is None else object_id, name.strip()
        is_name = name and not name.startswith(":") and not {*";,"} & {*name}
        if not is_name or frame is not None:
            raise InputError(
                f"class {value}: expected one name for each object, without ; or comma, and its id if not 1, for "
                "example :2=dog"
            )
        if object_id in names:
            problem = f"object {object_id} has the class {names[object_id]} already"
            raise InputError(problem, subject=f"class {value}", remedy=f"give the id of its object, as in :2={name}")
        names[object_id] = name
    return names
