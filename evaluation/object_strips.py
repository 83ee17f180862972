"""Images of the worst objects: ground truth above, result below, for a few frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.dataloaders.benchmarks.labeled_video import Video, find_masks_folder
from aotlab.dataloaders.benchmarks.object_masks import extract_object_ids
from aotlab.evaluation.sav import read_object_results
from aotlab.evaluation.sequence_scores import SequenceScores
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab.media.overlay import concat_images, draw_overlay, draw_text
from aotlab.utils.files import atomic_path, remove

HEIGHT = 240
"""Height of a frame in the image, in pixels."""
FRAMES = 4
"""Number of frames, evenly spaced over those that count, including the worst."""


def write_strips(
    folder: Path,
    worst: Sequence[tuple[str, str, float]],
    videos: Sequence[Video],
    results: Path,
    scores: Mapping[str, SequenceScores],
) -> list[Path | None]:
    """Write ``<rank>_<sequence>_<object>.jpg`` for each object of `list_worst_objects`; remove those of earlier runs.

    Return the paths, None for an object that has no frame to draw.
    """
    by_name = {video.name: video for video in videos}
    strip = re.compile(rf"[0-9]{{2,}}_({'|'.join(map(re.escape, by_name))})_[0-9]+\.jpg")
    for path in folder.glob("*.jpg"):
        if strip.fullmatch(path.name):
            remove(path)
    paths: list[Path | None] = []
    for rank, (name, item, _) in enumerate(worst, start=1):
        path, objects = folder / f"{rank:02d}_{name}_{item}.jpg", scores[name].objects
        object_id = next(scored.object_id for scored in objects if scored.name == item)
        is_drawn = write_strip(path, by_name[name], results, scores=scores[name], object_id=object_id)
        paths.append(path if is_drawn else None)
    return paths


def write_strip(path: Path, video: Video, results: Path, *, scores: SequenceScores, object_id: int) -> bool:
    """Write one object of a video as a JPEG; return False, and write nothing, if it has no frame to draw."""
    files = {file.stem: file for file in video.frames}
    columns = []
    for stem in pick_frames(scores, object_id, FRAMES):
        masks = _read_masks(video, results, object_id, stem)
        height, width = masks[0].shape
        file = files.get(stem)
        if file is None or file in video.annotations:  # only a mask
            frame = np.zeros((height, width, 3), np.uint8)
        else:
            frame = np.asarray(Image.fromarray(read_image(file)).resize((width, height)))
        pair = Image.fromarray(np.concatenate([draw_overlay(frame, mask * object_id) for mask in masks]))
        size = (max(1, round(width * HEIGHT / height)), 2 * HEIGHT)
        columns.append(np.asarray(pair.resize(size, Image.Resampling.BILINEAR)))
    if not columns:
        return False
    image = concat_images(columns, gap=4)
    draw_text(image, "ground truth", (8, 22), 14)
    draw_text(image, "result", (8, HEIGHT + 22), 14)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="JPEG", quality=90)
    return True


def _read_masks(video: Video, results: Path, object_id: int, stem: str) -> list[np.ndarray]:
    """Return the annotation and the result of an object on a frame, H×W bool."""
    masks, name = find_masks_folder(results / video.name), f"{stem}.png"
    if video.object_folders:
        predictions, _ = read_object_results(masks, name, video.object_folders)
        return [read_mask(video.object_folders[object_id] / name) > 0, predictions[object_id][1]]
    annotation = next(file for file in video.annotations if file.stem == stem)
    files = annotation, masks / name
    return [extract_object_ids(read_mask(file), merge_ids=video.merge_ids) == object_id for file in files]


def pick_frames(scores: SequenceScores, object_id: int, count: int) -> list[str]:
    """Return the stems of ``count`` evenly spaced frames of an object, in temporal order, including its worst in J."""
    region = scores.region[scores.ids.index(object_id)]
    indices = [index for index, value in enumerate(region) if not np.isnan(value) and scores.frames[index]]
    if len(indices) <= count:
        return [scores.frames[index] for index in indices]
    worst = min(indices, key=lambda index: region[index])
    picked = {indices[round(position)] for position in np.linspace(0, len(indices) - 1, count)}
    if worst not in picked:
        # replace the nearest frame
        picked.remove(min(picked, key=lambda index: abs(index - worst)))
    return [scores.frames[index] for index in sorted({*picked, worst})]
