"""Jobs: one video to track with its masks and prompts, checked before a model is loaded."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.engine.prompting.load import find_segmenter
from aotlab.media.frames import FrameSource, parse_rate
from aotlab.media.high_bit_depth import detect_image_kind, parse_levels
from aotlab.media.location import locate_video
from aotlab.media.prompt import FramePrompt, Prompt, group_prompts, parse_frame_prompts
from aotlab.media.regions import VideoInfo
from aotlab.media.video import open_frames
from aotlab.utils.errors import InputError
from aotlab.utils.files import require_file_name, sibling_path
from aotlab.utils.text import strip_credentials
from aotlab.utils.value_syntax import FrameObjectValue, parse_frame_object
from aotlab.video.inputs import FrameSelection, VideoMasks, load_masks, parse_mask, suggest_object
from aotlab.video.resume import RESTORED_OUTPUT
from aotlab.video.track import JobOptions, group_removals

log = logging.getLogger(__name__)

MASK_SUFFIXES = (".png", ".xml", ".json", ".masks")
"""suffixes of mask files beside a video: NAME.png, NAME.xml, NAME.json, or a folder NAME.masks"""

MaskValue = str | Path | FrameObjectValue
PromptValue = str | Sequence[float] | FramePrompt


@dataclass(frozen=True, init=False)
class Job:
    """One video to track.

    Texts are as on the command line, and one of them needs no list.
    """

    name: str
    """name in records and lists; in the results of a list, also the folder's name"""
    video: str
    """source, as in `open_frames`"""
    masks: tuple[FrameObjectValue, ...]
    """mask files, ``[FRAME][:ID]=FILE`` or FILE each"""
    overrides: tuple[str, ...]
    """``key=value`` settings of this job only"""
    levels: str | None
    """levels, as in `open_frames`"""
    start: int | None
    """number of the first frame to track; None: the first of the video"""
    end: int | None
    """number of the last frame to track; None: the last of the video"""
    boxes: tuple[FramePrompt, ...]
    """boxes around objects without a mask, ``[FRAME][:ID]=X,Y,W,H`` or numbers for object 1"""
    points: tuple[FramePrompt, ...]
    """points on objects, ``[FRAME][:ID]=X,Y`` or numbers for object 1"""
    not_points: tuple[FramePrompt, ...]
    """points that are not on the objects"""
    segmenter: str | tuple[Path, Path] | None
    """segmenter of the prompts: two ONNX files, or the name of a plug-in; None: the checkpoint's own"""
    classes: Mapping[int, str] = field(hash=False)
    """class names by object id, or ``[:ID]=NAME`` or NAME for object 1; they replace the names in mask files"""
    rate: str | None
    """frames per second of an image folder or TIFF stack, as in `open_frames`"""
    list_line: str = field(compare=False)
    """line of the list that the job is from, for messages"""

    def __init__(
        self,
        name: str,
        video: str | Path,
        masks: MaskValue | Sequence[MaskValue] = (),
        overrides: str | Sequence[str] = (),
        levels: str | tuple[float, float] | None = None,
        start: int | str | None = None,
        end: int | str | None = None,
        boxes: PromptValue | Sequence[PromptValue] = (),
        points: PromptValue | Sequence[PromptValue] = (),
        not_points: PromptValue | Sequence[PromptValue] = (),
        segmenter: str | Sequence[str | Path] | None = None,
        classes: str | Sequence[str] | Mapping[int, str] = (),
        rate: str | float | None = None,
        list_line: str = "",
    ) -> None:
        parse_levels(levels)
        parse_rate(rate)
        if levels is not None and not isinstance(levels, str):
            levels = ",".join(map(str, levels))
        if segmenter is not None and not isinstance(segmenter, str):
            encoder, decoder = map(Path, segmenter)
            segmenter = encoder, decoder
        vars(self).update(  # the class is frozen
            name=require_file_name(name, "name"),
            video=locate_video(video).text,
            masks=tuple(map(parse_mask, _list_texts("masks", masks))),
            overrides=tuple(_list_texts("overrides", overrides)),
            levels=levels,
            start=_parse_frame_number("start", start),
            end=_parse_frame_number("end", end),
            boxes=parse_frame_prompts("box", boxes),
            points=parse_frame_prompts("point", points),
            not_points=parse_frame_prompts("not-point", not_points),
            segmenter=segmenter,
            classes=parse_class_names(classes),
            rate=None if rate is None else str(rate),
            list_line=list_line,
        )

    @property
    def title(self) -> str:
        """Name and line of a list, for messages."""
        return f"{self.name} ({self.list_line})" if self.list_line else self.name

    @property
    def has_prompts(self) -> bool:
        """Whether masks are to be made from prompts."""
        return bool(self.boxes or self.points or self.not_points)

    @property
    def is_stored(self) -> bool:
        """Whether the video is a file or folder, not a stream."""
        return locate_video(self.video).kind == "stored"

    @property
    def has_images(self) -> bool:
        """Whether the video is a folder of images or a TIFF stack, which have levels and no frame rate."""
        path = Path(self.video)
        return path.is_dir() or (path.is_file() and detect_image_kind(path) == "tiff")

    @property
    def input_paths(self) -> list[Path]:
        """Paths of the masks, and of the video unless it is a stream."""
        return [*map(Path, ([self.video] if self.is_stored else []) + [mask.value for mask in self.masks])]

    def describe_missing_files(self) -> str | None:
        """Return the message about a missing video or masks, or None."""
        missing = ", ".join(str(path) for path in self.input_paths if not path.exists())
        remedy = "paths are relative to the list" if self.list_line else "check the spelling"
        return f"{missing}: no such file or folder; {remedy}" if missing else None

    def is_repeatable(self, options: JobOptions) -> bool:
        """Return whether another run gives the same results: no stream, and no frame is dropped to keep up."""
        return self.is_stored and not options.realtime

    def is_resumable(self, options: JobOptions) -> bool:
        """Return whether a run saves checkpoints and resumes after an interruption."""
        resumable = all(output.resumable for output in options.outputs.values())
        resumable = resumable and not options.both_directions and RESTORED_OUTPUT in options.write
        return resumable and self.is_repeatable(options)


