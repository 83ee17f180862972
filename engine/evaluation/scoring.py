"""Scoring of result folders against ground truth, in one or several processes; independent of PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import Video, require_whole
from aotlab.evaluation.rules import RULES, Rules
from aotlab.evaluation.sequence_scores import (
    FrameScores,
    ScoringPlan,
    SequenceScores,
    join,
    require_predictions,
    score_files,
)
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.processes import worker_pool
from aotlab.utils.progress import progress_bar

log = logging.getLogger(__name__)

CHUNK = 16
"""number of frames that a process scores at once"""
WORTH_A_PROCESS = 200
"""number of frames that take about as long as starting a process"""

Chunk = tuple[int, int]
"""index of the plan, first frame of the chunk"""


@dataclass
class ScoringResult:
    """Scores of sequences, and errors of those without."""

    scores: dict[str, SequenceScores] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """error message by sequence"""


def has_annotations(video: Video) -> bool:
    """Return whether the video has annotations besides the given masks."""
    if video.object_folders:
        return any(item.length >= RULES[video.rules].least for item in video.objects)
    return len(video.annotations) >= max(RULES[video.rules].least, len(video.masks) + 1)


def rules_of(videos: Sequence[Video]) -> Rules:
    """Return the rules shared by the videos of a data set."""
    return RULES[next((video.rules for video in videos if video.problem is None), "davis")]


def score_videos(
    videos: Sequence[Video], results: Path, *, workers: int = 1, progress: bool = False
) -> ScoringResult:
    """Score ``results/<sequence>/<frame>.png`` of every video; errors are reported as failures.

    Args:
        videos: videos with ground truth.
        workers: largest number of processes; fewer are used for few frames.

    Raises:
        RunStopped: a process died.
    """
    report = ScoringResult()
    plans = [plan for video in videos if (plan := _plan(video, results, report)) is not None]
    parts: dict[Chunk, FrameScores] = {}
    frames = sum(len(plan.frames) for plan in plans)
    workers = min(workers, max(1, frames // WORTH_A_PROCESS))
    score = _here if workers == 1 else _shared_out(workers)
    with progress_bar(frames, unit="frame", shown=progress) as bar:
        for (number, first), part in score(plans, results):
            bar.update(len(plans[number].frames[first : first + CHUNK]))
            if isinstance(part, FrameScores):
                parts[number, first] = part
            else:
                report.failures.setdefault(plans[number].name, str(part))
    for number, plan in enumerate(plans):
        if plan.name not in report.failures:
            report.scores[plan.name] = _scores(plan, [parts[number, first] for first in _starts(plan)])
    for name, message in report.failures.items():
        log.error("%s: not scored: %s", name, message)
    return report


def _plan(video: Video, results: Path, report: ScoringResult) -> ScoringPlan | None:
    """Return the scoring plan of a video, or None if there is nothing to score or it failed."""
    try:
        require_whole([video])
        plan = RULES[video.rules].plan(video)
        if not plan.ids:
            log.warning("%s: no object has a frame that is scored", video.name)
            return None
        require_predictions(plan, results / video.name)
        return plan
    except InputError as error:
        report.failures[video.name] = str(error)
        return None


def _scores(plan: ScoringPlan, parts: Sequence[FrameScores]) -> SequenceScores:
    scores = join(plan, parts)
    if scores.unknown_ids:
        found = ", ".join(map(str, sorted(scores.unknown_ids)))
        log.warning("%s: unknown ids in predictions count as background: %s", plan.name, found)
    return scores


def _starts(plan: ScoringPlan) -> range:
    return range(0, len(plan.frames), CHUNK)


def _score_chunk(plan: ScoringPlan, results: Path, first: int, stop: int) -> FrameScores | InputError:
    try:
        return score_files(plan, results / plan.name, first, stop)
    except InputError as error:
        return error


def _here(plans: Sequence[ScoringPlan], results: Path) -> Iterator[tuple[Chunk, FrameScores | InputError]]:
    """Score chunks in this process; a plan that fails is skipped."""
    for number, plan in enumerate(plans):
        broken: InputError | None = None
        for first in _starts(plan):
            part = broken or _score_chunk(plan, results, first, first + CHUNK)
            broken = part if isinstance(part, InputError) else None
            yield (number, first), part


def _shared_out(
    workers: int,
) -> Callable[[Sequence[ScoringPlan], Path], Iterator[tuple[Chunk, FrameScores | InputError]]]:
    """Score chunks in several processes, in order of completion."""

    def score(
        plans: Sequence[ScoringPlan], results: Path
    ) -> Iterator[tuple[Chunk, FrameScores | InputError]]:
        """Yield chunks and their scores; raise RunStopped if a process dies."""
        with worker_pool(workers, __name__) as pool:
            waiting: dict[Future[FrameScores | InputError], Chunk] = {
                pool.submit(_score_chunk, plan, results, first, first + CHUNK): (number, first)
                for number, plan in enumerate(plans)
                for first in _starts(plan)
            }
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            except BrokenProcessPool as error:
                raise RunStopped("a scoring process died; try again with workers=1") from error

    return score
