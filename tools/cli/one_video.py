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


def run_one(args: Namespace, settings: Config, options: TrackOptions) -> int:
    """Track one video, or resume it; return the exit status. All inputs are checked before the slow part.

    Args:
        settings: those of the checkpoint with the overrides of ``args``.
        options: frame numbers in them are those of ``args``.

    Raises:
        InputError: bad source, mask, option or folder, or the folder holds results of another run.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            f"{args.video}: torchrun distributes several videos only; start one without torchrun"
        )
    from aotlab.engine.video.outputs import refuse_source, remove_temporary_files

    source, numbers = open_video(args)
    show_levels(source)
    refuse_source(options.write, args.output, Path(args.video))
    with locked_output(require_writable(args.output)):
        remove_temporary_files(options.write, args.output)
        run = Run(args, settings, options, source, numbers)
        before = run.before()
        if before is not None and before.whole and not (args.restart or args.force):
            print(f"{args.output}: already tracked with these inputs; --restart tracks it again")
            return 0
        result = run.track(resume=before is not None)
    return summarise(result, args, numbers)


def open_video(args: Namespace) -> tuple[FrameSource, FrameNumbers]:
    """Open the video; return it and the numbers of its frames on the command line."""
    from aotlab.engine.video.frame_range import FrameNumbers
    from aotlab.media.video import open_frames

    source = open_frames(args.video, timeout=args.timeout, levels=args.levels)
    return source, FrameNumbers(source, by_name=args.frame_numbers == "file")


def dry_run(args: Namespace) -> int:
    """Check the video, its masks and prompts, print what would be tracked and write nothing. Return 0."""
    from aotlab.engine.video.given_masks import load_masks
    from aotlab.media.prompt import parse_prompts

    source, numbers = open_video(args)
    masks = load_masks(args.mask, source, numbers, numbers.range(args.start, args.end))
    prompts = parse_prompts(args.box, args.point, args.not_point)
    objects = set(masks.annotations.objects()).union(*prompts.values())
    frames = "frames until its end" if source.length is None else counted(source.length, "frame")
    height, width = source.size
    print(f"{args.video}: {frames} of {width}×{height}, {counted(len(objects), 'object')} to track")
    return 0


def inputs_of(checkpoint: Path, settings: Config, options: TrackOptions) -> dict[str, Any]:
    """Return all that results depend on, apart from the video and its masks."""
    from aotlab.configs.load import to_yaml
    from aotlab.utils.files import sha256

    inputs: dict[str, Any] = {
        "checkpoint": sha256(checkpoint), "settings": to_yaml(settings), "write": sorted(options.write),
        "both_directions": options.both_directions,
    }  # fmt: skip
    given = {"removals": options.removals, "by_name": options.by_name}
    return inputs | {name: value for name, value in given.items() if value}


class Run:
    """Tracking of one video into a locked output folder."""

    def __init__(
        self,
        args: Namespace,
        settings: Config,
        options: TrackOptions,
        source: FrameSource,
        numbers: FrameNumbers,
    ) -> None:
        """Arguments as in `run_one`; ``numbers``: of the video's frames on the command line."""
        from aotlab.engine.jobs.listing import Job
        from aotlab.engine.jobs.records import JobRecord, digest_of
        from aotlab.engine.video.options import located

        self._args, self._settings, self._source, self._numbers = args, settings, source, numbers
        prompts = (args.box, args.point, args.not_point, [str(path) for path in args.segmenter or ()])
        inputs = inputs_of(args.checkpoint, settings, options)
        inputs |= {"prompts": prompts, "budget": args.memory_budget}
        levels, start, end = args.levels, args.start, args.end
        job = Job(source.name, args.video, tuple(args.mask), levels=levels, start=start, end=end)
        self._record = JobRecord.of(job)
        self._record.made_by = digest_of(job, inputs)
        self._record.error, self._record.rate = UNFINISHED, str(source.rate)
        self._options = located(options, numbers, start, end)
        path = Path(args.video)
        self._once = args.realtime or not (path.is_file() or path.is_dir())
        """whether another run need not give the same"""

    def before(self) -> JobRecord | None:
        """Return the record of an earlier run with the same inputs; None without one, or for a stream."""
        from aotlab.engine.jobs.records import JobRecord
        from aotlab.utils.versioned_json import load_record

        before = None if self._once else load_record(self._args.output / RECORD, JobRecord)
        if before is None or before.made_by != self._record.made_by:
            return None
        whole = all((self._args.output / name).exists() for name in before.written)
        return before if whole else replace(before, error=UNFINISHED)

    def track(self, *, resume: bool) -> TrackResult:
        """Track; ``resume``: the folder holds results of a run with the same inputs."""
        from aotlab.engine.video.given_masks import load_masks
        from aotlab.engine.video.outputs import refuse_results, remove_results
        from aotlab.engine.video.resume import STATE
        from aotlab.engine.video.tracking import removals_by_frame, track
        from aotlab.utils.versioned_json import save_record

        args, source, options, record = self._args, self._source, self._options, self._record
        if not (resume or args.force):
            refuse_results(options.write, args.output)
        prompted = save_prompted_masks(args, source, self._numbers, options.frames.first)
        masks = load_masks([*args.mask, *prompted], source, self._numbers, options.frames)
        removals_by_frame(options.removals, masks, source)
        tracker = self._tracker(masks)
        tracker.reset(options.frames.count(source.length))
        saved = self._progress()
        if saved is not None and resume and not args.restart:
            saved.load(tracker)
        if saved is None or saved.last < 0:
            remove_results(options.write, args.output)  # after all checks: masks may be among them
        save_record(args.output / RECORD, record)
        named = replace(options, class_names=masks.annotations.class_names)
        result = track(tracker, source, masks, args.output, named, saved)
        record.frames, record.error = result.frames, UNFINISHED if result.interrupted else result.error
        record.written = sorted(path.name for path in result.written.values())
        save_record(args.output / RECORD, record)
        if record.whole:
            remove(args.output / STATE)
        return result

    def _tracker(self, masks: GivenMasks) -> Tracker:
        """Load the model, with as much memory as ``--memory-budget`` allows."""
        from aotlab.engine.streaming import HELPERS
        from aotlab.engine.tracker import Tracker
        from aotlab.utils.devices import reserve_cores

        reserve_cores(HELPERS)
        args, overrides = self._args, self._args.overrides
        if args.memory_budget is not None:
            overrides = [*overrides, *fit_budget(args.memory_budget, self._settings, self._source, masks)]
        return Tracker.from_checkpoint(
            args.checkpoint, config=args.config, overrides=overrides, device=args.device
        )

    def _progress(self) -> Progress | None:
        """Return where to save progress; None if what is written cannot be resumed."""
        from aotlab.engine.video.resume import NEEDED, REFUSED, Progress
        from aotlab.masks.exchange.writing import WRITTEN

        write = set(self._options.write)
        refused = self._options.both_directions or NEEDED not in write or not write.isdisjoint(REFUSED)
        if self._once or refused:
            return None
        confidence = not write.isdisjoint(("review", "thumbnail", *WRITTEN))
        made_by = self._record.made_by
        return Progress(self._args.output, self._source.stem, made_by, confidence=confidence)


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