@dataclass(frozen=True)
class CheckedJob:
    """A job whose video, masks and prompts were read and checked by `check_job`; no PyTorch is loaded for this."""

    job: Job
    options: JobOptions
    source: FrameSource
    frames: FrameSelection
    masks: VideoMasks
    """masks from files, with the class names of these files and `Job.classes`"""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """prompts by frame index and object id, with boxes cropped to the frame"""
    removals: Mapping[int, Sequence[int]]
    """ids of the objects to remove, by frame index"""

    @property
    def class_names(self) -> dict[int, str]:
        """Class names by object id."""
        return self.masks.annotations.class_names

    @property
    def objects(self) -> set[int]:
        """Ids of all objects."""
        return set(self.masks.annotations.objects()).union(*self.prompts.values())

    def estimate_bytes(self) -> int:
        """Return about how many bytes the results take; 0 for a stream."""
        height, width = self.source.size
        bytes_per_pixel = sum(
            output.bytes_per_pixel * (len(self.objects) if output.per_object else 1)
            for output in self.options.outputs.values()
        )
        return int(height * width * (self.frames.count or 0) * bytes_per_pixel)


def check_job(job: Job, options: JobOptions, *, strict: bool = False) -> CheckedJob:
    """Open the video of a job and check its masks, prompts and removals; warn of frames before the first of them.

    Args:
        strict: raise if a mask file states the name of another video, as in lists, where lines may be mixed up.

    Raises:
        InputError: a bad video, mask or prompt, or the video lacks the first or last frame of the job.
    """
    video_name = strip_credentials(job.video)
    if not (job.masks or job.has_prompts):
        names = ", ".join(sibling_path(Path(video_name), suffix).name for suffix in MASK_SUFFIXES)
        raise InputError(
            f"{video_name}: no object to track; give a box, points or masks, or put {names} next to it"
        )
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=strict)
    if isinstance(job.segmenter, str):  # also if no prompt needs it
        find_segmenter(job.segmenter)
    prompts = _index_prompts(job, source, frames, masks)
    ids: dict[int, Collection[int]] = {
        index: {region.object_id for region in regions} for index, regions in masks.annotations.frames.items()
    }
    removals = group_removals(options.removals, {**ids, **prompts}, frames)
    for object_id in job.classes.keys() - set().union(*ids.values(), *prompts.values()):
        raise InputError(
            f"class {job.classes[object_id]}: no mask or prompt has object {object_id}; give its id, as in :2=NAME"
        )
    first = min((*masks, *prompts))
    if first > frames.first and not options.both_directions:
        _warn_about_empty_masks(job, source, frames, first)
    masks.annotations.class_names.update(job.classes)
    return CheckedJob(job, options, source, frames, masks, prompts, removals)


