"""Reader and writer of BURST: JSON with run lengths (github.com/Ali2500/BURST-benchmark).

A file has ``sequences``; each names its frames (``all_image_paths``), those with masks (``annotated_image_paths``), and
for each of these the run lengths of its tracks by their ids. Predictions are the same file with other run lengths.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.sequences import read_videos, require_folder
from aotlab.media.labeled_video import Video
from aotlab.media.matching import order_names
from aotlab.media.object_masks import ListedObject, ObjectMasks
from aotlab.utils.files import (
    read_json,
    reading,
    require_file_name,
    require_none_missing,
    write_text,
)

MAX_TRACKS = 65534


@dataclass(frozen=True)
class BurstSequence:
    """One entry of ``sequences``."""

    name: str
    """<source>-<sequence>, also the name of the result folder"""
    folder: str
    """folder of its frames, below the split's"""
    frames: tuple[str, ...]
    """file names of all frames"""
    size: tuple[int, int]
    """(height, width) in pixels"""
    tracks: tuple[str, ...]
    """ids of the tracks in ascending order; the first is object 1"""
    rle: Mapping[str, Mapping[str, str]]
    """run lengths by file name of each frame with masks, and by track"""


def read_burst(root: Path, split: str = "val", *, all_frames: bool = False) -> list[Video]:
    """Read the sequences of a split (train, val or test), sorted by name; a track is given by its first mask.

    Frames with masks are tracked, one per second; with ``all_frames`` all. Results are for frames with masks.
    """
    path = find_annotation_file(root, split)
    images = require_folder(root / "frames" / split, "<source>/<sequence>/*.jpg in it")
    entries = {entry.name: entry for entry in read_sequences(path)}
    return read_videos(
        path, sorted(entries), lambda name: _make_video(entries[name], images, path, all_frames=all_frames)
    )


def find_annotation_file(root: Path, split: str) -> Path:
    """Return the file with all classes of a split, which may be missing."""
    inner = (f"{split}/all_classes.json", f"{split}/{split}.json", f"{split}.json")
    paths = [folder / name for folder in (root, root / "annotations") for name in inner]
    return next(filter(Path.is_file, paths), paths[0])


def read_sequences(path: Path) -> list[BurstSequence]:
    """Read all entries of a file; raises `InputError` if it is not a BURST file."""
    with reading(path):
        return [
            _parse_sequence(entry, str(path))
            for entry in read_json(path, "expected BURST's annotations there")["sequences"]
        ]


def write_predictions(path: Path, annotations: Path, results: Path, names: Sequence[str]) -> int:
    """Write id PNGs as BURST JSON: the annotations with other run lengths.

    Args:
        annotations: file of the split.
        results: folder with ``<sequence>/<frame>.png`` for annotated frames.

    Returns:
        The number of written masks; objects without pixels are skipped.

    Raises:
        InputError: a result is missing, not a mask, or of another size.
    """
    from aotlab.media.masks import read_mask
    from aotlab.media.regions import compress_rle, encode_rle

    tree = read_json(annotations)
    kept, count = [], 0
    for entry in tree["sequences"]:
        sequence = _parse_sequence(entry, str(annotations))
        if sequence.name not in names:
            continue
        frames = []
        for file in sequence.rle:
            labels = read_mask(results / sequence.name / f"{Path(file).stem}.png", size=sequence.size)
            masks = {track: labels == index for index, track in enumerate(sequence.tracks, start=1)}
            frames.append(
                {
                    track: {"rle": compress_rle(encode_rle(mask))}
                    for track, mask in masks.items()
                    if mask.any()
                }
            )
            count += len(frames[-1])
        kept.append({**entry, "segmentations": frames})
    write_text(path, json.dumps({**tree, "sequences": kept}) + "\n")
    return count


def write_selection(path: Path, annotations: Path, names: Sequence[str]) -> None:
    """Write the annotations of some sequences."""
    tree = read_json(annotations)
    kept = [entry for entry in tree["sequences"] if _parse_sequence(entry, str(annotations)).name in names]
    write_text(path, json.dumps({**tree, "sequences": kept}) + "\n")


def _parse_sequence(entry: Mapping[str, Any], name: str) -> BurstSequence:
    source, sequence = (require_file_name(entry[key], name) for key in ("dataset", "seq_name"))
    annotated = [require_file_name(file, name) for file in entry["annotated_image_paths"]]
    rle_by_frame = (
        {str(track): str(mask["rle"]) for track, mask in frame.items()} for frame in entry["segmentations"]
    )
    rle = dict(zip(annotated, rle_by_frame, strict=True))
    ids = {track for frame in rle.values() for track in frame} | set(entry["track_category_ids"])
    if len(rle) < len(annotated) or len(ids) > MAX_TRACKS:
        raise ValueError(f"{sequence} has frames of one name, or {len(ids)} tracks")
    return BurstSequence(
        f"{source}-{sequence}",
        f"{source}/{sequence}",
        tuple(require_file_name(file, name) for file in entry["all_image_paths"]),
        (int(entry["height"]), int(entry["width"])),
        tuple(sorted(ids, key=int)),
        rle,
    )


def _make_video(entry: BurstSequence, images: Path, path: Path, *, all_frames: bool) -> Video:
    annotated = order_names(entry.rle)
    names = order_names({*entry.frames, *annotated}) if all_frames else annotated
    frames = tuple(images / entry.folder / name for name in names)
    missing = [frame for frame in frames if not frame.is_file()]
    require_none_missing(missing, f"{path.name} lists these frames; unpack them there")
    objects, first_masks_by_frame = [], {}
    for object_id, track in enumerate(entry.tracks, start=1):
        stems = tuple(Path(name).stem for name in annotated if track in entry.rle[name])
        if stems:
            objects.append(ListedObject(object_id, stems, len(stems)))
    for name in annotated:
        stem, rle = Path(name).stem, entry.rle[name]
        first = [item.object_id for item in objects if item.frames[0] == stem]
        if first:
            masks = {object_id: rle[entry.tracks[object_id - 1]] for object_id in first}
            first_masks_by_frame[names.index(name)] = ObjectMasks(path, stem, rle=masks, size=entry.size)
    return Video(
        entry.name,
        frames,
        reference_masks=first_masks_by_frame,
        result_stems=frozenset(Path(name).stem for name in annotated),
        objects=tuple(objects),
    )
