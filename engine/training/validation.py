"""Validation during training, and the weights that it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from aotlab.configs.schema import Config
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import extract_object_ids
from aotlab.dataloaders.training.sets import list_frame_pairs
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.build import BEST
from aotlab.engine.training.listener import TrainingListener
from aotlab.engine.training.record import RunRecord
from aotlab.engine.training.saved_states import save_state, stop_if_interrupted
from aotlab.engine.training.state import TrainState
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.label_scores import score_labels
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import list_ids
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.distributed import Distributed
from aotlab.utils.signals import StopFlag
from aotlab.utils.streaming import ReadAhead


def validate_if_due(
    state: TrainState, record: RunRecord, videos: list[Video], stop: StopFlag, listeners: Sequence[TrainingListener]
) -> bool:
    """Score the averaged weights every ``train.validate_every`` steps, and write those with the best score.

    The state is saved with the scores, and before them, so that a kill during validation loses no step. Returns whether
    it was due; raises `SharedStop` if ``stop`` was set, also on another rank, before the next frame.
    """
    is_due = state.step > state.validated and state.is_due(state.config.train.validate_every)
    if not videos or not is_due:
        return False
    if state.world.is_main:
        save_state(state, record)

    def report(done: int, total: int) -> None:
        for listener in listeners:
            listener.video_scored(state, done, total)

    scores = validate(state.averaged, state.config, videos, state.world, stop, report)
    state.validated = state.step
    for listener in listeners:
        listener.validated(state, scores)
    if (score := next(iter(scores.values()))) > state.best:
        state.best = score
        write_weights(state, record, state.output / f"{BEST}.safetensors")
    if state.world.is_main:
        save_state(state, record, listeners)
    return True


def write_weights(state: TrainState, record: RunRecord, path: Path, *, half: bool = False) -> None:
    """Write the averaged weights and their card to a file on the main rank; raises `InputError` if that fails."""
    if state.world.is_main:
        save_checkpoint(path, state.averaged, state.config, half=half, card=record.card(state).to_json())


def validate(
    model: VOSModel,
    config: Config,
    videos: list[Video],
    world: Distributed,
    stop: StopFlag,
    report: Callable[[int, int], None],
) -> dict[str, float]:
    """Track and score ``videos``, distributed over the ranks, all of which call this.

    Objects of the first mask are scored by the measure of ``data.benchmark``. ``report`` is called after each video
    with the numbers of videos that this rank has scored and scores, at all depths.

    Returns:
        The benchmark's values in percent over all objects, such as J&F, J and F, but no recall and decay; of a
        scalable model then also "J&F at depth 1" and so on.

    Raises:
        SharedStop: ``stop`` was set, also on another rank.
    """
    trained, benchmark = model.config.depths[0], find_benchmark(config.data.benchmark)
    tracker = Tracker(model, config, device=world.device)
    scores: dict[str, float] = {}
    indices = range(world.rank, len(videos), world.world_size)
    depths = range(1 if model.config.scalable else trained, trained + 1)
    for place, depth in enumerate(depths):
        if model.config.scalable:
            tracker.set_depth(depth)
        rank_scores = {}
        for index in indices:
            if (video_score := score_video(tracker, videos[index], stop, benchmark)) is None:
                break
            rank_scores[index] = video_score
            report(place * len(indices) + len(rank_scores), len(depths) * len(indices))
        video_scores = {index: score for part in world.gather(rank_scores) for index, score in part.items()}
        stop_if_interrupted(stop, world)
        named = {f"{index} {video.name}": video_scores[index] for index, video in enumerate(videos)}
        table = make_scores_table(benchmark, named)
        suffix = "" if depth == trained else f" at depth {depth}"
        values = {name: value for name, value in table.items() if isinstance(value, float) and "-" not in name}
        scores = {f"{name}{suffix}": value for name, value in values.items()} | scores
    return scores


def score_video(tracker: Tracker, video: Video, stop: StopFlag, benchmark: Benchmark) -> SequenceScores | None:
    """Track a video from its first mask and score all frames; return None if ``stop`` is set before the last frame."""
    annotations: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    tracker.reset(len(video.frames))
    with closing(iter(ReadAhead(frame.read() for frame in list_frame_pairs(video)))) as frames:
        for image, mask in frames:
            if stop.is_set():
                return None
            annotations.append(extract_object_ids(mask))
            labels.append(tracker.step(image, None if labels else annotations[0]).labels)
    ids, measure = sorted(list_ids(annotations[0])), benchmark.measure
    return score_labels(annotations, labels, ids=ids, measure=measure, metrics=benchmark.metrics)
