"""Training and validation data of all phases of a recipe: sources by kind, and their mixtures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aotlab.configs.files import resolve_path
from aotlab.configs.schema import Config
from aotlab.configs.training import DataConfig, PhaseConfig, SourceConfig
from aotlab.dataloaders.training import sets
from aotlab.dataloaders.training.clips import ClipSource
from aotlab.dataloaders.training.coco import open_coco
from aotlab.dataloaders.training.mixture import Mixture
from aotlab.dataloaders.training.sets import LabelledVideo, VideoSet
from aotlab.utils.errors import InputError

log = logging.getLogger(__name__)

TRIED_CLIPS = 20
"""number of clips of a phase of which one must show an object"""
MIN_VIDEOS = 10
"""minimum number of videos for holding some back"""

Readers = Mapping[str, Callable[[Path, SourceConfig], ClipSource]]
"""reader of a source's folder by kind"""
IMAGE_READERS: Readers = {
    "static": sets.open_static,
    "coco": open_coco,
    **dict.fromkeys(sets.SALIENCY_SETS, sets.open_saliency),
    "voc2012": sets.open_voc2012,
}
READERS: Readers = {
    **IMAGE_READERS,
    "video": sets.open_video_folders,
    "davis": sets.open_davis,
    "youtube_vos": sets.open_youtube_vos,
    "vost": sets.open_vost,
}


@dataclass(frozen=True)
class TrainingData:
    """Data of a run."""

    mixtures: dict[int, Mixture]
    """clips of every phase to run, by its index in the recipe"""
    validation: list[LabelledVideo]


def open_phases(config: Config, readers: Readers = READERS) -> TrainingData:
    """Find the data of every phase to run, and the validation videos.

    Raises:
        InputError: no phase, an unknown phase in ``train.run``, missing data, or masks without objects.
    """
    settings = config.train
    names = [phase.name for phase in settings.phases]
    if not names:
        raise InputError("train.phases: no phases; use a recipe such as finetune")
    unknown = [name for name in settings.run if name not in names]
    if unknown:
        raise InputError(f"train.run: unknown phase {unknown[0]}; the phases are {', '.join(names)}")
    mixtures = {
        index: open_mixture(config.data, phase, settings.seed, readers, max_objects=config.model.max_objects)
        for index, phase in enumerate(settings.phases)
        if not settings.run or phase.name in settings.run
    }
    for mixture in mixtures.values():
        _require_objects(mixture)
    if config.data.validation or not config.data.validation_fraction:
        return TrainingData(mixtures, open_validation_videos(config.data, readers))
    return split_validation(mixtures, config.data.validation_fraction)


def _require_objects(mixture: Mixture) -> None:
    """Raise `InputError` if none of the first clips shows an object; training reports those that cannot be read."""
    count = min(TRIED_CLIPS, len(mixture))
    try:
        empty = not any(mixture[index].objects for index in range(count))
    except InputError:
        return
    if empty:
        paths = ", ".join(source.path for source in mixture.phase.sources)
        raise InputError(
            f"{paths}: the first {count} clips of phase {mixture.phase.name} show no object; check the masks with "
            "aotlab check-data"
        )


def open_mixture(
    data: DataConfig, phase: PhaseConfig, seed: int, readers: Readers = READERS, *, max_objects: int
) -> Mixture:
    """Find all sources of a phase; its clips have at most ``max_objects`` objects.

    Raises:
        InputError: data.root is not set, or a source has no data.
    """
    root = find_data_root(data)
    if not phase.sources:
        raise InputError(f"train.phases: phase {phase.name} has no sources; add at least one")
    sources, problems = [], {}
    for source in phase.sources:
        try:
            sources.append(open_set(root, source, readers))
        except InputError as error:
            problems[source.path] = str(error)
    if problems:
        first, *others = problems
        more = f"; the same recipe also lacks {', '.join(others)}" if others else ""
        raise InputError(f"{problems[first]}{more}")
    weights = np.array([source.weight for source in phase.sources])
    shares = tuple((weights / weights.sum()).tolist())
    return Mixture(tuple(sources), shares, phase, data, seed, max_objects)


def open_validation_videos(data: DataConfig, readers: Readers = READERS) -> list[LabelledVideo]:
    """Return the videos of ``data.validation`` (default split: val).

    Raises:
        InputError: a folder or list is missing, single images, or data.root is not set.
    """
    videos: list[LabelledVideo] = []
    for source in data.validation:
        opened: ClipSource | None = None
        if source.kind not in IMAGE_READERS:
            opened = open_set(find_data_root(data), replace(source, split=source.split or "val"), readers)
        if not isinstance(opened, VideoSet):
            raise InputError(
                f"data.validation: {source.path} is of kind {source.kind} (single images); validation needs videos"
            )
        videos += opened.videos
    return videos


def split_validation(mixtures: dict[int, Mixture], fraction: float) -> TrainingData:
    """Hold this fraction of the videos of every set back for validation, the same ones in all phases."""
    held: dict[tuple[str, str], LabelledVideo] = {}
    kept: dict[int, Mixture] = {}
    for index, mixture in mixtures.items():
        sources: list[ClipSource] = []
        for source in mixture.sources:
            if isinstance(source, VideoSet) and len(source.videos) >= MIN_VIDEOS:
                chosen = choose_evenly_spaced(source, fraction)
                held |= {(source.name, video.name): video for video in chosen}
                others = tuple(video for video in source.videos if video not in chosen)
                source = replace(source, videos=others)
            sources.append(source)
        kept[index] = replace(mixture, sources=tuple(sources))
    if held:
        names = ", ".join(sorted(name for _, name in held))
        log.info(
            "data.validation names no videos: held back from training for it (data.validation_fraction): %s",
            names,
        )
    else:
        log.info(
            "no validation, and no best.safetensors: fewer than %d videos; give some with "
            "data.validation='[{path: FOLDER}]'",
            MIN_VIDEOS,
        )
    return TrainingData(kept, list(held.values()))


def choose_evenly_spaced(source: VideoSet, part: float) -> list[LabelledVideo]:
    """Return this fraction of the videos of a set, evenly spaced by name; at least one."""
    videos = sorted(source.videos, key=lambda video: video.name)
    count = max(1, round(part * len(videos)))
    return [videos[(2 * number + 1) * len(videos) // (2 * count)] for number in range(count)]


def open_set(root: Path, source: SourceConfig, readers: Readers = READERS) -> ClipSource:
    """Find the images or videos of one source below ``root``.

    Raises:
        InputError: no such kind, or no labelled data there.
    """
    if source.kind not in readers:
        raise InputError(f"train.phases.sources.kind must be one of {', '.join(readers)}, got {source.kind}")
    if source.balance and source.kind in READERS and source.kind != "static":
        raise InputError(
            f"train.phases.sources.balance is for kind static, whose sets are folders; {source.path} is {source.kind}"
        )
    folder = root / source.path
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; expected a training set of kind {source.kind} (see data.root)"
        )
    return readers[source.kind](folder, source)


def find_data_root(data: DataConfig) -> Path:
    """Return the folder of all sources; raises `InputError` if it is not set or missing."""
    if data.root is None:
        raise InputError("data.root: not set; give the folder that holds the training sets, data.root=FOLDER")
    root = resolve_path(data.root)
    if not root.is_dir():
        raise InputError(f"data.root={root}: no such folder; give the folder that holds the training sets")
    return root
