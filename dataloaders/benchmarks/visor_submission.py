"""Submissions to VISOR's server: results as polygons (github.com/epic-kitchens/C6-SemiVOS).

One JSON file in a zip without folders. ``video_annotations`` has an entry a frame: ``image`` and ``annotations``, each
an object's ``name`` and its ``segments``, polygons of [x, y] on an image of 854×480.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aotlab.dataloaders.benchmarks.visor_polygons import SIZE
from aotlab.masks.exchange.safe_files import about, read_json
from aotlab.masks.id_maps import read_mask
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path

INFO = {
    "Dataset Name": "VISOR",
    "Challenge": "semi_supervised_vos",
    "Version": "0.1",
    "Resolution": f"{SIZE[1]}x{SIZE[0]}",
    "URL": "https://epic-kitchens.github.io/VISOR",
}
"""head of the file"""
DATE = (1980, 1, 1, 0, 0, 0)
"""time stamp of the entry, so that the same results give the same archive"""


def write_submission(
    archive: Path, results: Path, sequences: Mapping[str, Sequence[str]], names: Path, split: str
) -> int:
    """Write the zip with ``<split>.json``; return the number of masks in it, without empty ones.

    Args:
        archive: the zip.
        results: folder with ``<sequence>/<frame>.png``, ids of 854×480 pixels.
        sequences: stems of the frames of each sequence, in temporal order.
        names: ``<split>_data_mapping.json`` of the conversion, with the names of objects.
        split: train or val.

    Raises:
        InputError: the names cannot be read, or a result is missing, not a mask, of another size, or has an unnamed id.
    """
    known = read_object_names(names)
    entries = []
    for sequence, stems in sequences.items():
        if sequence not in known:
            raise InputError(f"{names}: no objects of {sequence}; convert the data set again (convert_visor)")
        for stem in stems:
            path = results / sequence / f"{stem}.png"
            entries.append(_entry(sequence, stem, read_mask(path, size=SIZE), known[sequence], path))
    text = json.dumps({"info": INFO, "video_annotations": entries})
    with atomic_path(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(zipfile.ZipInfo(f"{split}.json", DATE), text, zipfile.ZIP_DEFLATED)
    return sum(len(entry["annotations"]) for entry in entries)


def read_object_names(path: Path) -> dict[str, dict[int, str]]:
    """Return the names of objects by sequence and id; raises `InputError` for another kind of file."""
    with about(path):
        return {
            str(sequence): {int(object_id): str(name) for object_id, name in objects.items()}
            for sequence, objects in read_json(path).items()
        }


def polygons_of(mask: np.ndarray) -> list[list[list[int]]]:
    """Return the outlines of an H×W bool mask and its holes; `cv2.fillPoly` of all restores the mask."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return [outline[:, 0].tolist() for outline in found]


def _entry(
    sequence: str, stem: str, labels: np.ndarray, names: Mapping[int, str], path: Path
) -> dict[str, Any]:
    """Return the entry of one frame."""
    present = [int(object_id) for object_id in np.unique(labels) if object_id]
    unknown = [object_id for object_id in present if object_id not in names]
    if unknown:
        raise InputError(
            f"{path}: id {unknown[0]} is not an object of {sequence}; expected {', '.join(map(str, names))}"
        )
    video = "_".join(sequence.split("_")[:2])
    image = {
        "image_path": f"{video}/{stem}.png",
        "name": f"{stem}.png",
        "subsequence": sequence,
        "video": video,
    }
    annotations = [
        {"name": names[object_id], "segments": polygons_of(labels == object_id)} for object_id in present
    ]
    return {"image": image, "annotations": annotations}
