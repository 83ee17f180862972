"""Scoring of result folders against ground truth, in one or several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from aotlab.dataloaders.labeled_video import Video, require_readable
from aotlab.dataloaders.sequences import list_masks
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.benchmarks.folder import read_annotated_video
from aotlab.evaluation.metrics import ExtendedMeasure
from aotlab.evaluation.sequence_scores import FrameScores, ScoringPlan, SequenceScores, join_scores, require_predictions
from aotlab.media.names import MAX_NAMES
from aotlab.utils.errors import InputError, RunStopped, is_out_of_memory, require
from aotlab.utils.plugins import list_plugin_files, load_plugin_file
from aotlab.utils.progress import progress_bar
from aotlab.utils.run_folder import find_masks_folder, read_record
from aotlab.utils.text import format_count, join_truncated

log = logging.getLogger(__name__)

CHUNK_FRAMES = 16
"""Number of frames that are sent to a process at once."""
MIN_FRAMES_PER_WORKER = 200
"""Number of frames that take about as long as starting a process."""
WORKERS_REMEDY = "try aotlab score --workers 1"
"""Remedy for a lack of memory."""


@dataclass
class ScoringResult:
    """Scores of the sequences, and an error for each sequence that could not be scored."""

    scores: dict[str, SequenceScores] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    """Error message by sequence."""
    expected: dict[str, int] = field(default_factory=dict)
    """Number of frames by scored sequence that the benchmark scores if all have annotations."""

    def count_frames(self) -> dict[str, int]:
        """Return the numbers of frames that were scored, and that the benchmark scores, for `scores.json`."""
        scored = sum(1 for scores in self.scores.values() for stem in scores.frames if stem)
        return {"scored": scored, "expected": sum(self.expected[name] for name in self.scores)}


def read_tracked_video(benchmark: Benchmark, result: Path, annotations: Path) -> tuple[Video, Path]:
    """Return the video of a folder of results, for scoring by annotations, and the parent of the folder."""
    folder = result if result.name not in ("", "..") else result.resolve()
    masks, record = find_masks_folder(folder), read_record(folder) or {}
    if record.get("status", "done") != "done":
        problem = f"results of an unfinished run ({record.get('error') or 'not finished'})"
        raise InputError(problem, subject=result, remedy="run the track command again")
    video = read_annotated_video(folder.name, annotations)
    if masks != folder:
        video = _select_tracked(video, masks)
    require_predictions(benchmark.plan(video), masks)
    return video, folder.parent


def _select_tracked(video: Video, masks: Path) -> Video:
    """Return a video without the annotated frames before the first and after the last mask of a finished run."""
    stems = {path.stem for path in list_masks(masks)}
    indices = [index for index, path in enumerate(video.frames) if path.stem in stems]
    frames = video.frames[indices[0] : indices[-1] + 1] if indices else video.frames
    if len(frames) == len(video.frames):
        return video
    log.warning("scored on frames %s to %s, which were tracked", frames[0].stem, frames[-1].stem)
    return replace(video, frames=frames, annotations=frames, reference_masks={0: frames[0]})


def score_videos(benchmark: Benchmark, videos: Sequence[Video], results: Path, *, workers: int = 1) -> ScoringResult:
    """Score ``results/<sequence>/<frame>.png`` of every video; errors are reported as failures.

    Args:
        benchmark: frames, objects and measure that count.
        videos: videos with ground truth.
        workers: largest number of processes; fewer are used for few frames.

    Raises:
        RunStopped: a process died.
    """
    report, plans = ScoringResult(), list[ScoringPlan]()
    metrics = (*benchmark.metrics, *benchmark.measures)
    for video in videos:
        with collect_failure(report.failures, video.name, "not scored", WORKERS_REMEDY):
            require_readable([video])
            plan = _add_measures(benchmark.plan(video), benchmark.measures)
            if plan.objects and plan.frames:
                folder = find_masks_folder(results / video.name)
                _require_frames(video, plan, folder)
                require_predictions(plan, folder)
                _warn_about_unmatched_files(video, folder)
                plans.append(plan)
                unlabeled = benchmark.list_unlabeled(video)
                report.expected[video.name] = len(plan.frames) + len(unlabeled)
                if unlabeled:
                    count = format_count(len(unlabeled), "frame")
                    log.warning("%s: not scored: %s without annotation, such as %s", video.name, count, unlabeled[0])
            else:
                log.warning("%s: no object has a frame that is scored", video.name)
    num_frames = sum(len(plan.frames) for plan in plans)
    workers = min(workers, num_frames // MIN_FRAMES_PER_WORKER)
    with frame_mapper(workers) as map_frames, progress_bar(num_frames, unit="frame") as bar:
        parts = [
            map_frames(partial(plan.scorer.score, find_masks_folder(results / plan.name)), plan.frames)
            for plan in plans
        ]
        for plan, frames in zip(plans, parts, strict=True):
            frame_scores = []
            with collect_failure(report.failures, plan.name, "not scored", WORKERS_REMEDY):
                for part in frames:
                    frame_scores.append(part)
                    bar.update()
                scores = report.scores[plan.name] = join_scores(plan, frame_scores, metrics)
                if scores.unknown_ids:
                    ids = ", ".join(map(str, sorted(scores.unknown_ids)))
                    log.warning("%s: unknown ids in predictions count as background: %s", plan.name, ids)
    return report


def _add_measures(plan: ScoringPlan, measures: tuple[str, ...]) -> ScoringPlan:
    """Return the plan with measures of plug-ins; raise `InputError` if its scorer has no measure."""
    if not measures:
        return plan
    scorer: Any = plan.scorer
    kind = type(scorer).__name__
    require(hasattr(scorer, "measure"), f"{kind} has no measure", subject="--measure", remedy="leave the option out")
    return replace(plan, scorer=replace(scorer, measure=ExtendedMeasure(scorer.measure, measures)))


def _require_frames(video: Video, plan: ScoringPlan, folder: Path) -> None:
    """Raise `InputError` if a result is missing since its annotation has no frame."""
    stems = {path.stem for path in video.frames}
    for path in plan.frames if stems else ():
        if path.stem not in stems and not all(file.is_file() for file in plan.scorer.result_files(folder, path)):
            problem = f"no frame of this name in {video.frames[0].parent}"
            raise InputError(problem, subject=path, remedy="add it or remove the mask")


def _warn_about_unmatched_files(video: Video, folder: Path) -> None:
    """Log PNGs that match no frame, as they may be numbered from 1; they are not scored, as in the public evaluators.

    If only the annotated frames are known, others may have a PNG unless an annotated frame has none.
    """
    folders = [folder, *(folder / item.name for item in video.object_folders.values())]
    files = [path for part in folders for path in list_masks(part)]
    stems = dict.fromkeys(path.stem for path in (*video.frames, *video.annotations))
    unmatched = list(dict.fromkeys(path.name for path in files if path.stem not in stems))
    found = {path.stem for path in files}
    num_missing = len({*video.written_stems} - found)
    written = list(video.written_stems)
    if unmatched and found == {*written[1:], Path(unmatched[-1]).stem} and len(unmatched) == 1:
        log.warning(
            "%s: its files are one frame late, %s to %s instead of %s to %s, so the scores are wrong; rename them",
            folder, written[1], Path(unmatched[0]).stem, written[0], written[-1],
        )  # fmt: skip
    elif unmatched and (num_missing or video.frames != video.annotations):
        log.warning(
            "%s: ignored %s without a frame (%s); frames without a file: %d; name files by frames, such as %s.png",
            folder, format_count(len(unmatched), "file"), join_truncated(unmatched, MAX_NAMES), num_missing,
            next(iter(stems)),
        )  # fmt: skip


@contextmanager
def frame_mapper(workers: int) -> Iterator[Callable[..., Iterator[FrameScores]]]:
    """Yield ``map``, or with several workers that of a process pool; raise `RunStopped` if a process dies."""
    if workers < 2:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # forks of this process could hang, as it has threads
    plugins = (list_plugin_files(),)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=plugins) as pool:
        try:
            yield partial(pool.map, chunksize=CHUNK_FRAMES)
        except BrokenProcessPool as error:
            raise RunStopped(f"a scoring process died; {WORKERS_REMEDY}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker(plugin_files: Sequence[Path]) -> None:
    """Load the plug-ins of the parent; end this worker when the parent has ended, even if it was killed."""
    for path in plugin_files:
        load_plugin_file(path)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def collect_failure(failures: dict[str, str], name: str, outcome: str, memory_remedy: str) -> Iterator[None]:
    """Store bad input, or a lack of memory, in ``failures`` under the name of a sequence, and log it.

    The caller then continues with the next sequence.

    Args:
        outcome: consequence for the log, such as "skipped".
        memory_remedy: what the user can do about a lack of memory.
    """
    try:
        yield
    except InputError as error:
        failures[name] = str(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failures[name] = f"out of memory; {memory_remedy}"
    else:
        return
    log.error("%s: %s: %s", name, outcome, failures[name])
