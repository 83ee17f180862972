"""The worst frames of all videos, or those on which a second system loses most, as a list and as images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import extract_object_ids
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.object_scores import read_object_results
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.media.overlay import concat_images, draw_overlay, draw_text
from aotlab.utils.files import atomic_path, remove
from aotlab.utils.run_folder import find_masks_folder

HEIGHT = 360
"""Height of a frame in an image, in pixels."""
STRETCH = 10.0
"""Largest difference from the worst frame of a stretch, in percent."""
Run = Mapping[str, SequenceScores]
"""Scores of a run by sequence."""


class WorstFrame(NamedTuple):
    """The worst frame of an object in a stretch of frames that are about as bad."""

    value: float
    """Benchmark's first column of the object on the frame, or its difference between two systems, in percent."""
    sequence: str
    object_id: int
    object_name: str
    """Name of the object in tables."""
    frame: str
    """Stem of the frame."""
    first: str
    """Stem of the first frame of the stretch."""
    last: str


def find_worst_frames(benchmark: Benchmark, systems: Sequence[Sequence[Run]], count: int) -> list[WorstFrame]:
    """Return the ``count`` worst frames, worst first, one for each stretch of frames of an object.

    Args:
        systems: one system, whose frames below 100 % are listed, or two, of which those frames are listed on which the
            second is worse. The scores of a system are the means over its runs.
        count: largest number of frames.
    """
    frames = []
    for name in set.intersection(*(set(run) for runs in systems for run in runs)):
        means = [np.mean([score_frames(benchmark, run[name]) for run in runs], axis=0) for runs in systems]
        values, best = (means[1] - means[0], 0.0) if len(systems) > 1 else (means[0], 100.0)
        scores = systems[0][0][name]
        for item, row in zip(scores.objects, values, strict=True):
            for index, first, last in split_runs(np.where(np.array(scores.frames) == "", np.nan, row)):
                if round(row[index] - best, 6) < 0:
                    stems = (scores.frames[at] for at in (index, first, last))
                    frames.append(WorstFrame(float(row[index]), name, item.object_id, item.name, *stems))
    return sorted(frames)[:count]


def score_frames(benchmark: Benchmark, scores: SequenceScores) -> np.ndarray:
    """Return the benchmark's first column of every object and frame, K×N in percent; NaN if it does not count."""
    values, column = np.full(scores.region.shape, np.nan), benchmark.columns[0]
    for item, frame in np.argwhere(~np.isnan(scores.region)):
        row = benchmark.make_row(*scores.values[: len(benchmark.metrics), item, frame, None])
        values[item, frame] = row.get(column, np.nan)
    return values


def rank_sequences(table: Mapping[str, Any], column: str, count: int, *, limit: float) -> dict[str, float]:
    """Return the ``count`` lowest values of a column below a limit by sequence, worst first.

    ``table``: result of `make_scores_table` or `compare_systems`.
    """
    values = sorted((row[column], name) for name, row in table.get("sequences", {}).items() if column in row)
    return {name: value for value, name in values[:count] if round(value - limit, 6) < 0}


def split_runs(values: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield the worst, first and last index of each stretch of values (n,) in percent, the worst stretch first.

    A stretch holds the neighbors of its worst value that are at most `STRETCH` higher. NaN belongs to none.
    """
    is_free = ~np.isnan(values)
    for index in np.argsort(values, kind="stable").tolist():
        if not is_free[index]:
            continue
        is_member = is_free & (values <= values[index] + STRETCH)
        others = np.flatnonzero(~is_member)
        split = int(np.searchsorted(others, index))
        first = int(others[split - 1]) + 1 if split else 0
        last = int(others[split]) - 1 if split < len(others) else len(values) - 1
        is_free[first : last + 1] = False
        yield index, first, last


def draw_worst_frames(
    folder: Path,
    frames: Sequence[WorstFrame],
    videos: Sequence[Video],
    results: Mapping[str, Path],
    scores: Run,
) -> list[Path]:
    """Write ``<rank>_<sequence>_<object>_<frame>.jpg`` for each frame, and remove those of earlier runs.

    Args:
        folder: folder of the images.
        frames: frames to draw.
        videos: all videos of the data set.
        results: folders of results to draw right of the ground truth, by their title.
        scores: scores of one of them.
    """
    by_name = {video.name: video for video in videos}
    drawn = re.compile(rf"[0-9]{{2,}}_({'|'.join(map(re.escape, scores))})_[0-9]+_(.+)\.jpg")
    for path in folder.glob("*.jpg"):
        if (match := drawn.fullmatch(path.name)) and match[2] in scores[match[1]].frames:
            remove(path)
    paths = []
    for rank, entry in enumerate(frames, start=1):
        paths.append(folder / f"{rank:02d}_{entry.sequence}_{entry.object_name}_{entry.frame}.jpg")
        _draw_frame(paths[-1], entry, by_name[entry.sequence], results)
    return paths


def _draw_frame(path: Path, entry: WorstFrame, video: Video, results: Mapping[str, Path]) -> None:
    """Write the ground truth and the results of an object on a frame, side by side."""
    masks = {"ground truth": _read_truth(video, entry)}
    masks |= {title: _read_result(video, entry, folder) for title, folder in results.items()}
    height, width = masks["ground truth"].shape
    file = next((file for file in video.frames if file.stem == entry.frame), None)
    if file is None or file in video.annotations:  # only a mask
        frame = np.zeros((height, width, 3), np.uint8)
    else:
        frame = np.asarray(Image.fromarray(read_image(file)).resize((width, height)))
    size, panels = (max(1, round(width * HEIGHT / height)), HEIGHT), []
    for title, mask in masks.items():
        drawn = Image.fromarray(draw_overlay(frame, mask * entry.object_id))
        panels.append(np.array(drawn.resize(size, Image.Resampling.BILINEAR)))
        draw_text(panels[-1], title, (8, 22), 14)
    with atomic_path(path) as temporary:
        Image.fromarray(concat_images(panels, gap=4)).save(temporary, format="JPEG", quality=90)


def _read_truth(video: Video, entry: WorstFrame) -> np.ndarray:
    """Return the annotation of an object on a frame, H×W bool."""
    if video.object_folders:
        return read_mask(video.object_folders[entry.object_id] / f"{entry.frame}.png") > 0
    file = next(file for file in video.annotations if file.stem == entry.frame)
    return extract_object_ids(read_mask(file), merge_ids=video.merge_ids) == entry.object_id


def _read_result(video: Video, entry: WorstFrame, results: Path) -> np.ndarray:
    """Return the result of an object on a frame, H×W bool."""
    masks, name = find_masks_folder(results / video.name), f"{entry.frame}.png"
    if video.object_folders:
        predictions, _ = read_object_results(masks, name, video.object_folders)
        return predictions[entry.object_id][1]
    return extract_object_ids(read_mask(masks / name), merge_ids=video.merge_ids) == entry.object_id
