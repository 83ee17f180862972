"""Results of a job of a list of videos, opened as a project for corrections."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aotlab.annotation.frames import CACHE_BYTES
from aotlab.annotation.project import FILE, SUFFIX
from aotlab.annotation.state import State
from aotlab.engine.jobs.records import JobRecord, record_path
from aotlab.engine.video.given_masks import GivenMasks, load_masks
from aotlab.engine.video.scores import measured
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder, real_path, remove
from aotlab.utils.versioned_json import load_record

READABLE = ("masks", "coco.json", "cvat.xml", "youtube_vis.json")
"""results with the masks of all frames, the best first"""


def job_of(folder: Path) -> JobRecord | None:
    """Return the record of the job whose results are in a folder; None for any other path."""
    whole = real_path(folder)
    return load_record(record_path(whole.parent, whole.name), JobRecord) if is_folder(folder) else None


def open_results(
    folder: Path, job: JobRecord, *, project: Path | None = None, cache_bytes: int = CACHE_BYTES
) -> State:
    """Open the project of a job's results, with its tracked and given masks; create it on first use.

    Args:
        project: project folder; None: ``folder`` with the suffix of projects.
        cache_bytes: as of `State`.

    Raises:
        InputError: as `State`; the video is missing, or none of the results holds readable masks.
    """
    project_folder = project or real_path(folder).with_name(real_path(folder).name + SUFFIX)
    if not Path(job.video).exists():
        raise InputError(f"{folder}: its video {job.video} is missing; restore it")
    fresh = not (project_folder / FILE).is_file()
    state = State(Path(job.video), project=project_folder, cache_bytes=cache_bytes, levels=job.levels)
    try:
        if fresh:
            frames = range(min(job.frames, state.frames.count))
            _fill(state, _tracked(folder, job, state), load_masks(job.masks, state.frames), frames)
    except BaseException:  # an incomplete project would be opened as complete next time
        state.close()
        remove(project_folder)
        raise
    return state


def _tracked(folder: Path, job: JobRecord, state: State) -> GivenMasks:
    """Return the masks of all frames."""
    for name in READABLE:
        if name in job.written:
            return load_masks([str(folder / name)], state.frames)
    raise InputError(f"{folder}: contains no readable masks; track it again and write masks, coco or cvat")


def _fill(state: State, tracked: GivenMasks, given: GivenMasks, frames: range) -> None:
    """Store objects and masks in an empty project; tracked frames without masks show no object."""
    class_names = {**tracked.annotations.class_names, **given.annotations.class_names}
    nothing = np.zeros(state.frames.size, np.uint16)
    with state.changing_objects([]) as objects:  # stored last: this completes the project
        for object_id in sorted({*tracked.annotations.objects(), *given.annotations.objects()}):
            objects.add(class_names.get(object_id), object_id)
        for index, ids in {**dict.fromkeys(frames, nothing), **dict(tracked.items())}.items():
            state.put_tracked(index, ids, measured(ids, objects.ids, {}, {}))
        for index, ids in given.items():
            state.give(index, ids, [int(object_id) for object_id in np.unique(ids) if object_id])
