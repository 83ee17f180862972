"""Validation during training, and the weights that it writes."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from aotlab.configs.schema import Config
from aotlab.dataloaders.benchmarks.labeled_video import Video
from aotlab.dataloaders.benchmarks.object_masks import extract_object_ids
from aotlab.dataloaders.training.sets import list_frame_pairs
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.build import BEST
from aotlab.engine.training.journal import Journal
from aotlab.engine.training.listener import NonFiniteError, StepResult, TrainingListener
from aotlab.engine.training.model_card import PhaseRecord
from aotlab.engine.training.state import PhaseState
from aotlab.evaluation.davis import score_labels
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import list_ids
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.checkpoints import save_checkpoint
from aotlab.utils.distributed import Distributed
from aotlab.utils.streaming import ReadAhead


class WeightsWriter(TrainingListener):
    """Writes averaged weights with model cards: those of each phase, and those with the best validation score.

    Args:
        videos: validation videos, scored every ``train.validate_every`` steps and after the last step of a phase.
        journal: log of the scores.
        trained_phases: phases of the checkpoint that the run starts from; each phase adds its own.
    """

    def __init__(self, videos: list[Video], journal: Journal, trained_phases: list[PhaseRecord]) -> None:
        self.videos, self.journal, self.trained_phases = videos, journal, trained_phases

    def phase_begins(self, state: PhaseState) -> None:
        """Validate if the run was stopped before a validation that was due."""
        self._validate_if_due(state)

    def step_done(self, state: PhaseState, result: StepResult | NonFiniteError) -> None:
        """Validate if it is due."""
        self._validate_if_due(state)

    def _validate_if_due(self, state: PhaseState) -> None:
        is_due = state.step > state.validated and state.is_due(state.config.train.validate_every)
        if not self.videos or not is_due:
            return
        with state.ema.applied(state.model):
            state.scores = validate(state.model, state.config, self.videos, state.world)
            state.validated = state.step
            self.journal.log_scores(state.step, state.scores)
            if state.scores["J&F"] > state.best:
                state.best = state.scores["J&F"]
                self._write(state, BEST)

    def phase_ends(self, state: PhaseState) -> None:
        """Write the weights of the phase."""
        self._write(state, state.phase.name, half=state.config.train.half_weights)
        self.trained_phases = state.card().phases

    def _write(self, state: PhaseState, name: str, *, half: bool = False) -> None:
        """Write the current weights to ``name.safetensors`` on the main rank; raises `InputError` if that fails."""
        if state.world.is_main:
            path = state.output / f"{name}.safetensors"
            save_checkpoint(path, state.model, state.config, half=half, card=state.card().to_json())


def validate(model: VOSModel, config: Config, videos: list[Video], world: Distributed) -> dict[str, float]:
    """Track and score ``videos``, distributed over the ranks, all of which call this.

    Objects of the first mask are scored by the rules of DAVIS 2017, as ``eval`` scores a folder.

    Returns:
        J&F, J and F in percent over all objects; of a scalable model also "J&F at depth 1" and so on.
    """
    trained = model.config.depths[0]
    tracker = Tracker(model, config, device=world.device)
    scores: dict[str, float] = {}
    for depth in range(1 if model.config.scalable else trained, trained + 1):
        if model.config.scalable:
            tracker.set_depth(depth)
        indices = range(world.rank, len(videos), world.ranks)
        rank_scores = world.gather({index: score_video(tracker, videos[index]) for index in indices})
        video_scores = {index: score for part in rank_scores for index, score in part.items()}
        table = make_scores_table({f"{index} {video.name}": video_scores[index] for index, video in enumerate(videos)})
        suffix = "" if depth == trained else f" at depth {depth}"
        scores |= {f"{name}{suffix}": table[name] for name in ("J&F", "J", "F")}
    return scores


def score_video(tracker: Tracker, video: Video) -> SequenceScores:
    """Track a video from its first mask and score all frames."""
    annotations: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    tracker.reset(len(video.frames))
    with closing(iter(ReadAhead(frame.read() for frame in list_frame_pairs(video)))) as frames:
        for image, mask in frames:
            annotations.append(extract_object_ids(mask))
            labels.append(tracker.step(image, None if labels else annotations[0]).labels)
    return score_labels(annotations, labels, ids=sorted(list_ids(annotations[0])))
