"""Results of a job of a list of videos, opened as a project for corrections."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import numpy as np

from aotlab import InputError
from aotlab.sdk import Annotations, load_masks, read_annotations
from aotlab_studio.project.folder import PROJECT_FILE, PROJECT_SUFFIX, locate_project
from aotlab_studio.project.state import State
from aotlab_studio.review.output import ReviewFile, read_scores
from aotlab_studio.review.scores import measure_scores
from aotlab_studio.video import CACHE_BYTES

RECORD_FILE = ".track.json"
"""record in a folder of results, written by ``aotlab track``"""
CORRECTED_FILE = ".corrected"
"""empty file in a folder of results that holds corrected masks, which ``aotlab track`` keeps"""
READABLE_OUTPUTS = ("masks", "coco.json", "cvat.xml", "youtube_vis.json")
"""results with the masks of all frames, the best first"""


class JobRecord(msgspec.Struct):
    """Record of a job: what the page needs of it."""

    video: str
    frames: int
    written: list[str]
    """names of the results in the job's folder"""
    masks: list[str] = []
    """given masks, as in `Job.masks`"""
    levels: str | None = None
    first_frame: int = 0
    """index of the first tracked frame"""


def read_job(folder: Path) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None for any other path or a damaged record."""
    real = Path(os.path.realpath(folder))
    try:
        return msgspec.json.decode((real / RECORD_FILE).read_bytes(), type=JobRecord)
    except (OSError, ValueError):
        return None


def find_results(project: Path) -> Path | None:
    """Return the folder of results that a project beside it corrects; None for any other project."""
    real = Path(os.path.realpath(project))
    folder = real.with_name(real.name.removesuffix(PROJECT_SUFFIX))
    return folder if folder != real and read_job(folder) is not None else None


def open_results(
    folder: Path, job: JobRecord, *, project: Path | None = None, cache_bytes: int = CACHE_BYTES
) -> State:
    """Open the project of a job's results, with its tracked and given masks; create it on first use.

    Args:
        project: project folder; None: ``folder`` with the suffix of projects.
        cache_bytes: as in `State`.

    Raises:
        InputError: as `State`; the video is missing, or none of the results holds readable masks.
    """
    real = Path(os.path.realpath(folder))
    project = project or real.with_name(real.name + PROJECT_SUFFIX)
    fresh = not (project / PROJECT_FILE).is_file()
    video = Path(job.video)
    if not video.exists():  # moved together with the results
        video = real.with_name(video.name) if fresh else locate_project(project)[0]
    if not video.exists() or video == real:
        raise InputError(
            f"{folder}: its video {job.video} is missing; restore it, or put it beside the results"
        )
    state = State(video, project=project, cache_bytes=cache_bytes, levels=job.levels)
    try:
        if fresh:
            _import_results(state, folder, job)
    except BaseException:  # an incomplete project would be opened as complete next time
        state.close()
        shutil.rmtree(project, ignore_errors=True)
        raise
    return state


def _import_results(state: State, folder: Path, job: JobRecord) -> None:
    """Store objects and masks in an empty project; tracked frames without masks show no object."""
    frames = state.frames
    video = state.video_info
    readable = [folder / name for name in READABLE_OUTPUTS if name in job.written]
    if not readable:
        raise InputError(
            f"{folder}: contains no readable masks; track it again and write masks, coco or cvat"
        )
    tracked = read_annotations(readable[0], video)
    given = load_masks(job.masks, video).annotations if job.masks else Annotations(frames.size)
    scores = read_scores(folder) if ReviewFile.file_name in job.written else {}
    class_names = tracked.class_names | given.class_names
    state.project.classes = given.classes | tracked.classes
    state.project.attributes = tracked.attribute_table() | given.attribute_table()
    changes = state.new_changes()
    with state.edit_objects(changes) as objects:  # stored last: this completes the project
        for object_id in sorted({*tracked.objects(), *given.objects()}):
            objects.add(class_names.get(object_id), object_id)
        end = min(job.first_frame + job.frames, frames.count)
        for index in sorted({*range(job.first_frame, end), *tracked.frames}):
            ids = tracked.mask(index)
            state.set_tracked(index, ids, scores.get(index) or measure_scores(ids, objects.ids, {}, {}))
        for index in given.frames:
            ids = given.mask(index)
            state.set_keyframe(index, ids, [int(object_id) for object_id in np.unique(ids) if object_id])
    changes.discard()  # opening is no step
