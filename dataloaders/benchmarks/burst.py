"""Reader of BURST. Layout as distributed (github.com/Ali2500/BURST-benchmark)."""

from __future__ import annotations

from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import read_videos, require_folder
from aotlab.media.burst import BurstSequence, find_annotation_file, read_sequences
from aotlab.media.labeled_video import ObjectInfo, ObjectMasks, Video
from aotlab.media.matching import order_names
from aotlab.utils.files import require_all_exist


def read_burst(root: Path, split: str = "val", *, all_frames: bool = False) -> list[Video]:
    """Read the sequences of a split (train, val or test), sorted by name; the first mask of each track is given.

    Frames with masks are tracked, one per second; with ``all_frames``, all are. Results are written for frames with
    masks.
    """
    path = find_annotation_file(root, split)
    images = require_folder(root / "frames" / split, "<source>/<sequence>/*.jpg in it")
    entries = {entry.name: entry for entry in read_sequences(path)}
    return read_videos(
        path, sorted(entries), lambda name: _make_video(entries[name], images, path, all_frames=all_frames)
    )


def _make_video(entry: BurstSequence, images: Path, path: Path, *, all_frames: bool) -> Video:
    annotated = order_names(entry.rle)
    names = order_names({*entry.frames, *annotated}) if all_frames else annotated
    frames = tuple(images / entry.folder / name for name in names)
    missing = [frame for frame in frames if not frame.is_file()]
    require_all_exist(missing, f"{path.name} lists these frames; unpack them there")
    objects, first_masks_by_frame = [], {}
    for object_id, track in enumerate(entry.tracks, start=1):
        stems = tuple(Path(name).stem for name in annotated if track in entry.rle[name])
        if stems:
            objects.append(ObjectInfo(object_id, stems, len(stems)))
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
