"""Jobs: one video to track with its masks and prompts, checked before a model is loaded."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from aotlab.engine.prompting.load import find_segmenter
from aotlab.media.frames import FrameSource
from aotlab.media.prompt import Prompt, parse_prompts
from aotlab.media.regions import VideoInfo
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError, require_type
from aotlab.utils.files import require_file_name, sibling_path
from aotlab.utils.value_syntax import ADDRESS, CAMERA_NUMBER, parse_frame_object, strip_credentials
from aotlab.video.inputs import FrameSelection, VideoMasks, load_masks, suggest_object
from aotlab.video.outputs import estimate_bytes
from aotlab.video.track import JobOptions, group_removals

log = logging.getLogger(__name__)

MASK_SUFFIXES = (".png", ".xml", ".json", ".masks")
"""suffixes of mask files beside a video: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks"""

PROMPT_FIELDS = ("boxes", "points", "not_points")
"""fields of `Job` with `parse_prompts`'s texts"""
TEXT_FIELDS = {
    "masks": "files, as texts or paths; write an array with write_mask, or give it to track",
    "overrides": 'settings, such as ["memory.every=2"]',
    **dict.fromkeys(PROMPT_FIELDS, "texts or numbers, see Job"),
    "segmenter": "two ONNX files or the name of a plug-in",
    "classes": 'class names, such as ["cat", ":2=dog"] or {1: "cat", 2: "dog"}',
}
"""fields of `Job` with several texts, and their form for messages"""


@dataclass(frozen=True)
class Job:
    """One video to track."""

    name: str
    """name in records and lists; in the results of a list, also the folder's name"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[str, ...] = ()
    """masks, ``[FRAME][:ID]=FILE`` or FILE each; a single string is accepted, as for the other tuples"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of this job only"""
    levels: str | None = None
    """levels, as in `open_frames`"""
    start: int | None = None
    """number of the first frame to track; None: the first of the video"""
    end: int | None = None
    """number of the last frame to track; None: the last of the video"""
    boxes: tuple[str, ...] = ()
    """boxes around objects without a mask, see `parse_prompts`; numbers are accepted for object 1, as for points"""
    points: tuple[str, ...] = ()
    """points on objects"""
    not_points: tuple[str, ...] = ()
    """points that are not on the objects"""
    segmenter: tuple[str, ...] = ()
    """segmenter of the prompts: two ONNX files, or the name of a plug-in; empty: the checkpoint's own"""
    classes: tuple[str, ...] = ()
    """class names of objects, ``[:ID]=NAME`` or NAME for object 1, or a dict by object id; they replace the names in
    mask files"""
    rate: str | None = None
    """frames per second of an image folder or TIFF stack, as in `open_frames`"""
    place: str = field(default="", compare=False)
    """line of a list it is from, for messages"""

    def __post_init__(self) -> None:
        require_file_name(self.name, "name")
        object.__setattr__(self, "video", str(self.video))
        for name, form in TEXT_FIELDS.items():
            value = join_numbers(getattr(self, name)) if name in PROMPT_FIELDS else getattr(self, name)
            if name == "classes" and isinstance(value, Mapping):
                value = [f":{key}={text}" if isinstance(text, str) else text for key, text in value.items()]
            values = (value,) if isinstance(value, str | Path) else value
            if not (
                isinstance(values, list | tuple) and all(isinstance(text, str | Path) for text in values)
            ):
                raise InputError(f"{name}: expected {form}, got {type(value).__name__}")
            object.__setattr__(self, name, tuple(map(str, values)))
        for name in ("start", "end"):
            number = getattr(self, name)
            if not isinstance(number, Integral | None) or isinstance(number, bool):
                raise InputError(f"{name} {number!r}: expected the number of a frame, such as 100")

    @property
    def title(self) -> str:
        """Name and line of a list, for messages."""
        return f"{self.name} ({self.place})" if self.place else self.name

    @property
    def has_prompts(self) -> bool:
        """Whether masks are to be made from prompts."""
        return bool(self.boxes or self.points or self.not_points)

    def list_missing_files(self) -> list[str]:
        """Return the video, unless it is a stream, and the masks that do not exist."""
        video = [] if ADDRESS.fullmatch(self.video) or CAMERA_NUMBER.fullmatch(self.video) else [self.video]
        paths = [*video, *(parse_frame_object(mask).value for mask in self.masks)]
        return [path for path in paths if path != "-" and not Path(path).exists()]

    @property
    def is_stored(self) -> bool:
        """Whether the video is a file or folder, not a stream."""
        return Path(self.video).is_file() or Path(self.video).is_dir()

    def is_repeatable(self, options: JobOptions) -> bool:
        """Return whether another run gives the same results: no stream, and no frame is dropped to keep up."""
        return self.is_stored and not options.realtime


