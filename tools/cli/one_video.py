"""``aotlab track`` on one video."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.configs.schema import Config
from aotlab.tools.cli.findings import show_levels, show_review, warn_of_damage
from aotlab.tools.cli.options import WITHOUT_NEWEST
from aotlab.tools.cli.program import INTERRUPTED
from aotlab.tools.cli.prompts import save_prompted_masks
from aotlab.utils.errors import InputError
from aotlab.utils.files import remove, require_writable
from aotlab.utils.locks import locked_output
from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.engine.jobs.records import JobRecord
    from aotlab.engine.tracker import Tracker
    from aotlab.engine.video.frame_range import FrameNumbers
    from aotlab.engine.video.given_masks import GivenMasks
    from aotlab.engine.video.options import TrackOptions, TrackResult
    from aotlab.engine.video.resume import Progress
    from aotlab.media.video import FrameSource

RECORD = ".track.json"
"""name of the run record in the output folder"""
UNFINISHED = "not finished"
"""error of a run record until the run has ended"""


def run_one(
    args: Namespace, checkpoint: Path, settings: tuple[Config, list[str]], options: TrackOptions
) -> int:
    """Track one video, or resume it; return the exit status. All inputs are checked before the slow part.

    Args:
        settings: settings, and the overrides that lead from the checkpoint's to them.
        options: frame numbers in them are those of ``args``.

    Raises:
        InputError: bad source, mask, option or folder, or the folder holds results of another run.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            f"{args.video}: torchrun distributes several videos only; start one without torchrun"
        )
    from aotlab.engine.video.frame_range import FrameNumbers
    from aotlab.engine.video.options import located
    from aotlab.engine.video.outputs import refuse_source, remove_temporary_files
    from aotlab.media.streams import open_source

    source = open_source(args.video, timeout=args.timeout, levels=args.levels)
    show_levels(source)
    numbers = FrameNumbers(source, by_name=options.by_name)
    refuse_source(options.write, args.output, Path(args.video))
    with locked_output(require_writable(args.output)):
        remove_temporary_files(options.write, args.output)
        record = new_record(args, source, inputs_of(checkpoint, settings[0], options))
        before = record_before(args, record)
        if before is not None and before.whole and not (args.restart or args.force):
            print(f"{args.output}: already tracked with these inputs; --restart tracks it again")
            return 0
        here = located(options, numbers, args.start, args.end)
        result = run_locked(
            args, source, (checkpoint, *settings), here, numbers, record, resume=before is not None
        )
    return summarise(result, args, numbers)


def forecast(args: Namespace, settings: Config) -> int:
    """Check the inputs and print the memory of a frame; write nothing. Return 0."""
    from aotlab.engine.memory_forecast import tracking_forecast
    from aotlab.engine.video.frame_range import FrameNumbers
    from aotlab.engine.video.given_masks import load_masks
    from aotlab.media.streams import open_source
    from aotlab.prompts.texts import read_prompts

    source = open_source(args.video, timeout=args.timeout, levels=args.levels)
    numbers = FrameNumbers(source, by_name=args.frame_numbers == "file")
    masks = load_masks(args.mask, source, numbers, numbers.range(args.start, args.end))
    prompts = read_prompts(args.box, args.point, args.not_point)
    objects = {
        *masks.annotations.objects(),
        *(object_id for given in prompts.values() for object_id in given),
    }
    print(tracking_forecast(settings, source.size, len(objects), args.gpu_memory), end="")
    return 0


def run_locked(
    args: Namespace,
    source: FrameSource,
    model: tuple[Path, Config, list[str]],
    options: TrackOptions,
    numbers: FrameNumbers,
    record: JobRecord,
    *,
    resume: bool,
) -> TrackResult:
    """Track into a locked output folder; ``resume``: its results are of a run with the same inputs."""
    from aotlab.engine.pacing import PacedTracker
    from aotlab.engine.video.given_masks import load_masks
    from aotlab.engine.video.outputs import refuse_results, remove_results
    from aotlab.engine.video.resume import STATE
    from aotlab.engine.video.tracking import removals_by_frame, track
    from aotlab.utils.own_files import save_record

    if not (resume or args.force):
        refuse_results(options.write, args.output)
    prompted = save_prompted_masks(args, source, numbers, options.frames.first)
    masks = load_masks([*args.mask, *prompted], source, numbers, options.frames)
    removals_by_frame(options.removals, masks, source)
    tracker = load_tracker(args, model, source, masks)
    tracker.reset(options.frames.count(source.length))
    saved = progress(args, source, options, record.made_by)
    if saved is not None and resume and not args.restart:
        saved.load(tracker)
    if saved is None or saved.last < 0:
        remove_results(options.write, args.output)  # after all checks: masks may be among them
    save_record(args.output / RECORD, record)
    named = replace(options, class_names=masks.annotations.class_names)
    paced = PacedTracker(tracker, args.depth) if isinstance(args.depth, float) else tracker
    result = track(paced, source, masks, args.output, named, saved)
    record.frames, record.error = result.frames, UNFINISHED if result.interrupted else result.error
    record.written = sorted(path.name for path in result.written.values())
    save_record(args.output / RECORD, record)
    if record.whole:
        remove(args.output / STATE)
    return result


