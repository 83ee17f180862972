"""YOLO segmentation labels: a text file for each frame, a line for each object: https://docs.ultralytics.com/datasets/segment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aotlab.masks.exchange.matching import numbers_of
from aotlab.masks.exchange.outlines import outlines_of, runs_of_polygons
from aotlab.masks.exchange.regions import Annotations, Found, Size, Written, pixels
from aotlab.masks.exchange.safe_files import ContentError, numbers, read_bytes


def parse_yolo(folder: Path, size: Size) -> list[Found]:
    """Return the objects of ``labels/*.txt``; the class is the label, and the object if a frame has it only once.

    Raises:
        ContentError: a line that is not a class and a polygon.
    """
    files = sorted((folder / "labels").glob("[!.]*.txt"))
    names, found = _names(folder / "data.yaml"), []
    for path, frame in zip(files, numbers_of(path.stem for path in files), strict=True):
        for line in read_bytes(path).decode("utf-8", "replace").splitlines():
            kind, *values = numbers(line) or [0.0]
            if len(values) % 2 or not all(0 <= value <= 1 for value in values):
                raise ContentError(f"{path.name}: {line[:40]!r}, expected a class and x y x y … from 0 to 1")
            if values:
                points = (np.array(values).reshape(-1, 2) * (size[1], size[0])).ravel().tolist()
                label = names.get(int(kind), str(int(kind)))
                found.append(Found(frame, runs_of_polygons([points], size), label, stem=path.stem))
    return found


def write_yolo(annotations: Annotations, video: Written) -> dict[str, str]:
    """Return texts by file name: ``labels/<frame>.txt`` with a class and relative coordinates a line, ``data.yaml``.

    The parts of an object are joined by lines without width, as Ultralytics joins COCO's; holes are filled.
    """
    scale = np.array(annotations.size[::-1])
    classes, texts = annotations.classes(), {}
    for frame in sorted(annotations.frames):
        lines = []
        for region in annotations.frames[frame]:
            outlines = outlines_of(pixels(region.runs, annotations.size))
            parts = [np.array(outline).reshape(-1, 2) for outline in outlines if len(outline) >= 6]
            if parts:
                kind = classes[annotations.label(region.object_id)] - 1
                values = (_joined(parts) / scale).clip(0, 1).ravel()
                lines.append(" ".join([str(kind), *(f"{value:.6f}" for value in values)]))
        texts[f"labels/{annotations.stem(frame)}.txt"] = "".join(f"{line}\n" for line in lines)
    names = "".join(f"  {index - 1}: {json.dumps(name)}\n" for name, index in classes.items())
    texts["data.yaml"] = f"path: .\ntrain: images\nval: images\nnames:\n{names}"
    return texts


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One closed line, N×2, through polygons N×2: each is entered and left at its point nearest to those before."""
    path = parts[0]
    for part in parts[1:]:
        away = np.linalg.norm(path[:, None] - part[None], axis=2)
        here, there = np.unravel_index(away.argmin(), away.shape)
        around = np.concatenate([part[there:], part[: there + 1]])
        path = np.concatenate([path[: here + 1], around, path[here:]])
    return path


def _names(path: Path) -> dict[int, str]:
    """Class names by number; empty without a readable data.yaml."""
    import yaml

    if not path.is_file():
        return {}
    try:
        names = yaml.safe_load(read_bytes(path)).get("names")
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError) as error:
        raise ContentError(f"{path.name} is not readable ({type(error).__name__}); write it again") from error
    listed = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    return {number: str(name) for number, name in listed if isinstance(number, int)}
