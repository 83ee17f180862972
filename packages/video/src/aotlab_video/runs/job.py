"""Jobs: videos to track with their masks and prompts, and options of tracking."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from aotlab.media.masks import MAX_ID
from aotlab.media.names import MASK_ENDING
from aotlab.media.prompt import Prompt
from aotlab.sdk import Settings, convert_prompts
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, require_file_name
from aotlab.utils.run_folder import MASKS
from aotlab.utils.text import shorten, strip_credentials
from aotlab_video.masks.frame_prompts import FramePrompt, parse_frame_prompts
from aotlab_video.masks.value_syntax import MaskFormat, PromptArgument, parse_frame, parse_frame_object, parse_removal
from aotlab_video.runs.inputs import parse_mask
from aotlab_video.runs.output import Output
from aotlab_video.runs.output_options import parse_output_options
from aotlab_video.runs.outputs import make_output
from aotlab_video.runs.store import SOFT
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.location import locate_video
from aotlab_video.sources.source_options import SourceOptions, parse_source_options

ClassNames = str | Iterable[str] | Mapping[int, str] | Mapping[str, str]
"""Class names by object id, or texts like ``NAME`` (object 1) and ``:2=NAME``."""
Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
"""Text; numbers of a list become text."""
MASK_ENDINGS = (MASK_ENDING, ".png", ".xml", ".json", ".masks")
"""Endings of mask files beside a video: NAME.mask.png, NAME.png, NAME.xml, NAME.json, or a folder NAME.masks."""


def _list_texts(values: Any) -> tuple[Any, ...]:
    """Return texts, paths or masks, one or several; raise `ValueError` for other values."""
    types = str | Path | PromptArgument
    items = (values,) if isinstance(values, types | Mapping) or not np.iterable(values) else tuple(values)
    if not all(isinstance(item, types) and item != "" for item in items):
        raise ValueError(f"must be a text or a list of texts, got {shorten(repr(values), 80)}")
    return items


class RunOptions(Settings):
    """Options of `track` and `run_job`."""

    write: Annotated[Sequence[str], PlainValidator(_list_texts)] = ("masks", "overlay")
    """Names of the outputs to write, from `list_outputs`; a single name needs no tuple. Masks are always stored; with
    ``soft`` the probabilities at edges too, so that outputs which need them can be written later."""
    both_directions: bool = False
    """Whether to track forward and backward from every annotated frame and merge the predictions."""
    realtime: bool = False
    """Whether to drop frames to keep up with the source."""
    by_name: bool = False
    """Whether frame numbers are those in the file names of an image folder, instead of counted from 0."""
    mask_start_number: int | None = None
    """Number of a video file's first frame in files of masks; None: 0, but a first mask 1 is refused."""
    mask_format: MaskFormat | None = None
    """Format of mask images: ids, binary, soft, mots or palette; None: binary if all are black and white, else ids."""
    output_options: Mapping[str, Any] = {}
    """Options of installed outputs by name, such as ``{"alpha": "premultiplied"}``; those of the command's help."""
    progress: bool = True
    """Whether to show a progress bar if stderr is a terminal."""

    @field_validator("output_options", mode="plain")
    @classmethod
    def _parse_output_options(cls, values: Any, info: ValidationInfo) -> Mapping[str, Any]:
        return parse_output_options(values, info.data.get("write", ()))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.both_directions and self.realtime:
            raise ValueError("both_directions cannot be combined with realtime, as later frames are needed")
        self.make_outputs()  # raises InputError
        return self

    def make_outputs(self) -> dict[str, Output]:
        """Return the outputs to write beside those of the store by name."""
        return {name: make_output(name, self.output_options) for name in self.write if name not in (MASKS, SOFT)}

    @property
    def stores_soft(self) -> bool:
        """Whether the probabilities at edges are stored."""
        # also if an option lets an output do without them
        return SOFT in self.write or any(make_output(name).needs_soft for name in self.make_outputs())


def parse_class_names(values: ClassNames) -> dict[int, str]:
    """Return class names by object id of texts like ``NAME`` (object 1) and ``:2=NAME``.

    Raises:
        InputError: a frame, no name, two names for one object, or a ``;`` or ``,``, which separate values in lists.
    """
    if isinstance(values, Mapping) and all(isinstance(name, str) for name in values.values()):
        values = [f":{key}={name}" for key, name in values.items()]
    names: dict[int, str] = {}
    for value in _list_texts(values):
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


def _parse_frame(name: str, value: Any) -> int | str | None:
    return None if value is None else parse_frame(value, name)


def _parse_removals(values: Any) -> tuple[tuple[int | str, int], ...]:
    return tuple(map(parse_removal, [values] if isinstance(values, str) or not np.iterable(values) else values))


def _parse_segmenter(value: Any) -> str | tuple[Path, Path] | None:
    """Return the name of a tracker, or the files ``ENCODER,DECODER``."""
    if value is None or (isinstance(value, str) and "," not in value):
        return value
    files = value.split(",") if isinstance(value, str) else value
    are_files = isinstance(files, list | tuple) and all(isinstance(file, str | Path) for file in files)
    if not are_files or len(files) != 2:
        raise ValueError(f"{shorten(value)}: expected a name or two ONNX files")
    return Path(files[0]), Path(files[1])


