"""Evaluation of a tracker on a data set: result PNGs, frames per second, scores."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from aotlab.benchmark.run import track_benchmark_video
from aotlab.dataloaders.labeled_video import Video, require_readable
from aotlab.engine.tracking.interfaces import VideoTracker
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.results import BenchmarkResults, fingerprint_sequence, require_outside_data
from aotlab.evaluation.scoring import ScoringResult, collect_failure, score_videos
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import MEMORY_REMEDY
from aotlab.utils.progress import progress_bar


@dataclass
class EvaluationResult:
    """Finished and failed sequences of an evaluation run, and its speed."""

    output: Path
    """Folder that holds a folder of PNGs per sequence."""
    sequences: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Lines of the sequences with complete results, of this or an earlier run, by name."""
    resumed: list[str] = field(default_factory=list)
    """Sequences finished by an earlier run."""
    failures: dict[str, str] = field(default_factory=dict)
    """Error message by sequence."""
    stopped: bool = False
    """The run was stopped before its end."""

    @property
    def timed_frames(self) -> int:
        """Number of timed frames; the first frame of a sequence is not timed."""
        return sum(entry["timed_frames"] for entry in self.sequences.values())

    @property
    def fps(self) -> float | None:
        """Frames per second of the tracker only, in one process; None without timed frames."""
        seconds = sum(entry["seconds"] for entry in self.sequences.values())
        return self.timed_frames / seconds if seconds > 0 else None


def evaluate(
    tracker: VideoTracker,
    videos: Sequence[Video],
    output: Path,
    *,
    inputs: Mapping[str, Any] | None = None,
    force: bool = False,
    stop: threading.Event | None = None,
    world: Distributed | None = None,
) -> EvaluationResult:
    """Track every video and write ``output/<sequence>/<frame>.png``; broken videos are skipped.

    Args:
        tracker: reset before each video.
        videos: videos to track, distributed over the ranks, all of which call this.
        inputs: data set, models and settings as JSON values. Sequences finished with the same ones are skipped.
        force: replace the results of a different run.
        stop: flag that stops the run before the next frame; finished sequences are kept.
        world: ranks; None means only this process.

    Returns:
        The merged results of all ranks.

    Raises:
        InputError: the output folder is not writable, is part of the data set, is in use by another process, or
            holds results of a different run.
    """
    world = world or Distributed(torch.device("cpu"))
    require_outside_data(videos, output)
    with world.lock_output(output):
        results = BenchmarkResults(
            folder=output, inputs=dict(inputs or {}), sequences=sorted(video.name for video in videos)
        )
        if world.is_main:
            results = results.open(force=force)
            if results.is_new:
                results.start()
        world.barrier()  # no rank writes before the main one has started
        results = results if world.is_main else BenchmarkResults.read(output) or results
        costs = [len(video.frames) for video in videos]
        rank_videos = [videos[index] for index in assign_by_cost(costs, world.rank, world.world_size)]
        evaluation = _run_videos(tracker, rank_videos, results, stop or threading.Event(), world, force=force)
        parts = world.gather(evaluation, f"run the same command again to resume {output}")
        return _merge_results(parts, videos)


def assign_by_cost(costs: Sequence[int], rank: int, ranks: int) -> list[int]:
    """Return the indices of a rank's items: each item goes, largest cost first, to the rank with the least work."""
    loads: list[int] = [0] * ranks
    indices = []
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        least_loaded = loads.index(min(loads))
        loads[least_loaded] += costs[index]
        if least_loaded == rank:
            indices.append(index)
    return sorted(indices)


def _run_videos(
    tracker: VideoTracker,
    videos: Sequence[Video],
    results: BenchmarkResults,
    stop: threading.Event,
    world: Distributed,
    *,
    force: bool,
) -> EvaluationResult:
    """Track one rank's videos that are not finished, until the run is stopped."""
    evaluation = EvaluationResult(results.folder)
    total, rank_note = sum(len(video.frames) for video in videos), f" (share 1 of {world.world_size})"
    with progress_bar(total, unit="frame", enabled=world.is_main) as bar:
        for video in videos:
            frames_before = bar.n
            bar.set_description(f"{video.name}{rank_note if world.world_size > 1 else ''}", refresh=False)
            with collect_failure(evaluation.failures, video.name, "skipped", MEMORY_REMEDY):
                require_readable([video])
                inputs = fingerprint_sequence(video)
                entry = results.find_finished(video, inputs, force=force)
                if entry is not None:
                    evaluation.resumed.append(video.name)
                else:
                    results.begin_sequence(video)
                    seconds = _track(tracker, video, results.folder, stop, bar)
                    if len(seconds) < len(video.frames):
                        evaluation.stopped = True
                        break
                    entry = results.finish_sequence(video, inputs, seconds)
                evaluation.sequences[video.name] = entry
            bar.update(frames_before + len(video.frames) - bar.n)
    return evaluation


def _track(tracker: VideoTracker, video: Video, output: Path, stop: threading.Event, bar: Any) -> list[float]:
    """Track one video; return the seconds of each frame in the tracker, fewer than frames if stopped."""
    seconds: list[float] = []
    with closing(track_benchmark_video(tracker, video, output)) as results:
        for result in results:
            seconds.append(result.seconds)
            bar.update()
            if stop.is_set() and len(seconds) < len(video.frames):
                break
    return seconds


def _merge_results(parts: Sequence[EvaluationResult], videos: Sequence[Video]) -> EvaluationResult:
    """Merge the results of all ranks, with sequences in the order of ``videos``."""
    sequences = {name: entry for part in parts for name, entry in part.sequences.items()}
    failures = {name: message for part in parts for name, message in part.failures.items()}
    names = [video.name for video in videos]
    return EvaluationResult(
        parts[0].output,
        {name: sequences[name] for name in names if name in sequences},
        [name for part in parts for name in part.resumed],
        {name: failures[name] for name in names if name in failures},
        stopped=any(part.stopped for part in parts),
    )


def score_finished(benchmark: Benchmark, videos: Sequence[Video], evaluation: EvaluationResult) -> ScoringResult:
    """Score the finished videos that have ground truth; scoring errors become failures of both results."""
    scorable = [video for video in videos if video.name in evaluation.sequences and benchmark.has_annotations(video)]
    scoring = score_videos(benchmark, scorable, evaluation.output)
    evaluation.failures |= scoring.failures
    return scoring
