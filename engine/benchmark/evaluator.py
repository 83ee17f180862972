"""Evaluation of a tracker on a data set: result PNGs, frames per second, scores."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from aotlab.dataloaders.benchmarks.sequences import require_readable
from aotlab.engine.benchmark.ensemble import Ensemble
from aotlab.engine.benchmark.run import track_video
from aotlab.engine.benchmark.scoring import has_annotations, score_videos
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.media.labelled_video import Video
from aotlab.media.masks import read_mask
from aotlab.media.object_masks import ObjectMasks, list_mask_files
from aotlab.utils.distributed import RESUME_ADVICE, World
from aotlab.utils.errors import MEMORY_ADVICE, InputError, is_out_of_memory
from aotlab.utils.files import digest_samples, is_file, is_folder, make_folder, real_path, remove, sha256
from aotlab.utils.locks import locked_output, remove_leftovers
from aotlab.utils.progress import progress_bar
from aotlab.utils.versioned_json import load_record, save_record

log = logging.getLogger(__name__)

RECORD_FOLDER = ".finished"
"""folder of the records in the result folder"""


@dataclass(frozen=True)
class SequenceRecord:
    """Record of a sequence tracked to its last frame."""

    fingerprint: str = ""
    """digest of everything the results depend on"""
    settings: str = ""
    """digest of the models and settings among that"""
    timed_frames: int = 0
    seconds: float = 0.0
    """seconds in the tracker on the timed frames"""


@dataclass
class EvaluationResult:
    """Finished and failed sequences of an evaluation run, and its speed."""

    output: Path
    """folder that holds a folder of PNGs per sequence"""
    records: dict[str, SequenceRecord] = field(default_factory=dict)
    """sequences with complete results, of this or an earlier run"""
    resumed: list[str] = field(default_factory=list)
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
        seconds = sum(record.seconds for record in self.records.values())
        return self.timed_frames / seconds if seconds > 0 else None


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation run; the masks do not depend on them."""

    overlay: bool = False
    """also write ``output/overlay/<sequence>/<frame>.jpg``"""
    progress: bool = True
    """show a progress bar of the main rank's frames on stderr"""
    origin: dict[str, Any] | None = None
    """models and settings as JSON values; sequences finished with the same ones are skipped. None: no records are read
    or written"""
    restart: bool = False
    """run finished sequences again"""
    force: bool = False
    """replace the results of other models and settings"""
    stop: threading.Event = field(default_factory=threading.Event)
    """flag that stops the run before the next frame; finished sequences are kept"""


def evaluate(
    tracker: Tracker | Ensemble,
    videos: Sequence[Video],
    output: Path,
    options: EvaluationOptions | None = None,
    world: World | None = None,
) -> EvaluationResult:
    """Track every video and write ``output/<sequence>/<frame>.png``; broken videos are skipped.

    Args:
        tracker: reset before each video.
        videos: videos to track, distributed over the ranks, all of which call this.
        options: see `EvaluationOptions`.
        world: ranks; None: only this process.

    Returns:
        The merged results of all ranks.

    Raises:
        InputError: the output folder is not writable, is part of the data set, is in use by another process, or
            holds results of other models or settings.
    """
    options, world = options or EvaluationOptions(), world or World(torch.device("cpu"))
    _require_outside_data(videos, output)
    with locked_output(output, world):
        records = _read_records(output, videos, options)
        world.gather(None)  # no rank writes before the others have read the records
        if options.origin is not None:
            make_folder(output / RECORD_FOLDER)
        share = [videos[index] for index in world.assign_by_cost([len(video.frames) for video in videos])]
        evaluation = _run_videos(tracker, share, records, EvaluationResult(output), options, world)
        return _merge_results(world.gather(evaluation, f"{RESUME_ADVICE} {output}"), videos)


def _run_videos(
    tracker: Tracker | Ensemble,
    videos: Sequence[Video],
    records: Mapping[str, SequenceRecord],
    evaluation: EvaluationResult,
    options: EvaluationOptions,
    world: World,
) -> EvaluationResult:
    """Track one rank's videos that are not finished; save a record of each, until the run is stopped."""
    total, note = sum(len(video.frames) for video in videos), f" (share 1 of {world.ranks})"
    with progress_bar(total, unit="frame", enabled=options.progress and world.is_main) as bar:
        for video in videos:
            done = bar.n
            bar.set_description(f"{video.name}{note if world.ranks > 1 else ''}", refresh=False)
            try:
                require_readable([video])
                record = None if options.restart else records.get(video.name)
                if record is not None and _is_finished(record, video, evaluation.output, options):
                    evaluation.resumed.append(video.name)
                else:
                    _remove_results(evaluation.output, video)
                    record = _track(tracker, video, evaluation.output, options, bar)
                    if record is None:
                        evaluation.stopped = True
                        break
                    _save_record(record, video, evaluation.output, options)
                evaluation.records[video.name] = record
            except InputError as error:
                evaluation.failures[video.name] = str(error)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                evaluation.failures[video.name] = f"out of memory; {MEMORY_ADVICE}"
            if video.name in evaluation.failures:
                log.error("%s: skipped: %s", video.name, evaluation.failures[video.name])
            bar.update(done + len(video.frames) - bar.n)
    return evaluation


