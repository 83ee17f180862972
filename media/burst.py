"""BURST's JSON: tracks as run lengths (github.com/Ali2500/BURST-benchmark).

A file has ``sequences``; each names its frames (``all_image_paths``), those with masks (``annotated_image_paths``), and
for each of these the run lengths of its tracks by their ids. Predictions are the same file with other run lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotlab.utils.files import read_json, reading, require_file_name

MAX_TRACKS = 65534


@dataclass(frozen=True)
class BurstSequence:
    """An entry of ``sequences``."""

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


def find_annotation_file(root: Path, split: str) -> Path:
    """Return the file with all classes of a split, which may be missing."""
    inner = (f"{split}/all_classes.json", f"{split}/{split}.json", f"{split}.json")
    paths = [folder / name for folder in (root, root / "annotations") for name in inner]
    return next(filter(Path.is_file, paths), paths[0])


def read_sequences(path: Path) -> list[BurstSequence]:
    """Read all entries of a file; raises `InputError` if it is not a BURST file."""
    with reading(path):
        return [
            parse_sequence(entry, str(path))
            for entry in read_json(path, "expected BURST's annotations there")["sequences"]
        ]


def parse_sequence(entry: Mapping[str, Any], name: str) -> BurstSequence:
    """Parse an entry of ``sequences``; ``name``: the file, for messages. An invalid entry raises any error."""
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