def _index_by_frame(name: str, values: Any) -> dict[int, Any]:
    """Return values by frame index; raise `InputError` about ``name`` for anything but a dict by whole numbers."""
    is_mapping = isinstance(values, Mapping) and all(isinstance(key, Integral) for key in values)
    got = f"keys {shorten([*values])}" if isinstance(values, Mapping) else type(values).__name__
    require(is_mapping, f"expected a dict by frame index, such as {{0: ...}}, got {got}", subject=name)
    return {int(key): value for key, value in values.items()}


def _parse_prompts(values: Any) -> dict[int, dict[int, Prompt]]:
    prompts = dict[int, dict[int, Prompt]]()
    for index, by_object in _index_by_frame("prompts", values).items():
        with prefix_errors(f"frame {index}"):
            prompts[index] = convert_prompts(by_object, max_id=MAX_ID)
    return {index: by_object for index, by_object in prompts.items() if by_object}


def _require_frame_source(value: Any) -> FrameSource | None:
    if value is not None and not isinstance(value, FrameSource):
        raise ValueError(f"must be the result of open_frames, got {type(value).__name__}")
    return value


class Job(Settings):
    """One video and the objects to track in it.

    The fields, but for the last ones, are the columns of a list and the options of ``aotlab track``. Masks, boxes,
    points, classes and removals may be written as on the command line, and a single one needs no list:

    >>> Job("dogs", "dogs.mp4", boxes=[(150, 2, 310, 410)], classes=["dog"])
    """

    name: Annotated[Text, AfterValidator(lambda name: require_file_name(name, ""))]
    """Name in records and lists. A list stores its results in a folder of this name."""
    video: Annotated[str, PlainValidator(lambda video: locate_video(video).text)]
    """Path, URL or camera, as `open_frames` takes it."""
    masks: Annotated[
        tuple[PromptArgument, ...],
        PlainValidator(lambda values: tuple(map(parse_mask, _list_texts(values)))),
    ] = ()
    """Mask files, each ``FILE`` or ``[FRAME][:ID]=FILE``."""
    boxes: Annotated[tuple[FramePrompt, ...], PlainValidator(partial(parse_frame_prompts, "box"))] = ()
    """Boxes around objects that have no mask, ``[FRAME][:ID]=X,Y,W,H`` or numbers for object 1."""
    points: Annotated[tuple[FramePrompt, ...], PlainValidator(partial(parse_frame_prompts, "point"))] = ()
    """Points on objects, ``[FRAME][:ID]=X,Y`` or numbers for object 1."""
    negative_points: Annotated[
        tuple[FramePrompt, ...], PlainValidator(partial(parse_frame_prompts, "negative-point"))
    ] = ()
    """Points that are not on the objects."""
    classes: Annotated[Mapping[int, str], PlainValidator(parse_class_names)] = {}
    """Class names by object id, or ``[:ID]=NAME`` or NAME for object 1; they replace the names in mask files."""
    removals: Annotated[tuple[tuple[int | str, int], ...], PlainValidator(_parse_removals)] = ()
    """Pairs of a frame, as a number or time code, and the id of an object that is not tracked from it on."""
    start: Annotated[int | str | None, PlainValidator(partial(_parse_frame, "start"))] = None
    """Number or time code of the first frame to track; None: the first of the video."""
    end: Annotated[int | str | None, PlainValidator(partial(_parse_frame, "end"))] = None
    """Number or time code of the last frame to track; None: the last of the video."""
    source: Annotated[SourceOptions, PlainValidator(parse_source_options)] = SourceOptions()
    """How the video is read; also texts ``KEY=VALUE`` or a dict."""
    segmenter: Annotated[str | tuple[Path, Path] | None, PlainValidator(_parse_segmenter)] = None
    """Name of a plug-in's tracker, or ONNX files (encoder and decoder), that turn prompts into masks; None: the
    tracker's own, else the bundled one."""
    overrides: Annotated[tuple[str, ...], PlainValidator(_list_texts)] = ()
    """Settings ``key=value`` that only this job has."""
    arrays: Annotated[Mapping[int, np.ndarray], PlainValidator(partial(_index_by_frame, "masks"))] = Field(
        default={}, exclude=True
    )
    """Further masks by frame index, as `track` takes them."""
    prompts: Annotated[Mapping[int, Mapping[int, Prompt]], PlainValidator(_parse_prompts)] = Field(
        default={}, exclude=True
    )
    """Further prompts by frame index and object id."""
    frames: Annotated[FrameSource | None, PlainValidator(_require_frame_source)] = Field(default=None, exclude=True)
    """The frames of ``video`` if it is open already."""
    source_line: str = Field(default="", exclude=True)
    """File and line of the list that contains the job, for messages; empty: no list."""

    def __init__(self, name: str, video: str | Path, masks: Any = (), **values: Any) -> None:
        super().__init__(name=name, video=video, masks=masks, **values)  # type: ignore[call-arg]

    @property
    def label(self) -> str:
        """Name and line of a list, for messages."""
        return f"{self.name} ({self.source_line})" if self.source_line else self.name

    @property
    def has_objects(self) -> bool:
        """Whether masks or prompts show what to track."""
        return bool(self.masks or self.boxes or self.points or self.negative_points or self.arrays or self.prompts)

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


COLUMNS = tuple(name for name, item in Job.model_fields.items() if not item.exclude)
"""Columns of a list: the fields of a job that are not only in memory."""
LIST_COLUMNS = tuple(name for name in COLUMNS if isinstance(Job.model_fields[name].default, tuple | Mapping | Settings))
"""Columns that may have several values."""
