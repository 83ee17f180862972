"""Checks of a job before its model is loaded."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aotlab.engine.tracking.options import TrackerLoader
from aotlab.jobs.digests import digest_inputs, result_settings
from aotlab.jobs.inputs import FrameSelection, find_frame, load_masks
from aotlab.jobs.job import MASK_SUFFIXES, Job, JobOptions
from aotlab.jobs.job_list import add_masks_beside, find_masks_beside
from aotlab.media.frames import FrameSource
from aotlab.media.job_record import PROMPT_MASKS, JobRecord
from aotlab.media.location import locate_video
from aotlab.media.prompt import Prompt, group_prompts
from aotlab.media.regions import Annotations, VideoInfo
from aotlab.media.video import compute_fingerprint, open_frames
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, sibling_path
from aotlab.utils.text import strip_credentials

log = logging.getLogger(__name__)


@dataclass
class JobRun:
    """Inputs of a video to track, and the folder of its results.

    Raises `InputError` if a class or removal names an unknown object. A warning is logged if frames before the first
    mask or prompt get empty masks.
    """

    record: JobRecord
    """Record before the first frame; the given one has name, video, and class names that replace those of the masks."""
    folder: Path
    """Folder that receives the results."""
    options: JobOptions
    source: FrameSource
    frames: FrameSelection
    masks: Annotations
    """Masks, with class names; those of prompts are added when the run is tracked."""
    prompts: Mapping[int, Mapping[int, Prompt]] = field(default_factory=dict)
    """Prompts by frame index and object id, with boxes cropped to the frame."""
    job: Job | None = None
    """Job of the run; None for `track`."""
    removals: Mapping[int, Sequence[int]] = field(init=False)
    """Ids of the objects to remove, by frame index."""
    objects: Collection[int] = field(init=False)
    """Ids of all objects to track."""

    def __post_init__(self) -> None:
        source, frames, class_names = self.source, self.frames, self.record.class_names
        mask_ids = {index: {region.object_id for region in regions} for index, regions in self.masks.frames.items()}
        ids_by_frame: dict[int, Collection[int]] = {**mask_ids, **self.prompts}
        self.removals = group_removals(self.options.removals, ids_by_frame, frames)
        self.objects = set[int]().union(*ids_by_frame.values())
        for object_id, name in class_names.items():
            has_object = object_id in self.objects
            require(has_object, f"class {name}: no mask or prompt has object {object_id}; give its id, as in :2=NAME")
        self.masks = replace(self.masks, class_names=self.masks.class_names | class_names)
        if (first := min(ids_by_frame)) > frames.first and not self.options.both_directions:
            message = "%s: no object before frame %d; track in both directions, or start there"
            subject = self.job.label if self.job and self.job.source_line else source.name
            log.warning(message, subject, frames.number(first))
        outputs = {PROMPT_MASKS: ["*.png"]} if self.prompts else {}
        for output in self.options.outputs.values():
            outputs |= output.list_files(self.objects)
        tracked = range(frames.first, 0 if frames.last is None else frames.last + 1)
        self.record = replace(
            self.record, status="unfinished", written=[*outputs], outputs=outputs, class_names=self.masks.class_names,
            video_name=source.name, rate=str(source.rate), first_frame=frames.first, last_frame=frames.last,
            fingerprint={} if source.path is None else compute_fingerprint(source.path),
            frame_names=[*map(source.frame_name, tracked)] if source.has_names else [],
        )  # fmt: skip

    @property
    def is_repeatable(self) -> bool:
        """Whether each run gives the same results, as the video is stored and no frame is dropped."""
        return self.source.path is not None and not self.options.realtime

    @property
    def is_resumable(self) -> bool:
        """Whether a run can save checkpoints, from which another run of the same inputs resumes."""
        options = self.options
        stores_masks = "masks" in options.write and all(output.resumable for output in options.outputs.values())
        return stores_masks and not options.both_directions and self.is_repeatable

    def estimate_bytes(self) -> int:
        """Estimate the size of the results in bytes; 0 for a stream."""
        height, width = self.source.size
        bytes_per_pixel = sum(
            output.bytes_per_pixel * (len(self.objects) if output.per_object else 1)
            for output in self.options.outputs.values()
        )
        return int(height * width * (self.frames.count or 0) * bytes_per_pixel)


def check_job(job: Job, folder: Path, loader: TrackerLoader, options: JobOptions, *, from_list: bool = False) -> JobRun:
    """Check the inputs of a job and return its run; no model is loaded.

    ``from_list``: the job comes from a list. Then a stream is tracked once instead of at each run, and masks of another
    video are refused, as lines may be mixed up.
    """
    job = add_masks_beside(job)
    if problem := job.describe_missing_files():
        raise InputError(problem)
    if not (job.has_objects or job.is_stored):
        raise InputError(f"{strip_credentials(job.video)}: nothing to track; give a mask")
    source = open_frames(job.video, timeout=options.timeout, levels=job.levels, rate=job.rate)
    if not job.has_objects:
        names = ", ".join(sibling_path(Path(job.video), suffix).name for suffix in MASK_SUFFIXES)
        raise InputError(f"{job.video}: nothing to track; give a box, points or masks, or put {names} next to it")
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    # files that were found next to the video may not be meant as masks
    with prefix_errors("masks next to the video" if job.masks == find_masks_beside(job.video) else ""):
        masks = load_masks(job.masks, VideoInfo.from_source(source), frames, strict=from_list)
    prompts = _index_prompts(job, source, frames, masks)
    run = JobRun(make_record(job, frames), folder, options, source, frames, masks, prompts, job)
    settings = result_settings(loader, options, from_list=from_list)  # loads PyTorch, so after all other checks
    if from_list or run.is_repeatable:
        run.record.input_digests = digest_inputs(job, settings, run.record, frames)
    else:  # no other run has the same frames
        run.record.input_digests = {"recording": secrets.token_hex()}
    return run


def make_record(job: Job, frames: FrameSelection | None = None) -> JobRecord:
    """Return the record of an unfinished job, with absolute paths, and URLs without passwords.

    With the ``frames`` to track, their indices name the frames of masks.
    """
    kind, video = locate_video(job.video)
    is_path = kind in ("stored", "pipe") or os.path.exists(video)
    video = os.path.abspath(video) if is_path else strip_credentials(video)
    masks = [
        mask._replace(
            frame=mask.frame if frames is None else find_frame(mask, frames), value=os.path.abspath(mask.value)
        )
        for mask in job.masks
    ]
    return JobRecord(
        job.name, video, status="unfinished", masks=[*map(str, masks)], class_names={**job.classes}, levels=job.levels
    )


def _index_prompts(
    job: Job, source: FrameSource, frames: FrameSelection, masks: Annotations
) -> dict[int, dict[int, Prompt]]:
    """Return the prompts by frame index and object id, cropped to the frame; refuse prompts on frames with masks."""
    by_number = group_prompts(job.boxes, job.points, job.not_points, first_frame=frames.number(frames.first))
    if by_number and not job.is_stored:
        raise InputError(f"{strip_credentials(job.video)}: prompts need a video file or a folder; give a mask")
    prompts, subject = {}, job.label if job.source_line else source.name
    for number, by_object in by_number.items():
        index = frames.index(number, "box or point")
        if index in masks:
            raise InputError(f"prompt of frame {number}: it has a mask; draw the objects there, or remove it")
        prompts[index] = {
            object_id: prompt.crop_box(source.size, object_id, f"{subject}: ")
            for object_id, prompt in by_object.items()
        }
    return prompts


def group_removals(
    removals: Iterable[tuple[int, int]], ids_by_frame: Mapping[int, Collection[int]], frames: FrameSelection
) -> dict[int, list[int]]:
    """Return the object ids to remove by frame index, given pairs of frame number and object id.

    Raises `InputError` if a frame is not tracked, or no mask of an earlier frame has the object.
    ``ids_by_frame``: ids of the objects with a mask, by frame index.
    """
    groups: dict[int, list[int]] = {}
    for number, object_id in removals:
        subject = f"remove {number}:{object_id}"
        removed = frames.index(number, subject)
        has_object = any(object_id in ids for index, ids in ids_by_frame.items() if index < removed)
        require(has_object, f"{subject}: no mask of an earlier frame has object {object_id}; give another frame or id")
        groups.setdefault(removed, []).append(object_id)
    return groups
