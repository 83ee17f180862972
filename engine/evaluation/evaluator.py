"""A tracker over the videos of a data set: result PNGs, frames per second, scores where there is ground truth."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from aotlab.dataloaders.benchmarks.sequences import Video, require_whole
from aotlab.engine.evaluation.finished import FOLDER as RECORDS
from aotlab.engine.evaluation.finished import Finished, forget, load_finished, save_finished
from aotlab.engine.evaluation.scoring import has_annotations, score_videos
from aotlab.engine.evaluation.video_run import track_video
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.masks.object_masks import files_of
from aotlab.utils.distributed import GOES_ON, World
from aotlab.utils.errors import MEMORY_ADVICE, InputError, out_of_memory
from aotlab.utils.files import real_path, require_writable
from aotlab.utils.leftovers import remove_leftovers
from aotlab.utils.locks import locked_output
from aotlab.utils.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

    from aotlab.engine.interface import BenchmarkTracker

log = logging.getLogger(__name__)


@dataclass
class EvaluationReport:
    """Which sequences an evaluation run finished, how fast it was, and what failed."""

    output: Path
    """folder with one folder of PNGs for each sequence"""
    finished: list[str] = field(default_factory=list)
    """sequences whose results are all there, made now or by an earlier run"""
    found: list[str] = field(default_factory=list)
    """those that an earlier run had finished"""
    failures: dict[str, str] = field(default_factory=dict)
    """sequence to what went wrong with it"""
    timed_frames: int = 0
    seconds: float = 0.0
    """spent in the tracker on the timed frames, summed over ranks; no reading or writing"""
    total_seconds: float = 0.0
    """spent on the timed frames with reading and writing"""
    warmed: int = 0
    """frames that this process has tracked"""
    stopped: bool = False
    """it was told to end before all sequences were done"""

    @property
    def fps(self) -> float | None:
        """Frames per second of the tracker alone, in one process; None where no frame was timed."""
        return self.timed_frames / self.seconds if self.seconds > 0 else None

    @property
    def total_fps(self) -> float | None:
        """Frames per second with reading and writing, in one process; None where no frame was timed."""
        return self.timed_frames / self.total_seconds if self.total_seconds > 0 else None

    def count(self, name: str, record: Finished) -> None:
        """Take in a finished sequence."""
        self.finished.append(name)
        self.timed_frames += record.timed_frames
        self.seconds += record.seconds
        self.total_seconds += record.total_seconds


@dataclass(frozen=True)
class RunOptions:
    """How an evaluation runs; none of it changes the masks."""

    overlay: bool = False
    """also write ``output/overlay/<sequence>/<frame>.jpg``"""
    progress: bool = True
    """the lead shows a bar over the frames of its share on stderr"""
    made_by: dict[str, Any] | None = None
    """models and settings, as JSON holds them; sequences that the same have finished are not run again. None: no
    record is looked at or kept"""
    restart: bool = False
    """run them all the same"""
    warm_up: int = 0
    """frames of each process that are not timed, beside the first of each video"""
    stop: threading.Event = field(default_factory=threading.Event)
    """when it is set, the run ends before the next frame; what is finished stays so"""


def evaluate(
    tracker: BenchmarkTracker,
    videos: Sequence[Video],
    output: Path,
    options: RunOptions | None = None,
    world: World | None = None,
) -> EvaluationReport:
    """Track every video and write ``output/<sequence>/<frame>.png``; one that cannot be run is skipped.

    Args:
        tracker: reset before each video.
        videos: what to run on; shared out over the ranks, which all call this.
        output: folder of the results.
        options: see `RunOptions`.
        world: the ranks; None: this process alone.

    Returns:
        The report of all ranks together.

    Raises:
        InputError: the output folder cannot be written, holds the data set itself, or is in use by another process.
    """
    options, world = options or RunOptions(), world or World(torch.device("cpu"))
    require_writable(output)
    _refuse_source_folders(videos, output)
    with locked_output(output, world):
        if world.ranks == 1:  # another machine's ranks may be writing, and their processes are not known here
            for folder in (output, output / RECORDS):
                remove_leftovers(folder)
        report = _run_share(tracker, videos, output, options, world)
        return _joined(world.gather(report, f"{GOES_ON}, in {output}"), videos)


def _run_share(
    tracker: BenchmarkTracker, videos: Sequence[Video], output: Path, options: RunOptions, world: World
) -> EvaluationReport:
    """Track this rank's share of the videos."""
    shares = world.share([len(video.frames) for video in videos])
    share_videos, report = [videos[number] for number in shares], EvaluationReport(output)
    share = f" (share 1 of {world.ranks})" if world.ranks > 1 else ""
    total = sum(len(video.frames) for video in share_videos)
    with progress_bar(total, unit="frame", shown=options.progress and world.lead) as bar:
        for video in share_videos:
            before = bar.n
            bar.set_description(f"{video.name}{share}", refresh=False)
            _run(tracker, video, report, options, bar)
            if report.stopped:
                break
            bar.update(before + len(video.frames) - bar.n)
    return report


