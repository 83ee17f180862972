"""Training and validation data of all phases of a recipe."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from aotlab.configs.files import resolve_path
from aotlab.configs.schema import Config
from aotlab.configs.training import DataConfig, PhaseConfig
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.sequences import require_folder
from aotlab.dataloaders.training.layouts import LAYOUTS, open_set
from aotlab.dataloaders.training.mixture import Mixture, describe_source
from aotlab.dataloaders.training.sets import VideoSet, describe_videos, resolve_paths, skip_to_first_object
from aotlab.dataloaders.training.shared_videos import find_shared_videos
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.plugins import TRANSFORM_PLUGINS, find_plugin

log = logging.getLogger(__name__)

NUM_CHECKED_CLIPS = 20
"""Number of clips of each phase that are checked before training; at least one must show an object."""
VALIDATION = "validation"
"""Name of the validation videos in messages."""
MIN_VALIDATION_FRAMES = 3
"""Minimum number of labeled frames of a validation video; the first and the last are not scored."""
MIN_VIDEOS = 10
"""Minimum number of videos in a folder for validating on some of them."""


@dataclass(frozen=True)
class TrainingData:
    """Data of a run."""

    mixtures: dict[int, Mixture]
    """Clips of each phase that is run, by the index of the phase in the recipe."""
    validation: list[Video]

    def fingerprints(self, first: int = 0) -> dict[str, str]:
        """Return the fingerprints of the sources of the phases from ``first`` on, by name, and of `VALIDATION`."""
        mixtures = [mixture for index, mixture in self.mixtures.items() if index >= first]
        pairs = [pair for mixture in mixtures for pair in zip(mixture.phase.sources, mixture.sources, strict=True)]
        sources = {describe_source(config): source for config, source in pairs}
        fingerprints = {name: source.fingerprint() for name, source in sources.items()}
        return {**fingerprints, VALIDATION: describe_videos(self.validation) if self.validation else "none"}


def open_phases(config: Config) -> TrainingData:
    """Find the data of every phase to run, and the validation videos."""
    settings = config.train
    names = [phase.name for phase in settings.phases]
    require(names, "no phases", subject="train.phases", remedy="use a recipe such as finetune")
    for name in settings.run:
        require_choice(name, names, "train.run")
    phases = {
        index: phase for index, phase in enumerate(settings.phases) if not settings.run or phase.name in settings.run
    }
    _require_folders(config.data, [*phases.values()])
    mixtures = {
        index: open_mixture(config.data, phase, settings.seed, max_objects=config.model.max_objects)
        for index, phase in phases.items()
    }
    for mixture in mixtures.values():
        _require_objects(mixture)
    if config.data.validation or not config.data.validation_fraction:
        data = TrainingData(mixtures, open_validation_videos(config.data))
    else:
        data = split_validation(mixtures, config.data.validation_fraction)
    _require_separate_videos(data)
    return data


def _require_folders(data: DataConfig, phases: Sequence[PhaseConfig]) -> None:
    """Raise `InputError` that names all missing folders of the sources of these phases and of the validation."""
    root = find_data_root(data)
    sources = [*chain.from_iterable(phase.sources for phase in phases), *data.validation]
    folders = {root / source.path: source.kind for source in sources if source.kind in LAYOUTS}
    missing = [f"{folder} ({kind})" for folder, kind in folders.items() if not folder.is_dir()]
    if missing:
        problem = f"no such folder{'s' if len(missing) > 1 else ''}: {', '.join(missing)}"
        raise InputError(problem, subject=f"data.root {root}", remedy="add the data, or correct data.root or the paths")


def _require_separate_videos(data: TrainingData) -> None:
    """Raise `InputError` if a validation video is also trained on, also under another name."""
    sources = chain.from_iterable(mixture.sources for mixture in data.mixtures.values())
    frames = chain.from_iterable(source.list_images() for source in sources)
    if shared := find_shared_videos(data.validation, frames):
        video, frame = shared[0]
        others = f", and {len(shared) - 1} more" if len(shared) > 1 else ""
        raise InputError(
            f"a validation video that is also trained on, {frame}{others}",
            subject=video.frames[0].parent,
            remedy="remove one of them, or name the training videos in a list (split: train)",
        )


def _require_objects(mixture: Mixture) -> None:
    """Raise `InputError` if none of the first clips shows an object, or one cannot be read."""
    count = min(NUM_CHECKED_CLIPS, len(mixture))
    if any(mixture[index].num_objects for index in range(count)):
        return
    paths = ", ".join(source.path for source in mixture.phase.sources)
    raise InputError(
        f"the first {count} clips of phase {mixture.phase.name} show no object",
        subject=paths,
        remedy="check the masks with aotlab check-data",
    )


def open_mixture(data: DataConfig, phase: PhaseConfig, seed: int, *, max_objects: int) -> Mixture:
    """Find all sources of a phase; its clips have at most ``max_objects`` objects."""
    root = find_data_root(data)
    require(phase.sources, f"phase {phase.name} has no sources", subject="train.phases", remedy="add at least one")
    sources = tuple(open_set(root, source) for source in phase.sources)
    weights = np.array([source.weight for source in phase.sources])
    shares = tuple((weights / weights.sum()).tolist())
    transforms = tuple(find_plugin(TRANSFORM_PLUGINS, name) for name in phase.transforms)
    return Mixture(sources, shares, phase, data, seed, max_objects, transforms)


def open_validation_videos(data: DataConfig) -> list[Video]:
    """Return the videos of ``data.validation``; default split: val, or all of a folder without such a list."""
    videos: list[Video] = []
    for source in data.validation:
        root = find_data_root(data)
        has_val = source.kind != "video" or (root / source.path / "ImageSets" / "val.txt").is_file()
        opened = open_set(root, source.replace(split=source.split or ("val" if has_val else None)))
        if not isinstance(opened, VideoSet):
            problem = f"{source.path} is of kind {source.kind}, which has no videos; validation needs videos"
            raise InputError(problem, subject="data.validation")
        for video in opened.videos:
            videos.append(skip_to_first_object(video))
            count = len(videos[-1].frames)
            if count < MIN_VALIDATION_FRAMES:
                raise InputError(
                    f"{count} labeled frames from the first object on, but a video of data.validation needs "
                    f"{MIN_VALIDATION_FRAMES}",
                    subject=video.frames[0].parent,
                    remedy="label more, or remove it from the split",
                )
    return videos


def split_validation(mixtures: dict[int, Mixture], fraction: float) -> TrainingData:
    """Move this fraction of the videos of every folder from training to validation, the same ones in all phases."""
    folders: dict[Path, dict[str, Video]] = {}
    for source in (source for mixture in mixtures.values() for source in mixture.sources):
        for video in source.videos if isinstance(source, VideoSet) else ():
            folders.setdefault(video.frames[0].parents[1].resolve(), {})[video.name] = video
    validation = [
        video
        for videos in folders.values()
        if len(videos) >= MIN_VIDEOS
        for video in choose_evenly_spaced(list(_select_scorable(videos.values())), fraction)
    ]
    if not validation:
        log.info(
            "no validation, and no best.safetensors: validation needs a folder of at least %d videos, one of them with "
            "%d labeled frames; give some with data.validation='[{path: FOLDER}]'",
            MIN_VIDEOS,
            MIN_VALIDATION_FRAMES,
        )
        return TrainingData(mixtures, [])
    names = ", ".join(sorted(video.name for video in validation))
    log.info("data.validation names no videos: held out for validation (data.validation_fraction): %s", names)
    excluded = set[Path]().union(*map(resolve_paths, validation))
    remaining = {
        index: replace(mixture, sources=tuple(source.exclude(excluded) for source in mixture.sources))
        for index, mixture in mixtures.items()
    }
    if not all(len(source) for mixture in remaining.values() for source in mixture.sources):
        raise InputError(
            "validates on all videos of a source",
            subject="data.validation_fraction",
            remedy="name the validation videos with data.validation",
        )
    return TrainingData(remaining, validation)


def _select_scorable(videos: Iterable[Video]) -> Iterator[Video]:
    """Yield the videos with enough labeled frames, starting at their first object; training reports unreadable ones."""
    for video in videos:
        with suppress(InputError):
            trimmed = skip_to_first_object(video)
            if len(trimmed.frames) >= MIN_VALIDATION_FRAMES:
                yield trimmed


def choose_evenly_spaced(videos: Sequence[Video], fraction: float) -> list[Video]:
    """Return this fraction of some videos, evenly spaced by name; at least one, if there is any."""
    ordered = sorted(videos, key=lambda video: video.name)
    count = min(len(ordered), max(1, round(fraction * len(ordered))))
    return [ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count)]


def find_data_root(data: DataConfig) -> Path:
    """Return the folder of all sources."""
    if data.root is None:
        raise InputError(
            "not set", subject="data.root", remedy="give the parent folder of the training sets, data.root=FOLDER"
        )
    return require_folder(resolve_path(data.root), "data.root, the parent folder of the training sets")
