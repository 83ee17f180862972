"""MOSE: scored as DAVIS 2017. Layout as distributed (henghuiding.github.io/MOSE)."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import ObjectInfo, Video
from aotlab.evaluation.archive import SubmittedResults, write_archive
from aotlab.evaluation.benchmark import VALID_LAYOUT, VALID_SPLITS, Benchmark

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MOSE(Benchmark):
    """MOSE, first version."""

    layout = VALID_LAYOUT
    source = "https://henghuiding.github.io/MOSE"
    license = "CC BY-NC-SA 4.0"
    folder = "MOSE"
    server_splits = VALID_SPLITS
    submission_suffix = ".zip"
    labels_every_frame = True

    def read_videos(self, root: Path, split: str) -> list[Video]:
        return read_mose(root, split)

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        return write_archive(results, output)


def read_mose(root: Path, split: str, *, list_objects: bool = False) -> list[Video]:
    """Read the videos of a split (train, val or valid), sorted by name.

    Videos with one frame, which occur in the first archive of train, are skipped. With ``list_objects``, the objects
    are those of meta.json, if it exists.
    """
    folder = sequences.find_split_folder(root, split)
    path = folder / "meta.json"
    listed = sequences.read_metadata(path) if list_objects and path.is_file() else None

    def read(name: str) -> Video:
        video = sequences.read_video(name, folder / "JPEGImages" / name, folder / "Annotations" / name)
        if listed is None:
            return video
        stems = tuple(frame.stem for frame in video.frames)  # all objects have a mask on the first frame
        entries = listed.get(name, {})
        objects = sequences.read_objects(path, name, entries, lambda object_id, _: ObjectInfo(object_id, stems))
        return replace(video, objects=objects)

    names = sequences.list_subfolders(folder / "JPEGImages")
    short = [name for name in names if len(sequences.list_images_by_stem(folder / "JPEGImages" / name)) == 1]
    if short:
        log.warning("%s: skipped, as they have one frame: %s", folder, ", ".join(short))
    return sequences.read_videos(folder, [name for name in names if name not in short], read)
