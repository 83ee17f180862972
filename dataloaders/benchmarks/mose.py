"""Reader of MOSE, first and second version. Layouts as distributed (henghuiding.github.io/MOSE, mose.video)."""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import ObjectInfo, Video

log = logging.getLogger(__name__)


def read_mose(root: Path, split: str, *, version: int = 1) -> list[Video]:
    """Read the videos of a split (train, val or valid), sorted by name.

    Videos with one frame, which occur in the first archive of train, are skipped. The second version lists its objects
    in meta.json, if it exists.
    """
    folder = sequences.find_split_folder(root, split)
    path = folder / "meta.json"
    listed = sequences.read_metadata(path) if version == 2 and path.is_file() else None

    def read(name: str) -> Video:
        """Read a video; in the second version, with the objects of the metadata."""
        video = sequences.read_video(name, folder / "JPEGImages" / name, folder / "Annotations" / name)
        if listed is not None:
            stems = tuple(frame.stem for frame in video.frames)  # all objects have a mask on the first frame
            objects = sequences.read_objects(
                path, name, listed.get(name, {}), lambda object_id, _: ObjectInfo(object_id, stems)
            )
            video = replace(video, objects=objects)
        return replace(video, rules="mosev2") if version == 2 else video

    names = sequences.list_subfolders(folder / "JPEGImages")
    short = [name for name in names if len(sequences.list_images_by_stem(folder / "JPEGImages" / name)) == 1]
    if short:
        log.warning("%s: skipped, as they have one frame: %s", folder, ", ".join(short))
    return sequences.read_videos(folder, [name for name in names if name not in short], read)


read_mosev2 = partial(read_mose, version=2)