def _run(
    tracker: BenchmarkTracker, video: Video, report: EvaluationReport, options: RunOptions, bar: tqdm
) -> None:
    """One video into the report: found finished, tracked, or failed."""
    try:
        require_whole([video])
        if options.made_by is not None and not options.restart:
            record = load_finished(report.output, video, options.made_by, overlay=options.overlay)
            if record is not None:
                report.found.append(video.name)
                report.count(video.name, record)
                return
        forget(report.output, video)
        record = _track_within_memory(tracker, video, report, options, bar)
        if record is None:
            report.stopped = True
            return
        if options.made_by is not None:
            save_finished(report.output, video, options.made_by, record)
        report.count(video.name, record)
    except InputError as error:
        log.error("%s: skipped: %s", video.name, error)
        report.failures[video.name] = str(error)


def _track_within_memory(
    tracker: BenchmarkTracker, video: Video, report: EvaluationReport, options: RunOptions, bar: tqdm
) -> Finished | None:
    """`_track`; with groups one at a time where all at once do not fit into memory.

    Raises:
        InputError: as `track_video`, or it does not fit even so.
    """
    for one_at_a_time in (False, True):
        tracker.one_group_at_a_time = one_at_a_time
        try:
            return _track(tracker, video, report, options, bar)
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
        log.warning("%s: out of memory; again, with its groups of objects one after another", video.name)
    raise InputError(f"{video.name}: out of memory ({reason}); {MEMORY_ADVICE}")


def _track(
    tracker: BenchmarkTracker, video: Video, report: EvaluationReport, options: RunOptions, bar: tqdm
) -> Finished | None:
    """Track one video and time it; None if it was stopped."""
    skip = max(1, options.warm_up - report.warmed)
    spent: list[float] = []
    start = time.perf_counter()
    with closing(track_video(tracker, video, report.output, overlay=options.overlay)) as results:
        for result in results:
            spent.append(result.seconds)
            bar.update()
            if len(spent) == skip:
                start = time.perf_counter()
            if options.stop.is_set() and len(spent) < len(video.frames):
                return None
    report.warmed += len(spent)
    timed = spent[skip:]
    total = time.perf_counter() - start if timed else 0.0
    return Finished(timed_frames=len(timed), seconds=sum(timed), total_seconds=total)


def _joined(parts: Sequence[EvaluationReport], videos: Sequence[Video]) -> EvaluationReport:
    """The reports of all ranks as one, sequences in the order of the data set."""
    report = EvaluationReport(parts[0].output)
    finished = {name for part in parts for name in part.finished}
    failures = {name: message for part in parts for name, message in part.failures.items()}
    report.finished = [video.name for video in videos if video.name in finished]
    report.failures = {video.name: failures[video.name] for video in videos if video.name in failures}
    report.found = [name for part in parts for name in part.found]
    report.timed_frames = sum(part.timed_frames for part in parts)
    report.seconds = sum(part.seconds for part in parts)
    report.total_seconds = sum(part.total_seconds for part in parts)
    report.stopped = any(part.stopped for part in parts)
    return report


def score(videos: Sequence[Video], report: EvaluationReport) -> dict[str, SequenceScores]:
    """Score the finished videos with ground truth; those that cannot be scored join the failures."""
    scorable = [video for video in videos if video.name in report.finished and has_annotations(video)]
    found = score_videos(scorable, report.output)
    report.failures |= found.failures
    return found.scores


def _refuse_source_folders(videos: Sequence[Video], output: Path) -> None:
    """Results must not overwrite frames or annotations of the same name."""
    for video in videos:
        given = [path for mask in video.masks.values() for path in files_of(mask)]
        sources = {real_path(path.parent) for path in (*video.frames, *video.annotations, *given)} | {
            real_path(folder.parent) for folder in video.object_folders.values()
        }
        if real_path(output / video.name) in sources:
            raise InputError(f"{output}: this is a folder of the data set itself; choose another folder")