def _index_prompts(
    job: Job, source: FrameSource, frames: FrameSelection, masks: VideoMasks
) -> dict[int, dict[int, Prompt]]:
    """Return the prompts by frame index and object id, cropped to the frame; none is on a frame with a mask."""
    by_number = group_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if by_number and not job.is_stored:
        name = strip_credentials(job.video)
        raise InputError(f"{name}: prompts need a video file or a folder; give a mask for a stream")
    subject = job.title if job.list_line else source.name
    prompts = {}
    for number, by_object in by_number.items():
        suggestion = suggest_object(number if 1 in by_object else None)
        index = frames.index(number, f"box or point of frame {number}{suggestion}")
        prompts[index] = {
            object_id: prompt.crop_box(source.size, object_id, f"{subject}: ")
            for object_id, prompt in by_object.items()
        }
    for index in prompts:
        if index in masks:
            raise InputError(
                f"prompt of frame {frames.number(index)}: it has a mask; draw the objects there, or remove it"
            )
    return prompts


def _warn_about_empty_masks(job: Job, source: FrameSource, frames: FrameSelection, first: int) -> None:
    """Warn that the frames before the first mask or prompt, at index ``first``, get empty masks."""
    start, last, number = frames.number(frames.first), frames.number(first - 1), frames.number(first)
    unnamed = {mask.frame for mask in job.masks if mask.object_id is None}
    unnamed |= {prompt.frame for prompt in (*job.boxes, *job.points) if prompt.object_id == 1}
    log.warning(
        "%s: %s before the first mask: empty masks are written; track in both directions, or start at frame %d%s",
        job.title if job.list_line else source.name,
        f"frames {start} to {last} come" if start < last else f"frame {start} comes",
        number,
        suggest_object(number) if number in unnamed else "",
    )


def _list_texts(name: str, values: Any) -> list[Any]:
    """Return a list of texts, paths or masks, of which one is a list of itself; raise `InputError` for other values."""
    types = str | Path | FrameObjectValue
    items = [values] if isinstance(values, types) or not np.iterable(values) else list(values)
    if not all(isinstance(item, types) for item in items):
        raise InputError(f"{name}: expected text as on the command line, or a list of it, got {values!r:.80}")
    return items


def _parse_frame_number(name: str, value: int | str | None) -> int | None:
    if value is not None and not re.fullmatch("[0-9]{1,9}", str(value)):
        raise InputError(f"{name} {value!s:.40}: expected a frame number, for example 100")
    return None if value is None else int(value)


def parse_class_names(values: str | Sequence[str] | Mapping[int, str]) -> dict[int, str]:
    """Return class names by object id of texts like ``NAME`` (object 1) and ``:2=NAME``.

    Raises:
        InputError: a frame, no name, two names for one object, or a ``;`` or ``,``, which separate values in lists.
    """
    if isinstance(values, Mapping):
        values = [f":{key}={name}" for key, name in values.items()]
    names: dict[int, str] = {}
    for value in _list_texts("class", values):
        frame, object_id, name = parse_frame_object(value)
        object_id, name = 1 if object_id is None else object_id, name.strip()
        if frame is not None or not name or {*";,"} & {*name} or object_id in names:
            raise InputError(
                f"class {value}: expected one name for each object, with the object's id if it is not 1, for example "
                ":2=dog"
            )
        names[object_id] = name
    return names
