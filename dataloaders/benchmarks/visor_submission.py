"""The file that VISOR's server takes: results as polygons (github.com/epic-kitchens/C6-SemiVOS).

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
from aotlab.masks.exchange.safe_files import read_json
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
"""what the file says of itself"""
DATE = (1980, 1, 1, 0, 0, 0)
"""of the entry, so that the same results give the same archive"""


def write_submission(
    archive: Path, results: Path, sequences: Mapping[str, Sequence[str]], names: Path, split: str
) -> int:
    """Write the zip with ``<split>.json``; the number of masks in it, objects without a pixel having none.

    Args:
        archive: the zip.
        results: holds ``<sequence>/<frame>.png``, ids of 854×480 pixels.
        sequences: stems of the frames of each sequence, in time order.
        names: the file ``<split>_data_mapping.json`` with the names of objects, which conversion wrote.
        split: train or val.

    Raises:
        InputError: the names cannot be read, a result is missing, no mask, of another size, or has an unnamed id.
    """
    known = read_names(names)
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


def read_names(path: Path) -> dict[str, dict[int, str]]:
    """Names of objects by sequence and id.

    Raises:
        InputError: not such a file.
    """
    tree = read_json(path)
    try:
        return {
            str(sequence): {int(object_id): str(name) for object_id, name in objects.items()}
            for sequence, objects in tree.items()
        }
    except (AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: not readable as names of objects ({error}); expected {{sequence: {{id: name}}}}"
        ) from error


def polygons_of(mask: np.ndarray) -> list[list[list[int]]]:
    """Outlines of an H×W bool mask, holes too, which `cv2.fillPoly` of all at once turns into the same mask."""
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
            f"{path}: id {unknown[0]} is no object of {sequence}; expected {', '.join(map(str, names))}"
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
