"""YOLO segmentation labels, a file for each frame, a line for each object: https://docs.ultralytics.com/datasets/segment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from aotlab.masks.exchange.matching import numbers_of
from aotlab.masks.exchange.regions import (
    Annotations,
    Found,
    Size,
    Written,
    outlines_of,
    pixels,
    runs_of_polygons,
)
from aotlab.masks.exchange.safe_files import ContentError, about, numbers, read_bytes
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, read_text


def parse_yolo(folder: Path, size: Size) -> list[Found]:
    """Return the objects of ``labels/*.txt``; a class is one object if no frame has it twice.

    Raises:
        ContentError: a line that is not a class and a polygon.
    """
    files = sorted((folder / "labels").glob("[!.]*.txt"))
    names, found = _names(folder / "data.yaml"), []
    for path, frame in zip(files, numbers_of(path.stem for path in files), strict=True):
        with about(path):
            for line in read_bytes(path).decode("utf-8", "replace").splitlines():
                class_id, *values = numbers(line) or [0.0]
                if len(values) % 2 or not all(0 <= value <= 1 for value in values):
                    raise ContentError(f"{line[:40]!r}, expected a class and x y x y … from 0 to 1")
                if values:
                    points = (np.array(values).reshape(-1, 2) * (size[1], size[0])).ravel().tolist()
                    class_name = names.get(int(class_id), str(int(class_id)))
                    found.append(Found(frame, runs_of_polygons([points], size), class_name, stem=path.stem))
    return found


def write_yolo(annotations: Annotations, video: Written) -> dict[str, str]:
    """Return texts by file name: ``labels/<frame>.txt``, a class and relative coordinates a line, and ``data.yaml``.

    The parts of an object are joined by lines without width, as Ultralytics joins COCO's; holes are filled. Training
    needs the frames beside them, as ``images/<frame>.jpg`` or another suffix.
    """
    scale = np.array(annotations.size[::-1])
    classes, texts = annotations.class_ids(), {}
    for frame in sorted(annotations.frames):
        lines = []
        for region in annotations.frames[frame]:
            outlines = outlines_of(pixels(region.runs, annotations.size))
            parts = [np.array(outline).reshape(-1, 2) for outline in outlines if len(outline) >= 6]
            if parts:
                kind = classes[annotations.class_name(region.object_id)] - 1
                values = (_one_line(parts) / scale).clip(0, 1).ravel()
                lines.append(" ".join([str(kind), *(f"{value:.6f}" for value in values)]))
        texts[f"labels/{annotations.stem(frame)}.txt"] = "".join(f"{line}\n" for line in lines)
    names = "".join(f"  {index - 1}: {json.dumps(name)}\n" for name, index in classes.items())
    texts["data.yaml"] = f"train: images\nval: images\nnames:\n{names}"  # relative to the file
    return texts


def _one_line(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join polygons N×2 to one closed line N×2, which enters and leaves each at its point nearest to those before."""
    path = parts[0]
    for part in parts[1:]:
        away = np.linalg.norm(path[:, None] - part[None], axis=2)
        here, there = np.unravel_index(away.argmin(), away.shape)
        around = np.concatenate([part[there:], part[: there + 1]])
        path = np.concatenate([path[: here + 1], around, path[here:]])
    return path


def _names(path: Path) -> dict[int, str]:
    """Return class names by class id; empty without a data.yaml."""
    if not is_file(path):
        return {}
    try:
        names = yaml.safe_load(read_text(path, "write it again")).get("names") or {}
        listed = enumerate(names) if isinstance(names, list) else names.items()
        return {int(class_id): str(name) for class_id, name in listed}
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a YAML mapping with the names of classes; write it again") from error
