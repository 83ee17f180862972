"""Reader of BURST. Layout as distributed (github.com/Ali2500/BURST-benchmark)."""

from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import read_videos, require_folder
from aotlab.media.burst import BurstSequence, find_annotation_file, read_sequences
from aotlab.media.labeled_video import ObjectInfo, ObjectMasks, Video
from aotlab.media.matching import order_names
from aotlab.utils.files import raise_if_missing


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
    raise_if_missing(missing, f"{path.name} lists these frames; unpack them there")
    objects, first_masks = [], dict[str, dict[int, str]]()
    for object_id, track in enumerate(entry.tracks, start=1):
        visible = [name for name in annotated if track in entry.rle[name]]
        if visible:
            stems = tuple(Path(name).stem for name in visible)
            objects.append(ObjectInfo(object_id, stems, len(stems)))
            first_masks.setdefault(visible[0], {})[object_id] = entry.rle[visible[0]][track]
    return Video(
        entry.name,
        frames,
        reference_masks={
            names.index(name): ObjectMasks(path, Path(name).stem, rle=first_masks[name], size=entry.size)
            for name in order_names(first_masks)
        },
        result_stems=frozenset(Path(name).stem for name in annotated),
        objects=tuple(objects),
    )
