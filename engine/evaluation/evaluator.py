"""Evaluation of a tracker on a data set: result PNGs, frames per second, scores."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from aotlab.dataloaders.benchmarks.sequences import Video, require_whole
from aotlab.engine.ensemble import Ensemble
from aotlab.engine.evaluation.finished import FOLDER as RECORDS
from aotlab.engine.evaluation.finished import Finished, RunRecords, forget
from aotlab.engine.evaluation.scoring import has_annotations, score_videos
from aotlab.engine.evaluation.video_run import track_video
from aotlab.engine.tracker import Tracker
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.media.object_masks import list_mask_files
from aotlab.utils.distributed import RESUME, World
from aotlab.utils.errors import MEMORY_ADVICE, InputError, out_of_memory
from aotlab.utils.files import real_path, require_writable
from aotlab.utils.locks import locked_output, remove_leftovers
from aotlab.utils.progress import progress_bar

log = logging.getLogger(__name__)


@dataclass
class EvaluationResult:
    """Finished and failed sequences of an evaluation run, and its speed."""

    output: Path
    """folder that holds a folder of PNGs per sequence"""
    records: dict[str, Finished] = field(default_factory=dict)
    """sequences with complete results, of this or an earlier run"""
    found: list[str] = field(default_factory=list)
    """sequences finished by an earlier run"""
    failures: dict[str, str] = field(default_factory=dict)
    """error message by sequence"""
    stopped: bool = False
    """whether the run was stopped early"""

    @property
    def finished(self) -> list[str]:
        """Sequences with complete results."""
        return list(self.records)

    @property
    def timed_frames(self) -> int:
        """Number of frames whose time counts."""
        return sum(record.timed_frames for record in self.records.values())

    @property
    def fps(self) -> float | None:
        """Frames per second of the tracker only, in one process; None without timed frames."""
        return self._per(sum(record.seconds for record in self.records.values()))

    @property
    def total_fps(self) -> float | None:
        """Frames per second with reading and writing, in one process; None without timed frames."""
        return self._per(sum(record.total_seconds for record in self.records.values()))

    def _per(self, seconds: float) -> float | None:
        return self.timed_frames / seconds if seconds > 0 else None


@dataclass(frozen=True)
class RunOptions:
    """Options of an evaluation run; the masks do not depend on them."""

    overlay: bool = False
    """also write ``output/overlay/<sequence>/<frame>.jpg``"""
    progress: bool = True
    """show a progress bar of the lead's frames on stderr"""
    made_by: dict[str, Any] | None = None
    """models and settings as JSON values; sequences finished with the same ones are skipped. None: no records are read
    or written"""
    restart: bool = False
    """run finished sequences again"""
    force: bool = False
    """replace the results of other models and settings"""
    warm_up: int = 0
    """number of warm-up frames of each process that are not timed, besides the first of each video"""
    stop: threading.Event = field(default_factory=threading.Event)
    """flag that stops the run before the next frame; finished sequences are kept"""


def evaluate(
    tracker: Tracker | Ensemble,
    videos: Sequence[Video],
    output: Path,
    options: RunOptions | None = None,
    world: World | None = None,
) -> EvaluationResult:
    """Track every video and write ``output/<sequence>/<frame>.png``; broken videos are skipped.

    Args:
        tracker: reset before each video.
        videos: videos to track, distributed over the ranks, all of which call this.
        options: see `RunOptions`.
        world: ranks; None: only this process.

    Returns:
        The merged report of all ranks.

    Raises:
        InputError: the output folder is not writable, is part of the data set, is in use by another process, or
            holds results of other models or settings.
    """
    options, world = options or RunOptions(), world or World(torch.device("cpu"))
    require_writable(output)
    _refuse_source_folders(videos, output)
    with locked_output(output, world):
        if world.ranks == 1:  # another machine's ranks may be writing, and their processes are not known here
            for folder in (output, output / RECORDS):
                remove_leftovers(folder)
        records = RunRecords(output, videos, options.made_by, force=options.force)
        world.gather(None)  # no rank writes before the others have looked
        share = _Share(tracker, records, options, EvaluationResult(output))
        share.run([videos[index] for index in world.share([len(video.frames) for video in videos])], world)
        return _merged(world.gather(share.report, f"{RESUME} {output}"), videos)