@dataclass(frozen=True)
class CheckedJob:
    """A job whose video, masks and prompts were read and checked by `check_job`; no PyTorch is loaded for this."""

    job: Job
    options: JobOptions
    source: FrameSource
    frames: FrameSelection
    masks: VideoMasks
    """masks from files"""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """prompts by frame index and object id, with boxes cropped to the frame"""
    class_names: Mapping[int, str]
    """class names by object id, of the mask files and `Job.classes`"""

    @property
    def objects(self) -> set[int]:
        """Ids of all objects."""
        return set(self.masks.annotations.objects()).union(*self.prompts.values())

    @property
    def repeatable(self) -> bool:
        """See `Job.is_repeatable`."""
        return self.job.is_repeatable(self.options)

    def estimate_bytes(self) -> int:
        """Return about how many bytes the results take; 0 for a stream."""
        height, width = self.source.size
        pixels = height * width * (self.frames.count or 0)
        return estimate_bytes(self.options.write, pixels, len(self.objects))


def check_job(job: Job, options: JobOptions, *, strict: bool = False) -> CheckedJob:
    """Open the video of a job and check its masks, prompts and removals; warn of frames before the first of them.

    Args:
        strict: raise if a mask file states the name of another video, as in lists, where lines may be mixed up.

    Raises:
        InputError: a bad video, mask or prompt, or the video lacks the first or last frame of the job.
    """
    require_type(job, Job, "job: expected Job(name, video, masks)")
    shown = strip_credentials(job.video)
    if not (job.masks or job.has_prompts):
        names = ", ".join(sibling_path(Path(shown), suffix).name for suffix in MASK_SUFFIXES)
        raise InputError(
            f"{shown}: no object to track; give a box, points or masks (in a folder of videos: {names} next to it)"
        )
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    subject = job.title if job.place else source.name
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=strict)
    if len(job.segmenter) == 1:  # also if no prompt needs it
        find_segmenter(job.segmenter[0])
    numbered = parse_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if numbered and not Path(job.video).exists():
        raise InputError(f"{shown}: prompts need a video file or a folder; give a mask for a stream")
    prompts = {
        frames.index(number, f"box or point of frame {number}{suggest_object(number)}"): {
            object_id: prompt.crop_box(source.size, object_id, f"{subject}: ")
            for object_id, prompt in by_object.items()
        }
        for number, by_object in numbered.items()
    }
    for index in prompts:
        if index in masks:
            raise InputError(
                f"prompt of frame {frames.number(index)}: the frame has a mask; draw its objects there, or leave it out"
            )
    ids: dict[int, Collection[int]] = {
        index: {region.object_id for region in regions} for index, regions in masks.annotations.frames.items()
    }
    group_removals(options.removals, {**ids, **prompts}, frames)
    class_names = parse_class_names(job.classes)
    for object_id in class_names.keys() - set().union(*ids.values(), *prompts.values()):
        raise InputError(
            f"class {class_names[object_id]}: no mask or prompt has object {object_id}; give its id, as in :2=NAME"
        )
    first = min((*masks, *prompts))
    if first > frames.first and not options.both_directions:
        start, last, number = frames.number(frames.first), frames.number(first - 1), frames.number(first)
        texts = map(parse_frame_object, (*job.masks, *job.boxes, *job.points))
        meant = suggest_object(number) if any(text[:2] == (number, None) for text in texts) else ""
        early = f"frames {start} to {last} come" if start < last else f"frame {start} comes"
        log.warning(
            "%s: %s before the first mask: empty masks are written; use --both-directions or --start %d%s",
            subject, early, number, meant,
        )  # fmt: skip
    return CheckedJob(
        job, options, source, frames, masks, prompts, masks.annotations.class_names | class_names
    )


def join_numbers(values: Any) -> Any:
    """Return boxes or points, or only one, whose numbers become texts; other values stay."""

    def is_numbers(value: Any) -> bool:
        return isinstance(value, list | tuple) and bool(value) and all(isinstance(x, Real) for x in value)

    values = [values] if is_numbers(values) else values
    if not isinstance(values, list | tuple):
        return values
    return [",".join(map(str, value)) if is_numbers(value) else value for value in values]


def parse_class_names(values: Sequence[str]) -> dict[int, str]:
    """Return class names by object id of texts like ``NAME`` (object 1) and ``:2=NAME``.

    Raises:
        InputError: a frame, no name, two names for one object, or a ``;`` or ``,``, which separate values in lists.
    """
    names: dict[int, str] = {}
    for value in values:
        frame, object_id, name = parse_frame_object(value)
        object_id, name = 1 if object_id is None else object_id, name.strip()
        if frame is not None or not name or {*";,"} & {*name} or object_id in names:
            raise InputError(
                f"class {value}: expected one name for each object, with the object's id if it is not 1, for example "
                ":2=dog"
            )
        names[object_id] = name
    return names