def _track(
    tracker: Tracker | Ensemble, video: Video, output: Path, options: EvaluationOptions, bar: Any
) -> SequenceRecord | None:
    """Track one video, and time it without its first frame; return None if stopped."""
    spent: list[float] = []
    with closing(track_video(tracker, video, output, overlay=options.overlay)) as results:
        for result in results:
            spent.append(result.seconds)
            bar.update()
            if options.stop.is_set() and len(spent) < len(video.frames):
                return None
    return SequenceRecord(timed_frames=len(spent) - 1, seconds=sum(spent[1:]))


def _merge_results(parts: Sequence[EvaluationResult], videos: Sequence[Video]) -> EvaluationResult:
    """Merge the results of all ranks, with sequences in the order of ``videos``."""
    records = {name: record for part in parts for name, record in part.records.items()}
    failures = {name: message for part in parts for name, message in part.failures.items()}
    names = [video.name for video in videos]
    return EvaluationResult(
        parts[0].output,
        {name: records[name] for name in names if name in records},
        [name for part in parts for name in part.resumed],
        {name: failures[name] for name in names if name in failures},
        stopped=any(part.stopped for part in parts),
    )


def _read_records(
    output: Path, videos: Sequence[Video], options: EvaluationOptions
) -> dict[str, SequenceRecord]:
    """Read the records of earlier runs.

    Raises:
        InputError: a sequence has results of other models or settings, or there are files and no records.
    """
    records = {}
    for video in videos if options.origin is not None else ():
        files = output / video.name
        if not (output / RECORD_FOLDER).is_dir() and is_folder(files) and any(files.iterdir()):
            raise InputError(
                f"output {output}: holds {video.name}, which no evaluation has written; choose another folder"
            )
        record = load_record(_record_path(output, video), SequenceRecord)
        if record is None:
            continue
        if record.settings not in ("", _digest(options.origin)) and not options.force:
            raise InputError(
                f"output {output}: holds results of other models or settings ({video.name}); choose another folder "
                "or replace them with --force"
            )
        records[video.name] = record
    return records


def _is_finished(record: SequenceRecord, video: Video, output: Path, options: EvaluationOptions) -> bool:
    """Return whether a record is of the same models, settings and files, and the results are complete."""
    if record.fingerprint != _fingerprint(video, options.origin):
        return False
    try:
        for stem in video.results:
            for file in video.result_files(stem):
                read_mask(output / video.name / file)
    except InputError:
        return False
    overlays = output / "overlay" / video.name
    return not options.overlay or all(is_file(overlays / f"{path.stem}.jpg") for path in video.frames)


def _save_record(record: SequenceRecord, video: Video, output: Path, options: EvaluationOptions) -> None:
    if options.origin is not None:
        fingerprint, settings = _fingerprint(video, options.origin), _digest(options.origin)
        save_record(_record_path(output, video), replace(record, fingerprint=fingerprint, settings=settings))


def _remove_results(output: Path, video: Video) -> None:
    """Remove the record and temporary files of a sequence."""
    remove(_record_path(output, video))
    for folder in (output / video.name, output / "overlay" / video.name):
        for part in (folder, *filter(Path.is_dir, folder.glob("*"))):  # of single objects
            remove_leftovers(part)


def _record_path(output: Path, video: Video) -> Path:
    return output / RECORD_FOLDER / f"{video.name}.json"


def _fingerprint(video: Video, origin: dict[str, Any] | None) -> str:
    """Return a digest of the inputs of a video: models, given masks, samples of the frames, options."""
    masks: list[object] = []
    for index, mask in sorted(video.reference_masks.items()):
        masks.append((index, [sha256(path) for path in list_mask_files(mask)]))
        if isinstance(mask, ObjectMasks):
            masks.append((sorted(mask.files), sorted(mask.runs.items())))
    try:
        frames = [(path.name, digest_samples(path)) for path in video.frames]
    except OSError as error:
        raise InputError(f"{error.filename}: no such image; expected a frame of {video.name}") from error
    return _digest(
        (origin, masks, frames, video.merge_ids, video.output_height, video.results, video.objects)
    )


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def score_finished(videos: Sequence[Video], evaluation: EvaluationResult) -> dict[str, SequenceScores]:
    """Score the finished videos that have ground truth; scoring errors become failures."""
    scorable = [video for video in videos if video.name in evaluation.records and has_annotations(video)]
    scoring = score_videos(scorable, evaluation.output)
    evaluation.failures |= scoring.failures
    return scoring.scores


def _require_outside_data(videos: Sequence[Video], output: Path) -> None:
    """Check that results do not overwrite frames or annotations."""
    for video in videos:
        mask_files = [path for mask in video.reference_masks.values() for path in list_mask_files(mask)]
        sources = {real_path(path.parent) for path in (*video.frames, *video.annotations, *mask_files)} | {
            real_path(folder.parent) for folder in video.object_folders.values()
        }
        if real_path(output / video.name) in sources:
            raise InputError(f"{output}: is part of the data set; choose another folder")