@dataclass
class _Share:
    """Videos of one rank, run one after another."""

    tracker: Tracker | Ensemble
    records: RunRecords
    options: RunOptions
    report: EvaluationResult
    warmed: int = 0
    """number of frames tracked so far"""

    def run(self, videos: Sequence[Video], world: World) -> None:
        """Run videos under a bar, until the run is stopped."""
        total, share = sum(len(video.frames) for video in videos), f" (share 1 of {world.ranks})"
        with progress_bar(total, unit="frame", shown=self.options.progress and world.lead) as self.bar:
            for video in videos:
                before = self.bar.n
                self.bar.set_description(f"{video.name}{share if world.ranks > 1 else ''}", refresh=False)
                self._run_video(video)
                if self.report.stopped:
                    break
                self.bar.update(before + len(video.frames) - self.bar.n)

    def _run_video(self, video: Video) -> None:
        """Run one video and report it as finished before, tracked or failed."""
        report = self.report
        try:
            require_whole([video])
            restart, overlay = self.options.restart, self.options.overlay
            record = None if restart else self.records.finished(video, overlay=overlay)
            if record is not None:
                report.found.append(video.name)
            else:
                forget(report.output, video)
                record = self._track_within_memory(video)
                if record is None:
                    report.stopped = True
                    return
                self.records.save(video, record)
            report.records[video.name] = record
        except InputError as error:
            log.error("%s: skipped: %s", video.name, error)
            report.failures[video.name] = str(error)

    def _track_within_memory(self, video: Video) -> Finished | None:
        """Call `_track`, one group at a time if all groups do not fit into memory.

        Raises:
            InputError: as `track_video`, or out of memory even then.
        """
        tracker = self.tracker
        for one_at_a_time in (False, True):
            tracker.one_group_at_a_time = one_at_a_time
            try:
                return self._track(video)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                # no groups: the first mask failed
                reason, several = str(error).splitlines()[0], tracker.groups != 1
            finally:
                tracker.one_group_at_a_time = False
            tracker.reset()
            torch.cuda.empty_cache()
            if one_at_a_time or not several:
                break
            log.warning("%s: out of memory; retrying with one group of objects at a time", video.name)
        raise InputError(f"{video.name}: out of memory ({reason}); {MEMORY_ADVICE}")

    def _track(self, video: Video) -> Finished | None:
        """Track and time one video; return None if stopped."""
        report, options = self.report, self.options
        skip = max(1, options.warm_up - self.warmed)
        spent: list[float] = []
        start = time.perf_counter()
        with closing(track_video(self.tracker, video, report.output, overlay=options.overlay)) as results:
            for result in results:
                spent.append(result.seconds)
                self.bar.update()
                if len(spent) == skip:
                    start = time.perf_counter()
                if options.stop.is_set() and len(spent) < len(video.frames):
                    return None
        self.warmed += len(spent)
        timed = spent[skip:]
        total = time.perf_counter() - start if timed else 0.0
        return Finished(timed_frames=len(timed), seconds=sum(timed), total_seconds=total)


def _merged(parts: Sequence[EvaluationResult], videos: Sequence[Video]) -> EvaluationResult:
    """Join the reports of all ranks, with sequences in the order of ``videos``."""
    records = {name: record for part in parts for name, record in part.records.items()}
    failures = {name: message for part in parts for name, message in part.failures.items()}
    names = [video.name for video in videos]
    return EvaluationResult(
        parts[0].output,
        {name: records[name] for name in names if name in records},
        [name for part in parts for name in part.found],
        {name: failures[name] for name in names if name in failures},
        stopped=any(part.stopped for part in parts),
    )


def score(videos: Sequence[Video], report: EvaluationResult) -> dict[str, SequenceScores]:
    """Score the finished videos that have ground truth; scoring errors become failures."""
    scorable = [video for video in videos if video.name in report.finished and has_annotations(video)]
    found = score_videos(scorable, report.output)
    report.failures |= found.failures
    return found.scores


def _refuse_source_folders(videos: Sequence[Video], output: Path) -> None:
    """Check that results do not overwrite frames or annotations."""
    for video in videos:
        given = [path for mask in video.masks.values() for path in list_mask_files(mask)]
        sources = {real_path(path.parent) for path in (*video.frames, *video.annotations, *given)} | {
            real_path(folder.parent) for folder in video.object_folders.values()
        }
        if real_path(output / video.name) in sources:
            raise InputError(f"{output}: is part of the data set; choose another folder")
