"""Reader of VOST. Layout as distributed (vostdataset.org)."""

from __future__ import annotations

from pathlib import Path

from aotlab.dataloaders.benchmarks.davis import read_list
from aotlab.dataloaders.benchmarks.metadata import from_first_mask
from aotlab.dataloaders.benchmarks.sequences import Video, list_file, list_frames, masks_of, read_each


def vost(root: Path, split: str = "val", *, all_frames: bool = False) -> list[Video]:
    """Read the videos of a split (train, val or test), sorted by name.

    The first labelled frame is given, with 255 as background. Ids that occur only in later labels are not objects.
    With ``all_frames``, the 10 frames per second of JPEGImages_10fps are tracked; results are for the 5 per second.
    """
    names = read_list(list_file(split, root / "ImageSets"))
    return read_each(names, lambda name: _read(root, name, all_frames=all_frames))


def _read(root: Path, name: str, *, all_frames: bool) -> Video:
    labelled = list_frames(root / "JPEGImages" / name)
    frames = list_frames(root / "JPEGImages_10fps" / name) if all_frames else labelled
    frames, annotations = from_first_mask(name, frames, root / "Annotations" / name)
    first = frames[0].stem
    given = masks_of(frames[:1], annotations)
    # a label before the first frame could not be predicted
    scored = tuple(path for path in annotations if path.stem >= first)
    written = frozenset(path.stem for path in (*labelled, *scored)) if all_frames else None
    return Video(name, frames, masks=given, annotations=scored, written=written, rules="vost")
