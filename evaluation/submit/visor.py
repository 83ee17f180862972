"""VISOR's JSON of polygons (github.com/epic-kitchens/C6-SemiVOS), in a zip without folders."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import find_masks_folder
from aotlab.evaluation.sequence_scores import find_unknown_ids, raise_if_unknown
from aotlab.evaluation.submit.archive import add_entry
from aotlab.evaluation.submit.results import SubmittedResults, read_size_and_ids
from aotlab.media.masks import read_mask
from aotlab.utils.files import atomic_path, reading_json

INFO = {
    "Dataset Name": "VISOR",
    "Challenge": "semi_supervised_vos",
    "Version": "0.1",
    "Resolution": "854x480",
    "URL": "https://epic-kitchens.github.io/VISOR",
}
"""Head of a submission."""


def write_polygons(results: SubmittedResults, output: Path) -> int:
    """Write the zip with ``<split>.json``; return the number of masks in it, without empty ones.

    The objects are named as in ``<split>_data_mapping.json``, which the conversion writes.
    """
    split = results.split
    mapping = results.root / f"{split.removesuffix('_unseen')}_data_mapping.json"
    with reading_json(mapping, "convert VISOR again") as objects_by_sequence:
        names_by_sequence = {
            video.name: {int(object_id): str(name) for object_id, name in objects_by_sequence[video.name].items()}
            for video in results.videos
        }
    entries = []
    for video in results.videos:
        objects, (size, _) = names_by_sequence[video.name], read_size_and_ids(video)
        for stem in video.written_stems:
            path = find_masks_folder(results.folder / video.name) / f"{stem}.png"
            entries.append(_make_entry(video.name, stem, read_mask(path, size=size), objects, path))
    text = json.dumps({"info": INFO, "video_annotations": entries})
    with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        add_entry(archive, f"{split}.json", text.encode(), zipfile.ZIP_DEFLATED)
    return sum(len(entry["annotations"]) for entry in entries)


def trace_polygons(mask: np.ndarray) -> list[list[list[int]]]:
    """Return the outlines of an H×W bool mask and its holes; `cv2.fillPoly` of all restores the mask."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return [outline[:, 0].tolist() for outline in contours]


def _make_entry(sequence: str, stem: str, labels: np.ndarray, names: Mapping[int, str], path: Path) -> dict[str, Any]:
    """Return the entry of one frame."""
    raise_if_unknown(find_unknown_ids(labels, [*names]), names, path)
    video = "_".join(sequence.split("_")[:2])
    name = f"{stem}.png"
    image = {"image_path": f"{video}/{name}", "name": name, "subsequence": sequence, "video": video}
    annotations = [
        {"name": names[object_id], "segments": trace_polygons(labels == object_id)}
        for object_id in np.unique(labels[labels > 0]).tolist()
    ]
    return {"image": image, "annotations": annotations}