def load_tracker(
    args: Namespace, model: tuple[Path, Config, list[str]], source: FrameSource, masks: GivenMasks
) -> Tracker:
    """Load the model, with as much memory as ``--memory-budget`` allows."""
    from aotlab.engine.streaming import HELPERS
    from aotlab.engine.tracker import Tracker
    from aotlab.utils.devices import leave_cores

    leave_cores(HELPERS)
    checkpoint, settings, overrides = model
    if args.memory_budget is not None:
        overrides = [*overrides, *fit_budget(args.memory_budget, settings, source, masks)]
    return Tracker.from_checkpoint(checkpoint, config=args.config, overrides=overrides, device=args.device)


def inputs_of(checkpoint: Path, settings: Config, options: TrackOptions) -> dict[str, Any]:
    """Return all that results depend on, apart from the video and its masks."""
    from aotlab.configs.load import to_yaml
    from aotlab.utils.own_files import sha256

    inputs: dict[str, Any] = {
        "checkpoint": sha256(checkpoint), "settings": to_yaml(settings), "write": sorted(options.write),
        "both_directions": options.both_directions,
    }  # fmt: skip
    given = {"removals": options.removals, "by_name": options.by_name}
    return inputs | {name: value for name, value in given.items() if value}


def new_record(args: Namespace, source: FrameSource, inputs: dict[str, Any]) -> JobRecord:
    """Return the record of a run that starts."""
    from aotlab.engine.jobs.listing import Job
    from aotlab.engine.jobs.records import JobRecord, digest_of

    prompts = (args.box, args.point, args.not_point, [str(path) for path in args.segmenter or ()])
    job = Job(
        source.name, args.video, tuple(args.mask), levels=args.levels, start=args.start, end=args.end
    )  # fmt: skip
    record = JobRecord.of(job)
    record.made_by = digest_of(job, inputs | {"prompts": prompts, "budget": args.memory_budget})
    record.error, record.rate = UNFINISHED, str(source.rate)
    return record


def record_before(args: Namespace, record: JobRecord) -> JobRecord | None:
    """Return the record of an earlier run with the same inputs; None without one, or for a stream."""
    from aotlab.engine.jobs.records import JobRecord
    from aotlab.utils.own_files import load_record

    path = Path(args.video)
    if args.realtime or isinstance(args.depth, float) or not (path.is_file() or path.is_dir()):
        return None
    before = load_record(args.output / RECORD, JobRecord)
    if before is None or before.made_by != record.made_by:
        return None
    whole = all((args.output / name).exists() for name in before.written)
    return before if whole else replace(before, error=UNFINISHED)


def progress(args: Namespace, source: FrameSource, options: TrackOptions, made_by: str) -> Progress | None:
    """Return where to save progress; None if what is written cannot be resumed."""
    from aotlab.engine.video.resume import NEEDED, REFUSED, Progress
    from aotlab.masks.exchange.writing import WRITTEN

    path, write = Path(args.video), set(options.write)
    once = options.realtime or isinstance(args.depth, float) or not (path.is_file() or path.is_dir())
    if once or options.both_directions or NEEDED not in write or not write.isdisjoint(REFUSED):
        return None
    confidence = not write.isdisjoint(("review", "thumbnail", *WRITTEN))
    return Progress(args.output, source.stem, made_by, confidence=confidence)


def fit_budget(budget: int, settings: Config, source: FrameSource, masks: GivenMasks) -> list[str]:
    """Return overrides for as many frames as fit into ``budget`` bytes; raise `InputError` if two do not fit."""
    from aotlab.engine.video.budget import frame_bytes

    objects = len(masks.annotations.objects())
    each, memory = frame_bytes(settings, source.size, objects), settings.memory
    frames = budget // each
    if frames < 2:
        raise InputError(
            f"--memory-budget: {budget / 1e6:.1f} MB is too little, a frame of this video with {objects} objects "
            f"takes {each / 1e6:.1f} MB; give at least {2 * each / 1e6:.1f}MB"
        )
    if source.length is not None:
        frames = min(frames, max(2, 1 + len(masks) + source.length // memory.every))
    overrides = [WITHOUT_NEWEST, f"memory.frames={frames}"]
    if memory.insertions is not None:
        overrides.append(f"memory.insertions={max(memory.insertions, frames)}")
    return overrides


def summarise(result: TrackResult, args: Namespace, numbers: FrameNumbers) -> int:
    """Print what was written and what went wrong; return the exit status."""
    results = " and ".join(map(str, result.written.values())) or "nothing complete"
    skipped = f", {result.dropped} skipped" if args.realtime else ""
    resumed = f", {result.restored} of them before" if result.restored else ""
    frames = counted(result.frames, "frame")
    print(f"{frames}{resumed} at {result.frames_per_second:.1f} frames per second{skipped}: {results}")
    if args.review and "review" in result.written:
        show_review(result.written["review"], numbers)
    warn_of_damage(result)
    if result.error is not None:
        print(f"error: {result.error}", file=sys.stderr)
        return 1
    if result.interrupted:
        print(f"interrupted: the results hold the first {frames}; the same command resumes", file=sys.stderr)
        return INTERRUPTED
    return 0
