"""Validation during training; nothing is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator

import numpy as np

from aotlab.configs.schema import Config
from aotlab.dataloaders.training.labelled import LabelledVideo
from aotlab.engine.streaming import ReadAhead, stream
from aotlab.engine.tracker import Tracker
from aotlab.evaluation.davis import SequenceScores, annotation_labels, score_labels
from aotlab.evaluation.tables import scores_table
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.distributed import World


def validate(model: VOSModel, config: Config, videos: list[LabelledVideo], world: World) -> dict[str, float]:
    """Track and score ``videos`` by the DAVIS 2017 rules, distributed over the ranks, all of which call this.

    Returns:
        J, F and J&F in percent over all objects.
    """
    training = model.training
    tracker = Tracker(model, config, device=world.device)
    numbers = range(world.rank, len(videos), world.ranks)
    scored = {number: _score(tracker, videos[number]) for number in numbers}
    model.train(training)
    scores = {number: score for part in world.gather(scored) for number, score in part.items()}
    table = scores_table({f"{number} {video.name}": scores[number] for number, video in enumerate(videos)})
    return {name: table[name] for name in ("J&F", "J", "F")}


def _score(tracker: Tracker, video: LabelledVideo) -> SequenceScores:
    """Track and score one video in memory."""
    annotations: list[np.ndarray] = []

    def predictions(frames: Iterator[tuple[np.ndarray, np.ndarray]]) -> Generator[np.ndarray, None, None]:
        for image, mask in frames:
            annotations.append(annotation_labels(mask))
            yield tracker.step(image, annotations[0] if len(annotations) == 1 else None).labels

    tracker.reset(len(video.frames))
    found: list[np.ndarray] = []
    deque(stream(ReadAhead(frame.read() for frame in video.frames), predictions, found.append), maxlen=0)
    return score_labels(annotations, found)
