"""Tracking of a checked job into a folder: resumed if it was interrupted, and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aotlab.engine.prompting.load import load_segmenter
from aotlab.engine.prompting.segmenter import PromptSegmenter, require_pixels
from aotlab.engine.tracking.options import TrackerOptions
from aotlab.media.masks import write_mask
from aotlab.media.regions import VideoInfo
from aotlab.utils.errors import InputError
from aotlab.utils.locks import locked_output
from aotlab.utils.processes import StopFlag
from aotlab.utils.streaming import HELPER_THREADS
from aotlab.utils.value_syntax import FrameObjectValue
from aotlab.video.classes import ObjectClasses
from aotlab.video.digest import digest_inputs, result_settings
from aotlab.video.inputs import load_masks
from aotlab.video.job import CheckedJob, Job, check_job
from aotlab.video.plan import Action, RerunOptions
from aotlab.video.results import PROMPT_MASKS, JobResults
from aotlab.video.track import JobOptions, TrackResult, track

if TYPE_CHECKING:
    from aotlab.engine.tracking.tracker import Tracker

    LoadTracker = Callable[[tuple[str, ...]], Tracker]


def run_job(
    job: Job,
    folder: str | Path,
    tracker: TrackerOptions | Tracker | None = None,
    options: JobOptions | None = None,
    *,
    force: bool = False,
    restart: bool = False,
) -> TrackResult:
    """Track one video into a folder, or resume it; results already in the folder are reused.

    Everything is checked before the model is loaded, and results are replaced only after that. A run that ends early
    does not raise: check `TrackResult.error` and `TrackResult.interrupted`. A stopped run resumes if its inputs are the
    same and `TrackResult.resumable`; any other starts over.

    Args:
        job: the video and its masks.
        folder: output folder, created if missing.
        tracker: the model, or a tracker with the model loaded, for several jobs; None: the bundled one.
        options: outputs and how to track; their frame numbers count as the job's do.
        force: replace results of other inputs.
        restart: track again from the first frame.

    Raises:
        InputError: a bad video, mask or option; the folder is not writable, in use, or holds results of other inputs.
    """
    tracker, options = tracker or TrackerOptions(), options or JobOptions()
    load = tracker.load if isinstance(tracker, TrackerOptions) else partial(_reuse_model, tracker)
    checked = check_job(job, options)
    digest = digest_inputs(job, result_settings(tracker, options))
    return track_job(checked, Path(folder), load, digest, RerunOptions(force, restart))


def _reuse_model(tracker: Tracker, overrides: tuple[str, ...]) -> Tracker:
    """Return a fresh tracker of a loaded model; raise `InputError` for overrides, which need another."""
    if overrides:
        raise InputError(f"overrides {' '.join(overrides)}: need TrackerOptions in place of a loaded tracker")
    return tracker.fresh()


def track_job(
    checked: CheckedJob,
    folder: Path,
    load_tracker: LoadTracker,
    input_digest: str,
    rerun: RerunOptions,
    *,
    class_list: Path | None = None,
    on_start: Callable[[], None] = lambda: None,
    stop: StopFlag | None = None,
) -> TrackResult:
    """Track the video into a folder, or resume it; results already in the folder are reused.

    Args:
        checked: the job.
        folder: output folder; raises the errors of `run_job` about it.
        load_tracker: returns a tracker with the job's overrides, for example a cached one.
        input_digest: digest of all inputs, of `digest_inputs`.
        rerun: what the run may do about earlier results.
        class_list: file with the class ids of a list of jobs, to which this job's classes are added.
        on_start: called after all checks, before the first frame.
        stop: flag that stops a list; None: one that Ctrl-C, SIGTERM and SIGHUP set.
    """
    with locked_output(folder):
        results = JobResults(folder, checked, input_digest, rerun)
        if results.finished:
            return results.load_result()
        tracker, segmenter = _load_models(checked, load_tracker)
        on_start()
        results.remove_temporary_files()
        prompt_masks = {} if segmenter is None else _segment_prompts(checked, segmenter)
        progress = results.open_progress(tracker)
        with results.record_run():
            masks = checked.masks
            if prompt_masks:
                values = [*checked.job.masks, *_write_masks(checked, prompt_masks, folder / PROMPT_MASKS)]
                masks = load_masks(values, VideoInfo.from_source(checked.source), checked.frames)
            masks.annotations.class_names = dict(checked.class_names)
            classes = ObjectClasses.from_annotations(masks.annotations, class_list)
            result = track(
                tracker, checked.source, masks, folder, checked.options, frames=checked.frames, classes=classes,
                progress=progress, recorded=True, _stop=stop,
            )  # fmt: skip
        results.save(result)
        return result


def check_run(
    checked: CheckedJob, folder: Path, load_tracker: LoadTracker, input_digest: str, rerun: RerunOptions
) -> Action:
    """Return what `track_job` would do, or raise what it would raise before the first frame; nothing is written."""
    with locked_output(folder):
        results = JobResults(folder, checked, input_digest, rerun)
        if not results.finished:
            _load_models(checked, load_tracker)
        return results.action


def _load_models(checked: CheckedJob, load_tracker: LoadTracker) -> tuple[Tracker, PromptSegmenter | None]:
    """Return the tracker, and the segmenter if there are prompts."""
    from aotlab.utils.devices import reserve_cores  # loads PyTorch

    reserve_cores(HELPER_THREADS)
    tracker = load_tracker(checked.job.overrides)
    return tracker, open_segmenter(checked.job.segmenter, tracker) if checked.prompts else None


def open_segmenter(segmenter: str | tuple[Path, Path] | None, tracker: Tracker) -> PromptSegmenter:
    """Return the segmenter of `Job.segmenter`, else the tracker's own, else the bundled model's.

    Raises:
        InputError: the segmenter cannot be loaded.
    """
    if segmenter is None and tracker.model.prompts is not None:
        return tracker.segmenter
    if isinstance(segmenter, str):
        return load_segmenter(plugin=segmenter)
    return load_segmenter(segmenter, device=str(tracker.device))


def _segment_prompts(checked: CheckedJob, segmenter: PromptSegmenter) -> dict[int, np.ndarray]:
    """Return H×W object ids of the prompts by frame index.

    Raises:
        InputError: no pixel is found for an object, or the segmenter fails.
    """
    prompt_masks = {}
    for index, prompts in checked.prompts.items():
        prompt_masks[index] = segmenter(checked.source.read(index), prompts)
        require_pixels(prompt_masks[index], prompts)
    return prompt_masks


def _write_masks(
    checked: CheckedJob, prompt_masks: Mapping[int, np.ndarray], folder: Path
) -> list[FrameObjectValue]:
    """Write the masks of the prompts into a folder; return them as in `Job.masks`."""
    masks = []
    for index, labels in prompt_masks.items():
        path = folder / f"{index:05d}.png"
        write_mask(path, labels, max_id=max(checked.prompts[index]))
        masks.append(FrameObjectValue(checked.frames.number(index), None, str(path)))
    return masks
