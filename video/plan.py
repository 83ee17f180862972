"""Plans of runs: checked inputs, and what to do about earlier results, which `aotlab.video.results` decides."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aotlab.media.frames import FrameSource
from aotlab.media.job_record import PROMPT_MASKS, UNFINISHED, JobRecord
from aotlab.media.location import locate_video
from aotlab.media.prompt import Prompt, group_prompts
from aotlab.media.regions import VideoInfo
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.utils.errors import InputError
from aotlab.utils.files import prefix_errors, sibling_path
from aotlab.utils.locks import locked_output
from aotlab.utils.text import strip_credentials
from aotlab.utils.value_syntax import FrameObjectValue
from aotlab.video.digest import digest_inputs
from aotlab.video.inputs import FrameSelection, VideoMasks, load_masks, object_hint
from aotlab.video.job import MASK_SUFFIXES, Job
from aotlab.video.job_file import find_masks_beside
from aotlab.video.results import EARLIER, Action, choose_action, restore_earlier
from aotlab.video.track import JobOptions, group_removals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobRun:
    """A run of a job: its checked inputs, and what to do about earlier results. No PyTorch is loaded for this."""

    job: Job
    folder: Path
    """output folder"""
    options: JobOptions
    force: bool
    """whether results of other inputs are replaced"""
    action: Action
    record: JobRecord
    """record of the run, or of the results that are reused"""
    source: FrameSource
    frames: FrameSelection
    masks: VideoMasks
    """masks from files, with the class names of these files and `Job.classes`"""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """prompts by frame index and object id, with boxes cropped to the frame"""
    removals: Mapping[int, Sequence[int]]
    """ids of the objects to remove, by frame index"""
    objects: set[int]
    """ids of all objects"""

    def estimate_bytes(self) -> int:
        """Return about how many bytes the results take; 0 for a stream."""
        height, width = self.source.size
        count = self.frames.count
        if count is None and (length := self.source.count_frames()) is not None:
            count = length - self.frames.first
        bytes_per_pixel = sum(
            output.bytes_per_pixel * (len(self.objects) if output.per_object else 1)
            for output in self.options.outputs.values()
        )
        return int(height * width * (count or 0) * bytes_per_pixel)


def plan_job(
    job: Job,
    folder: Path,
    options: JobOptions,
    read_settings: Callable[[], Mapping[str, Any]],
    *,
    force: bool = False,
    in_list: bool = False,
) -> JobRun:
    """Check the inputs of a run and plan it; warn of frames before the first mask. No model is loaded.

    Args:
        folder: output folder.
        options: outputs and how to track.
        read_settings: returns `result_settings`; called after checks that need no PyTorch.
        force: replace results of other inputs.
        in_list: the job comes from a list: a stream is tracked once instead of each time, and masks of another video
            are refused, as lines may be mixed up.

    Raises:
        InputError: a bad video, mask or prompt, or the folder contains what must not be replaced.
    """
    if problem := job.describe_missing_files():
        raise InputError(problem)
    video_name = strip_credentials(job.video)
    if not job.has_objects:
        names = ", ".join(sibling_path(Path(video_name), suffix).name for suffix in MASK_SUFFIXES)
        raise InputError(
            f"{video_name}: nothing to track; give a box, points or masks, or put {names} next to it"
        )
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    # perhaps not meant as masks
    with prefix_errors("masks next to the video" if job.masks == find_masks_beside(job.video) else ""):
        masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=in_list)
    prompts = _index_prompts(job, source, frames, masks)
    ids: dict[int, Collection[int]] = {
        index: {region.object_id for region in regions} for index, regions in masks.annotations.frames.items()
    }
    ids |= prompts
    removals = group_removals(options.removals, ids, frames)
    objects = set[int]().union(*ids.values())
    for object_id in job.classes.keys() - objects:
        raise InputError(
            f"class {job.classes[object_id]}: no mask or prompt has object {object_id}; give its id, as in :2=NAME"
        )
    masks.annotations.class_names.update(job.classes)
    settings, record = read_settings(), make_record(job, frames)
    outputs = options.file_names + [PROMPT_MASKS] * job.has_prompts
    record = replace(
        record, fingerprint=compute_fingerprint(Path(job.video)) if job.is_stored else {},
        class_names=masks.annotations.class_names, written=outputs, outputs=outputs, **describe_frames(source, frames),
    )  # fmt: skip
    if in_list or job.is_repeatable(options):
        record.input_digests = digest_inputs(job, settings, record)
    else:
        record.input_digests = {"recording": secrets.token_hex()}  # another run has other frames
    if (folder / EARLIER).is_dir():  # left by a killed process
        with locked_output(folder):
            restore_earlier(folder)
    action, earlier = choose_action(folder, record, job.input_paths, force=force)
    if action == "reuse":
        record = earlier
    elif (first := min(ids)) > frames.first and not options.both_directions:
        _warn_about_empty_masks(job, source, frames, first)
    return JobRun(
        job, folder, options, force, action, record, source, frames, masks, prompts, removals, objects
    )


def _index_prompts(
    job: Job, source: FrameSource, frames: FrameSelection, masks: VideoMasks
) -> dict[int, dict[int, Prompt]]:
    """Return the prompts by frame index and object id, cropped to the frame; reject prompts on frames with masks."""
    by_number = group_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if by_number and not job.is_stored:
        name = strip_credentials(job.video)
        raise InputError(f"{name}: prompts need a video file or a folder; give a mask for a stream")
    subject = job.title if job.list_line else source.name
    prompts = {}
    for number, by_object in by_number.items():
        suggestion = object_hint(number if 1 in by_object else None)
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
        object_hint(number) if number in unnamed else "",
    )


def make_record(job: Job, frames: FrameSelection | None = None) -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and URLs without passwords.

    Args:
        frames: frames to track, whose indices then name the frames of masks; None: unknown.
    """
    kind, video = locate_video(job.video)
    is_path = kind in ("stored", "pipe") or os.path.exists(video)
    video = os.path.abspath(video) if is_path else strip_credentials(video)
    masks = []
    for mask in job.masks:
        index = mask.frame
        if frames is not None and index is not None:
            index = frames.index(index, f"mask {mask}")
        elif frames is not None and frames.first and Path(mask.value).suffix.lower() == ".png":
            index = frames.first
        masks.append(str(FrameObjectValue(index, mask.object_id, os.path.abspath(mask.value))))
    return JobRecord(job.name, video, error=UNFINISHED, masks=masks, levels=job.levels)


def describe_frames(source: FrameSource, frames: FrameSelection) -> dict[str, Any]:
    """Return the fields of a `JobRecord` that describe a video and its frames to track."""
    stems = []
    if source.named and frames.last is not None:
        stems = [*map(source.stem, range(frames.first, frames.last + 1))]
    return {
        "video_name": source.name, "rate": str(source.rate), "first_frame": frames.first, "last_frame": frames.last,
        "stems": stems,
    }  # fmt: skip
