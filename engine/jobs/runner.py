"""Batch tracking: jobs are distributed over ranks and fail independently."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aotlab.engine.jobs.listing import Job
from aotlab.engine.jobs.records import JobRecord, claim_folder, clear_job, digest_of, record_path
from aotlab.engine.jobs.reviews import heading, row, write_reviews
from aotlab.engine.video.frame_range import FrameNumbers
from aotlab.engine.video.given_masks import load_masks
from aotlab.engine.video.options import TrackOptions, located
from aotlab.engine.video.tracking import track
from aotlab.media.video import open_frames
from aotlab.utils.distributed import RESUME, World
from aotlab.utils.errors import MEMORY_ADVICE, InputError, fault_sentence, out_of_memory
from aotlab.utils.files import remove, require_writable
from aotlab.utils.locks import locked_output
from aotlab.utils.versioned_json import load_record, save_record

log = logging.getLogger(__name__)

OFTEN = 20
"""number of jobs between updates of the reviews"""

TrackerOf = Callable[[tuple[str, ...]], Any]
"""returns a tracker for a job's overrides"""


def run_jobs(
    jobs: Sequence[Job],
    output: Path,
    settings: dict[str, Any],
    options: TrackOptions,
    *,
    tracker_of: TrackerOf,
    world: World,
    stop: threading.Event,
    force: bool = False,
    restart: bool = False,
) -> list[JobRecord]:
    """Track all unfinished jobs; every rank must call it and gets all records in order.

    Args:
        output: folder that holds a folder per job.
        settings: settings that affect all results.
        options: options of every job; review and thumbnail are always written.
        tracker_of: returns a new or cached tracker.
        stop: flag that stops the run; the current job runs again next time.
        force: replace the results of another run.
        restart: run finished jobs again.

    Raises:
        InputError: the output cannot be written, is in use by another process, or holds another run's results.
    """
    with locked_output(require_writable(output), world):
        if world.lead:
            claim_folder(output, jobs, settings, force=force)
            for job in jobs if restart else ():
                remove(record_path(output, job.name))
        world.gather(None)  # other ranks wait until the lead has locked the folder
        return _run_share(jobs, output, settings, options, tracker_of=tracker_of, world=world, stop=stop)


def _run_share(
    jobs: Sequence[Job], output: Path, settings: dict[str, Any], options: TrackOptions, *, tracker_of: TrackerOf,
    world: World, stop: threading.Event,
) -> list[JobRecord]:  # fmt: skip
    """Track this rank's jobs; return the records of all ranks."""
    numbers = world.share([job.cost() for job in jobs])
    write = tuple(dict.fromkeys((*options.write, "review", "thumbnail")))
    options = replace(options, write=write, progress=False)
    records, names = [], [jobs[number].name for number in numbers]
    log.info("%s", heading(names))
    for done, number in enumerate(numbers, start=1):
        record = None if stop.is_set() else _run(jobs[number], output, settings, options, tracker_of)
        if record is None:
            break
        records.append(record)
        log.info("%s", row(record, output, names))
        if world.ranks == 1 and done % OFTEN == 0:
            write_reviews(output, [record.name for record in records], records)
    gathered = {one.name: one for part in world.gather(records, f"{RESUME} {output}") for one in part}
    found = [gathered[job.name] for job in jobs if job.name in gathered]
    if world.lead:
        write_reviews(output, [job.name for job in jobs], found)
    return found


def _done_before(job: Job, output: Path, settings: dict[str, Any]) -> JobRecord | None:
    """Return the record of a job finished by an earlier run with the same inputs and existing results."""
    record = load_record(record_path(output, job.name), JobRecord)
    if record is None or not record.whole:
        return None
    try:
        same = record.made_by == digest_of(job, settings)
    except InputError:
        return None
    there = all((output / job.name / name).exists() for name in record.written)
    return record if same and there else None


def _run(
    job: Job, output: Path, settings: dict[str, Any], options: TrackOptions, tracker_of: TrackerOf
) -> JobRecord | None:
    """Run one job from its first frame, unless it is finished; return None if stopped."""
    before = _done_before(job, output, settings)
    if before is not None:
        return before
    clear_job(output, job.name)
    record = JobRecord.of(job)
    try:
        record.made_by = digest_of(job, settings)
        source = open_frames(job.video, timeout=options.timeout, levels=job.levels)
        record.rate = str(source.rate)
        numbers = FrameNumbers(source, by_name=options.by_name)
        here = located(options, numbers, job.start, job.end)
        masks = load_masks(job.masks, source, numbers, here.frames)
        tracker = tracker_of(job.overrides)
        tracker.reset(here.frames.count(source.length))
        named = replace(here, class_names=masks.annotations.class_names)
        result = track(tracker, source, masks, output / job.name, named)
    except InputError as error:
        record.error = str(error)
    except Exception as error:  # a failing job must not stop the others; internal errors get a sentence
        record.error = f"out of memory; {MEMORY_ADVICE}" if out_of_memory(error) else fault_sentence(error)
    else:
        if result.interrupted:
            return None
        record.frames, record.seconds, record.error = result.frames, round(result.seconds, 3), result.error
        record.written = sorted(path.name for path in result.written.values())
    save_record(record_path(output, record.name), record)
    return record
