"""Scoring a model on a few videos while it trains; nothing is written."""

from __future__ import annotations

import logging

import numpy as np
import torch

from configs.schema import Config
from dataloaders.clips import read_split
from dataloaders.images import read_image
from dataloaders.mixture import data_root
from dataloaders.sequences import Video, read_video
from engine.tracker import Tracker
from evaluation.davis import SequenceScores, annotation_labels, score_labels
from evaluation.tables import scores_table
from networks.vos_model import VOSModel
from utils.masks import read_mask

log = logging.getLogger(__name__)


def validation_videos(config: Config) -> list[Video]:
    """The videos of ``data.validation``.

    Raises:
        InputError: a folder or list is missing, or data.root is not set.
    """
    videos = []
    for source in config.data.validation:
        folder = data_root(config.data) / source.path
        names = read_split(folder / "ImageSets" / f"{source.split or 'val'}.txt")
        videos += [
            read_video(name, folder / "JPEGImages" / name, folder / "Annotations" / name) for name in names
        ]
    return videos


def validate(
    model: VOSModel, config: Config, videos: list[Video], device: str | torch.device
) -> dict[str, float]:
    """Track and score ``videos`` by the DAVIS 2017 rules; J, F and J&F in percent over all objects."""
    training = model.training
    tracker = Tracker(model, config, device=device)
    scores = {video.name: _score(tracker, video) for video in videos}
    model.train(training)
    table = scores_table(scores)
    log.info("validation: J&F %.1f", table["J&F"])
    return {name: table[name] for name in ("J&F", "J", "F")}


def _score(tracker: Tracker, video: Video) -> SequenceScores:
    """Track one video in memory and score it."""
    tracker.reset()
    truth = [annotation_labels(read_mask(path)) for path in video.annotations]
    predictions: list[np.ndarray] = []
    for index, path in enumerate(video.frames):
        predictions.append(tracker.step(read_image(path), truth[0] if index == 0 else None).labels)
    return score_labels(truth, predictions)
