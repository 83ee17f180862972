"""``aotlab track`` on many videos."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.one_video import inputs_of
from aotlab.tools.cli.program import Parser
from aotlab.tools.cli.surroundings import BY_SIGNAL
from aotlab.utils.processes import StopFlag
from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.engine.jobs.listing import Job
    from aotlab.engine.jobs.records import JobRecord
    from aotlab.engine.video.options import TrackOptions

RANK_TIMEOUT = timedelta(days=30)
"""timeout of ranks that wait for longer jobs"""


def refuse_with_jobs(parser: Parser, args: Namespace) -> None:
    """Refuse options for one video if there are several."""
    single = {
        "VIDEO": args.jobs and args.video, "--mask": args.mask, "--box": args.box, "--point": args.point,
        "--realtime": args.realtime, "--memory-budget": args.memory_budget, "--start": args.start is not None,
        "--end": args.end is not None, "--dry-run": args.dry_run,
    }  # fmt: skip
    given = [name for name, value in single.items() if value]
    if given:
        parser.error(f"{given[0]}: is about one video, and there are several; leave it out")


def run_batch(args: Namespace, settings: Config, options: TrackOptions) -> int:
    """Track all jobs, distributed over the ranks; return 1 if one failed, else 0.

    Arguments as in `run_one`.

    Raises:
        InputError: bad list of jobs, or an output folder that cannot be written or holds results of another run.
    """
    from aotlab.engine.jobs.listing import jobs_of_videos, read_jobs
    from aotlab.engine.jobs.runner import run_jobs
    from aotlab.engine.streaming import HELPERS
    from aotlab.engine.tracker import Tracker
    from aotlab.utils.devices import reserve_cores
    from aotlab.utils.distributed import open_world
    from aotlab.utils.processes import stop_flag

    @lru_cache(1)  # reused while settings are the same
    def tracker_of(overrides: tuple[str, ...]) -> Tracker:
        """Return a tracker with the overrides of a job after those of all jobs."""
        every = [*args.overrides, *overrides]
        return Tracker.from_checkpoint(args.checkpoint, config=args.config, overrides=every, device=device)

    listed = read_jobs(args.jobs) if args.jobs else jobs_of_videos(args.video)
    jobs = [replace(job, levels=job.levels or args.levels) for job in listed]
    made_by = inputs_of(args.checkpoint, settings, options)
    with open_world(args.device, timeout=RANK_TIMEOUT) as world, stop_flag() as stop:
        reserve_cores(HELPERS)
        device = str(world.device)
        records = run_jobs(
            jobs, args.output, made_by, options, tracker_of=tracker_of, world=world, stop=stop, force=args.force,
            restart=args.restart,
        )  # fmt: skip
        return summarise(records, jobs, args.output, stop) if world.lead else 0


def summarise(records: Sequence[JobRecord], jobs: Sequence[Job], output: Path, stop: StopFlag) -> int:
    """Print what was done; return the exit status."""
    failed = [record for record in records if not record.whole]
    done = f"{len(records) - len(failed)} of {counted(len(jobs), 'video')} tracked"
    print(f"{done}: {output / 'review.html'}")
    if stop.is_set():
        print("interrupted: run the same command again to resume", file=sys.stderr)
        return BY_SIGNAL + stop.number
    for record in failed:
        print(f"error: {record.name}: {record.error}", file=sys.stderr)
    return 1 if failed else 0
