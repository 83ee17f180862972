"""J and F of the trained family by the size of objects, with intervals of the differences between models.

``python -m research.family.evaluate DATA RUNS --rendered FOLDER``; RUNS is the output of `research.family.train`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch

from aotlab.configs.load import build_config
from aotlab.configs.training import SourceConfig
from aotlab.dataloaders.training.clips import Clip
from aotlab.dataloaders.training.layouts import open_videos, read_video_folders
from aotlab.engine.tracking.tracker import Tracker
from aotlab.evaluation.comparison import bootstrap_mean
from aotlab.evaluation.label_scores import score_labels
from aotlab.media.masks import VOID
from aotlab.networks.build import build_model
from aotlab.tools.cli.command import command
from aotlab.tools.cli.types import ExistingFolder, File, PositiveInt, list_option, option
from aotlab.utils.errors import require
from aotlab.utils.files import write_text
from aotlab.utils.progress import progress_bar
from aotlab.utils.versioned_files import load_pickle
from research.bundled.compare_weights import keep_first_objects, read_clip
from research.family.train import MODELS

SIZES = {"below 1 %": (0.0, 0.01), "1 to 5 %": (0.01, 0.05), "above 5 %": (0.05, 1.01), "all": (0.0, 1.01)}
"""Bounds of an object's mean area on the frames that show it, as a fraction of the frame."""
PAIRS = (("aott", "deaott"), ("deaott", "msdeaott"), ("aott", "msdeaott"))
INTERVAL = 0.9
VIDEOS = ("davis16", "pairs")
"""Folders of videos, whose list val is scored."""
GROUPS = ("rendered", "videos")
MEASURES = np.array([[0.5, 0.5], [1, 0], [0, 1]])
"""J&F, J and F of J and F."""
HEADER = ("clips", "size of objects", "objects", "model", "J&F", "J", "F")


class ObjectScore(NamedTuple):
    """Scores of one object in one clip by one run."""

    group: str
    clip: str
    object_id: int
    size: float
    """Mean area on the frames that show the object, as a fraction of the frame."""
    model: str
    seed: int
    region: float
    """J in percent."""
    contour: float
    """F in percent."""
    seconds: float
    """CPU time of the clip per frame, on one thread."""


def load_run(folder: Path, step: int | None) -> Tracker:
    """Return the tracker of a run's final weights, or of the averaged weights of a saved state after ``step`` steps."""
    if step is None:
        (weights,) = folder.glob("*.safetensors")
        return Tracker.from_pretrained(weights, device="cpu")
    states = list(folder.glob(f"*/*_{step:06d}.pt"))
    require(states, f"no state after step {step}", subject=folder)
    content = load_pickle(states[0])
    config = build_config(content["config"], str(states[0]))
    model = build_model(config.model)
    model.load_state_dict(content["model"] | content["ema"])
    return Tracker(model.eval(), config, device="cpu")


def list_clips(data: Path, rendered: Path, count: int) -> Iterator[tuple[str, str, Callable[[], Clip]]]:
    """Yield group and name of each clip, and a function that reads it."""
    for video in read_video_folders(rendered)[:count]:
        yield "rendered", video.name, partial(read_clip, video)
    for name in VIDEOS:
        for video in open_videos(data / name, SourceConfig(path=name, split="val")).videos:
            yield "videos", video.name, partial(read_clip, video)


