"""Preparation of a run: everything is opened and checked once, before its model is loaded."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aotlab.media.arrays import convert_mask
from aotlab.media.masks import MAX_ID
from aotlab.media.prompt import Prompt
from aotlab.sdk import describe_segmenter
from aotlab.utils.digests import InputDigests, digest_values
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors, sibling_path
from aotlab.utils.run_folder import read_record, require_inputs_outside
from aotlab.utils.text import strip_credentials
from aotlab_video.masks.frame_prompts import group_prompts
from aotlab_video.masks.regions import Annotations, VideoInfo
from aotlab_video.masks.soft_masks import split_soft_mask
from aotlab_video.runs.inputs import FrameSelection, find_frame, find_gap, load_masks, split_absent
from aotlab_video.runs.job import MASK_ENDINGS, Job, RunOptions
from aotlab_video.runs.job_list import add_masks_beside, find_masks_beside
from aotlab_video.runs.lazy_tracker import LazyTracker
from aotlab_video.runs.store import Results
from aotlab_video.runs.views import check_outputs
from aotlab_video.sources.frames import FrameSource
from aotlab_video.sources.video import digest_video, open_frames

log = logging.getLogger("aotlab.video")


@dataclass(frozen=True)
class PreparedRun:
    """A checked run: what to track, with which model, into which folder."""

    folder: Path
    job: Job
    source: FrameSource
    frames: FrameSelection
    masks: Annotations
    """Masks by frame index, with class names; those of prompts are added when the run is tracked."""
    prompts: Mapping[int, Mapping[int, Prompt]]
    """Prompts by frame index and object id, with boxes cropped to the frame."""
    removals: Mapping[int, Sequence[int]]
    """Ids of the objects to remove, by frame index."""
    options: RunOptions
    loader: LazyTracker
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """All that the masks depend on, from `fingerprint_inputs`."""
    streamed: Sequence[str] = ()
    """Names of the outputs that are written while tracking, as the source can be read only once."""
    digests: Mapping[str, dict[str, str]] = field(default_factory=dict)
    """Digests of the input files, from `InputDigests`."""

    @property
    def objects(self) -> list[int]:
        """Ids of all objects to track."""
        return sorted({*self.masks.objects(), *(key for prompts in self.prompts.values() for key in prompts)})

    @property
    def annotated_frames(self) -> set[int]:
        """Indices of the frames with masks or prompts."""
        return {*self.masks, *self.prompts}

    @property
    def is_resumable(self) -> bool:
        """Whether an interrupted run can continue: later frames are not needed, and no frame is dropped."""
        return "recording" not in self.inputs and not self.options.both_directions

    def new_results(self) -> Results:
        """Return the results of this run before its first frame."""
        masks = [
            str(mask._replace(frame=find_frame(mask, self.frames), value=os.path.abspath(mask.value)))
            for mask in self.job.masks
        ]
        return Results(
            folder=self.folder, inputs=dict(self.inputs), name=self.job.name, masks=masks,
            video=self.job.video_address, objects=self.objects,
            first_frame=self.frames.first, last_frame=self.frames.last, by_name=self.options.by_name,
            mask_start_number=self.options.mask_start_number, mask_format=self.options.mask_format,
            soft=self.options.stores_soft, digests=dict(self.digests),
        )  # fmt: skip


def prepare(job: Job, folder: Path, loader: LazyTracker, options: RunOptions, *, strict: bool = False) -> PreparedRun:
    """Open and check everything that a job needs; no model is loaded, and nothing is written.

    ``strict``: refuse masks of another video, as lines of a list may be mixed up.

    Raises:
        InputError: a video, mask, prompt, class or removal cannot be used, or an input is in the folder of results.
    """
    job = add_masks_beside(job)
    source = job.frames or _open_source(job)
    _check_frame_names(source, options, strict=strict)
    frames = FrameSelection(source, job.start, job.end, by_name=options.by_name)
    info = VideoInfo.from_source(source)
    info = replace(info, start_number=options.mask_start_number, mask_format=options.mask_format)
    masks = _load_masks(job, info, frames, strict=strict)
    absent = split_absent(masks)
    subject = job.label if job.source_line else source.name
    prompts = _load_prompts(job, source, frames, masks, subject)
    removals = _check_objects(job, options, frames, masks, prompts, absent, subject)
    require_inputs_outside([*job.input_paths, *filter(None, [source.path])], folder)
    streamed = check_outputs(options.make_outputs(), source, folder)
    digests = InputDigests((read_record(folder) or {}).get("digests"))
    run = PreparedRun(folder, job, source, frames, masks, prompts, removals, options, loader, streamed=streamed)
    return replace(run, inputs=fingerprint_inputs(run, digests), digests=digests.entries)


def _open_source(job: Job) -> FrameSource:
    """Open the video of a job; raise `InputError` if nothing shows what to track in it."""
    if problem := job.describe_missing_files():
        raise InputError(problem)
    if not (job.has_objects or job.is_stored):
        raise InputError("nothing to track", subject=strip_credentials(job.video), remedy="give a mask")
    source = open_frames(job.video, job.source)
    if not job.has_objects:
        names = ", ".join(sibling_path(Path(job.video), suffix).name for suffix in MASK_ENDINGS)
        remedy = f"give a box, points or masks, or put {names} next to it"
        raise InputError("nothing to track", subject=job.video, remedy=remedy)
    return source


def _check_frame_names(source: FrameSource, options: RunOptions, *, strict: bool) -> None:
    """Refuse several sequences in a folder of images; warn about missing frames, or raise if ``strict``.

    Numbers of file names may be of one sequence with gaps.
    """
    if source.has_names and not options.by_name:
        with prefix_errors(source.path):
            gap = find_gap([source.frame_name(index) for index in range(len(source))])
            if gap is not None and strict:
                raise gap
        if gap is not None:
            log.warning("%s: %s", source.path, gap)


def _load_masks(job: Job, video: VideoInfo, frames: FrameSelection, *, strict: bool) -> Annotations:
    """Return the masks of a job, with its class names."""
    # files that were found next to the video may not be meant as masks
    with prefix_errors("masks next to the video" if job.masks and job.masks == find_masks_beside(job.video) else ""):
        masks = load_masks(job.masks, video, frames, strict=strict)
    for index, mask in job.arrays.items():
        frames.require_frame(index, f"masks: frame {index}")
        with prefix_errors(f"frame {index}"):
            labels = convert_mask(mask, video.size, required=index == min(job.arrays), max_id=MAX_ID)
        values = np.asarray(mask)
        soft = split_soft_mask(values)[1] if values.dtype.kind == "f" else {}
        masks.add_mask(index, np.zeros(video.size) if labels is None else labels, soft)
    masks.class_names |= job.classes
    return masks


def _load_prompts(
    job: Job, source: FrameSource, frames: FrameSelection, masks: Annotations, subject: str
) -> dict[int, dict[int, Prompt]]:
    """Return prompts by frame index and object id, also those of mask files; boxes are cropped to the frame."""
    by_index = group_prompts(
        job.boxes, job.points, job.negative_points,
        find_index=partial(frames.index, subject="box or point"), frame_number=frames.number,
    )  # fmt: skip
    problem = "prompts need a video file or a folder; give a mask"
    require(source.path is not None or not (by_index or masks.boxes), problem, subject=strip_credentials(job.video))
    for index, boxes in masks.boxes.items():
        found = {key: Prompt(box=box) for key, box in boxes.items()}
        by_index[index] = found | by_index.get(index, {})
    for index, by_object in job.prompts.items():
        frames.require_frame(index, f"prompts: frame {index}")
        by_index[index] = {**by_index.get(index, {}), **by_object}
    for index, by_object in by_index.items():
        by_index[index] = {key: prompt.crop_box(source.size, key, f"{subject}: ") for key, prompt in by_object.items()}
    return by_index


def _check_objects(
    job: Job,
    options: RunOptions,
    frames: FrameSelection,
    masks: Annotations,
    prompts: Mapping[int, Mapping[int, Prompt]],
    absent: Mapping[int, Collection[int]],
    subject: str,
) -> dict[int, list[int]]:
    """Check classes, and the whole sequence of masks and removals; return the object ids to remove by frame index.

    ``absent``: ids of the objects that masks state to be absent, by frame index.
    A warning is logged if frames before the first mask or prompt get empty masks.
    """
    ids_by_frame: dict[int, Collection[int]] = {
        index: {region.object_id for region in regions} for index, regions in masks.frames.items()
    }
    for index, by_object in prompts.items():
        ids_by_frame[index] = {*ids_by_frame.get(index, ()), *by_object}
    removals = group_removals(job.removals, ids_by_frame, frames, absent)
    objects = set[int]().union(*ids_by_frame.values())
    for object_id, name in job.classes.items():
        has_object = object_id in objects
        require(
            has_object,
            f"no mask or prompt has object {object_id}",
            subject=f"class {name}",
            remedy="give its id, as in :2=NAME",
        )
    if (first := min(ids_by_frame)) > frames.first and not options.both_directions:
        message = "%s: no object before frame %d; track in both directions, or start there"
        log.warning(message, subject, frames.number(first))
    return removals


def fingerprint_inputs(run: PreparedRun, digests: InputDigests) -> dict[str, Any]:
    """Return all that the masks of a run depend on, as `RunFolder.inputs`."""
    job, source, frames, options = run.job, run.source, run.frames, run.options
    video: dict[str, Any] = {"name": source.name}
    video |= {"address": strip_credentials(job.video)} if source.path is None else digest_video(source.path, digests)
    has_files = run.loader.has_files and not (job.arrays or job.prompts)
    is_repeatable = has_files and source.path is not None and not options.realtime
    masks = run.masks
    inputs = {
        "video": video,
        "start": frames.first,
        "end": frames.last,
        "recording": None if is_repeatable else datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "source": source.options.to_json(),
        "masks": {
            index: {"sha256": digest_values((item.object_id, item.rle.tolist(), item.attributes) for item in regions)}
            for index, regions in sorted(masks.frames.items())
        },
        "prompts": {
            index: {key: _format_prompt(prompt) for key, prompt in by_object.items()}
            for index, by_object in run.prompts.items()
        },
        "segmenter": describe_segmenter(job.segmenter or None, digests) if job.segmenter or run.prompts else [],
        "classes": dict(sorted(masks.class_names.items())),
        "class_ids": masks.classes,
        "both_directions": options.both_directions,
        "removals": [f"{index}:{key}" for index, ids in run.removals.items() for key in ids],
        **run.loader.fingerprint(job.overrides, digests),  # loads PyTorch, so after all other checks
    }
    return {name: value for name, value in inputs.items() if value not in (None, False, [], {})}


def group_removals(
    removals: Iterable[tuple[int | str, int]],
    ids_by_frame: Mapping[int, Collection[int]],
    frames: FrameSelection,
    absent: Mapping[int, Collection[int]] | None = None,
) -> dict[int, list[int]]:
    """Return the object ids to remove by frame index, given pairs of frame and object id.

    Masks and removals are played through in order: raises `InputError` if a frame is not tracked, or the object is not
    tracked before it. ``ids_by_frame``: ids of the objects with a mask, by frame index. ``absent``: ids of objects
    that are also removed if they are tracked, by frame index.
    """
    absent = absent or {}
    groups: dict[int, list[int]] = {}
    for frame, object_id in removals:
        groups.setdefault(frames.index(frame, f"remove {frame}:{object_id}"), []).append(object_id)
    tracked = set[int]()
    for index in sorted({*groups, *ids_by_frame, *absent}):
        for object_id in groups.get(index, ()):
            subject = f"remove {frames.number(index)}:{object_id}"
            require(
                object_id in tracked,
                f"object {object_id} is not tracked there",
                subject=subject,
                remedy="give another frame or id",
            )
            tracked.remove(object_id)
        if gone := sorted(tracked.intersection(absent.get(index, ()))):
            groups.setdefault(index, []).extend(gone)
            tracked.difference_update(gone)
        tracked |= {*ids_by_frame.get(index, ())}
    return dict(sorted(groups.items()))


def _format_prompt(prompt: Prompt) -> str:
    """Return a prompt as text."""
    parts = [] if prompt.box is None else [f"box {_join(prompt.box)}"]
    parts += [
        f"{'point' if label else 'negative-point'} {_join(point)}"
        for point, label in zip(prompt.points, prompt.labels, strict=True)
    ]
    parts += [f"scribble {' '.join(map(_join, prompt.scribble))}"] if prompt.scribble else []
    return ", ".join(parts)


def _join(values: Iterable[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
