"""Reader of BURST. Layout as distributed (github.com/Ali2500/BURST-benchmark).

A JSON file has ``sequences``. Each names its frames (``all_image_paths``), those with masks
(``annotated_image_paths``), and for each of these the run lengths of its tracks by their ids. Predictions are the same
file with other run lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.labeled_video import ObjectInfo, ObjectMasks, Video
from aotlab.dataloaders.benchmarks.sequences import read_videos
from aotlab.media.matching import natural_sort
from aotlab.utils.files import reading_json, require_file_name, require_none_missing

MAX_TRACKS = 65534
"""Largest number of tracks in a sequence; ids are 16-bit."""


@dataclass(frozen=True)
class BurstSequence:
    """An entry of ``sequences``."""

    name: str
    """<source>-<sequence>, also the name of the result folder."""
    folder: str
    """Folder of its frames, below the split's."""
    frames: tuple[str, ...]
    """File names of all frames."""
    size: tuple[int, int]
    """(height, width) in pixels."""
    tracks: tuple[str, ...]
    """Ids of the tracks in ascending order; the first is object 1."""
    rle: Mapping[str, Mapping[str, str]]
    """Run lengths by file name of each frame with masks, and by track."""


def find_annotation_file(root: Path, split: str) -> Path:
    """Return the file with all classes of a split, which may be missing."""
    inner = (f"{split}/all_classes.json", f"{split}/{split}.json", f"{split}.json")
    paths = [folder / name for folder in (root, root / "annotations") for name in inner]
    return next(filter(Path.is_file, paths), paths[0])


def read_sequences(path: Path) -> list[BurstSequence]:
    """Read all entries of a file; raises `InputError` if it is not a BURST file."""
    with reading_json(path, "expected BURST's annotations there") as tree:
        return [parse_sequence(entry, str(path)) for entry in tree["sequences"]]


def parse_sequence(entry: Mapping[str, Any], name: str) -> BurstSequence:
    """Parse an entry of ``sequences``; ``name``: the file, for messages. Errors of an invalid entry are of any type."""
    source, sequence, frames, annotated = (
        entry[key] for key in ("dataset", "seq_name", "all_image_paths", "annotated_image_paths")
    )
    for part in (source, sequence, *frames, *annotated):
        require_file_name(part, name)
    rle_by_frame = ({str(track): str(mask["rle"]) for track, mask in frame.items()} for frame in entry["segmentations"])
    rle = dict(zip(annotated, rle_by_frame, strict=True))
    ids = {track for frame in rle.values() for track in frame} | set(entry["track_category_ids"])
    if len(rle) < len(annotated) or len(ids) > MAX_TRACKS:
        raise ValueError(f"{sequence} has frames of one name, or {len(ids)} tracks")
    return BurstSequence(
        f"{source}-{sequence}",
        f"{source}/{sequence}",
        tuple(frames),
        (int(entry["height"]), int(entry["width"])),
        tuple(sorted(ids, key=int)),
        rle,
    )


def read_burst(root: Path, split: str, *, all_frames: bool = False) -> list[Video]:
    """Read the sequences of a split (train, val or test), sorted by name; the first mask of each track is given.

    Frames with masks are tracked, one per second; with ``all_frames``, all are. Results are written for frames with
    masks.
    """
    path = find_annotation_file(root, split)
    images = root / "frames" / split
    entries = {entry.name: entry for entry in read_sequences(path)}
    return read_videos(
        path, sorted(entries), lambda name: _make_video(entries[name], images, path, all_frames=all_frames)
    )


def _make_video(entry: BurstSequence, images: Path, path: Path, *, all_frames: bool) -> Video:
    annotated = natural_sort(entry.rle)
    names = natural_sort({*entry.frames, *annotated}) if all_frames else annotated
    frames = tuple(images / entry.folder / name for name in names)
    missing = [frame for frame in frames if not frame.is_file()]
    require_none_missing(missing, f"{path.name} lists these frames; unpack them there")
    objects, first_masks = [], dict[str, dict[int, str]]()
    for object_id, track in enumerate(entry.tracks, start=1):
        visible = [name for name in annotated if track in entry.rle[name]]
        if visible:
            stems = tuple(Path(name).stem for name in visible)
            objects.append(ObjectInfo(object_id, stems))
            first_masks.setdefault(visible[0], {})[object_id] = entry.rle[visible[0]][track]
    return Video(
        entry.name,
        frames,
        reference_masks={
            names.index(name): ObjectMasks(path, Path(name).stem, rle=first_masks[name], size=entry.size)
            for name in natural_sort(first_masks)
        },
        result_stems=frozenset(Path(name).stem for name in annotated),
        objects=tuple(objects),
    )