def track(tracker: Tracker, clip: Clip) -> tuple[np.ndarray, float]:
    """Track a clip; return J and F of each object in percent, 2×K, and the CPU seconds per frame."""
    tracker.reset(len(clip.frames))
    predicted, start = [], time.process_time()
    for index, (frame, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
        mask = np.where(labels < VOID, labels, 0) if index == 0 else None
        predicted.append(tracker.step(np.ascontiguousarray(frame), mask).labels)
    seconds = (time.process_time() - start) / len(predicted)
    return 100 * np.nanmean(score_labels(list(clip.labels), predicted).values[:2], axis=2), seconds


def measure_sizes(clip: Clip) -> list[float]:
    """Return the mean area of each object on the frames that show it, as a fraction of the frame."""
    areas = np.stack([np.bincount(labels.ravel(), minlength=256)[1 : clip.num_objects + 1] for labels in clip.labels])
    shown = np.maximum((areas > 0).sum(0), 1)
    return list(areas.sum(0) / shown / clip.labels[0].size)


def format_table(scores: Sequence[ObjectScore], group: str) -> list[str]:
    """Return the rows of a group of clips: for each size, J and F of each model, and the paired differences.

    Each object counts once, with its mean over the seeds; intervals resample clips.
    """
    rows = []
    for title, (low, high) in SIZES.items():
        objects: dict[str, dict[int, dict[str, list[list[float]]]]] = {}
        for score in scores:
            if score.group == group and low <= score.size < high:
                models = objects.setdefault(score.clip, {}).setdefault(score.object_id, {})
                models.setdefault(score.model, []).append([score.region, score.contour])
        clips = [
            [{model: MEASURES @ np.mean(values, 0) for model, values in models.items()} for models in ids.values()]
            for ids in objects.values()
        ]
        if clips:
            start = [group, title, f"{sum(map(len, clips))} in {len(clips)} clips"]
            for model in MODELS:
                means = np.mean([models[model] for clip in clips for models in clip], 0)
                rows.append([*start, model, *(f"{value:.1f}" for value in means)])
            rows += [[*start, f"{second} - {first}", *format_gains(clips, first, second)] for first, second in PAIRS]
    return [f"| {' | '.join(row)} |" for row in rows]


def format_gains(clips: Sequence[Sequence[dict[str, np.ndarray]]], first: str, second: str) -> list[str]:
    """Return mean and interval of the differences of J&F, J and F; ``clips``: the scores of each object by model."""
    cells = []
    for measure in range(len(MEASURES)):
        gains = [[float((models[second] - models[first])[measure]) for models in clip] for clip in clips]
        interval = bootstrap_mean(gains, INTERVAL)
        mean = np.mean([gain for clip in gains for gain in clip])
        cells.append(f"{mean:+.1f}" + (" ({:+.1f} to {:+.1f})".format(*interval) if interval else ""))
    return cells


@command("python -m research.family.evaluate")
@click.argument("data", type=ExistingFolder, metavar="DATA", help="folder of davis16/ and pairs/")
@click.argument("runs", type=ExistingFolder, metavar="RUNS", help="folder of the runs, MODEL_SEED")
@option("--rendered", type=ExistingFolder, required=True, help="clips of research.bundled.crossings --held-out")
@option("--clips", type=PositiveInt, default=60, help="number of rendered clips")
@option("--step", type=PositiveInt, help="score saved states of this step instead of the final weights")
@list_option("--seeds", "seeds, all of whose runs are there (default: 0)", int)
@option("--scores", type=File, help="file for the scores of each object, a JSON array a line")
def main(
    *, data: Path, runs: Path, rendered: Path, clips: int, step: int | None, seeds: tuple[int, ...],
    scores: Path | None,
) -> int:  # fmt: skip
    """Score AOTT, DeAOTT and MSDeAOT on clips that none was trained on."""
    torch.set_num_threads(1)
    trackers = {(model, seed): load_run(runs / f"{model}_{seed}", step) for seed in seeds or (0,) for model in MODELS}
    found: list[ObjectScore] = []
    makers = list(list_clips(data, rendered, clips))
    with progress_bar(len(makers), unit="clip") as bar:
        for group, name, make in makers:
            clip = keep_first_objects(make())
            sizes = measure_sizes(clip)
            for (model, seed), tracker in trackers.items():
                values, seconds = track(tracker, clip)
                found += [
                    ObjectScore(group, name, number + 1, sizes[number], model, seed, region, contour, seconds)
                    for number, (region, contour) in enumerate(values.T.tolist())
                ]
            bar.update()
    if scores:
        write_text(scores, "".join(f"{json.dumps(score)}\n" for score in found))
    print(f"| {' | '.join(HEADER)} |\n{'|---' * len(HEADER)}|")
    for group in GROUPS:
        print("\n".join(format_table(found, group)))
    for model in MODELS:
        frame = np.mean(list({score.clip: score.seconds for score in found if score.model == model}.values()))
        print(f"{model}: {1000 * frame:.0f} ms of CPU time a frame")
    return 0


if __name__ == "__main__":
    sys.exit(main())
