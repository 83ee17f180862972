"""SA-V, whose objects may overlap: a folder of binary PNGs for each, scored separately.

An object's first and last annotated frame do not count, nor do frames before the first pixel of its annotation or
prediction; objects without pixels in their scored annotations are skipped. Source: Ravi et al. 2024 and the public
evaluator; layout as distributed (ai.meta.com/datasets/segment-anything-video).
"""

import re
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import numpy as np

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import ObjectInfo, Video
from aotlab.evaluation.archive import SubmittedResults
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.object_scores import ObjectScorer, read_object_results
from aotlab.evaluation.sequence_scores import ScoredObject, ScoringPlan, raise_if_unknown
from aotlab.media.masks import VOID, read_mask, write_mask
from aotlab.media.names import list_image_files, natural_sort
from aotlab.utils.errors import output_exists_error, require
from aotlab.utils.files import require_none_missing
from aotlab.utils.locks import LOCK_SUFFIX, locked_output, staging_folder
from aotlab.utils.run_folder import find_masks_folder

FRAMES, MASKS = "JPEGImages_24fps", "Annotations_6fps"


@dataclass(frozen=True)
class SAV(Benchmark):
    """SA-V."""

    layout = (
        "sav_val/JPEGImages_24fps/<video>/00000.jpg, sav_val/Annotations_6fps/<video>/<object>/00000.png, "
        "sav_val/sav_val.txt, the same in sav_test"
    )
    source = "https://ai.meta.com/datasets/segment-anything-video-downloads"
    license = "CC BY 4.0"
    folder = "SA-V"
    submission_suffix = ""

    def read_videos(self, root: Path, split: str) -> list[Video]:
        """Read the videos of a split (val or test), sorted by name; ``root`` may be the folder of the split.

        An object is a folder of binary PNGs (``000`` is object 1); its first mask with a pixel is given. All frames are
        tracked; results are written for frames with masks, also of objects without pixels, which the public evaluator
        requires.
        """
        folder = root / f"sav_{split}" if (root / f"sav_{split}").is_dir() else root
        names, listed = sequences.list_subfolders(folder / MASKS), folder / f"sav_{split}.txt"
        names = sorted(sequences.read_names(listed)) if listed.is_file() else names

        def read(name: str) -> Video:
            return _read_video(name, folder / FRAMES / name, folder / MASKS / name)

        return sequences.read_videos(folder, names, read)

    def plan(self, video: Video) -> ScoringPlan:
        """Plan the scoring of a video; reads all annotations."""
        folders, present = video.object_folders, dict[int, dict[str, bool]]()
        for object_id in sorted(folders):
            files = list_image_files(folders[object_id], (".png",))[1:-1]
            has_pixels = {path.stem: bool(read_mask(path).any()) for path in files}
            if any(has_pixels.values()):
                present[object_id] = has_pixels
        stems = natural_sort({stem for frames in present.values() for stem in frames})
        return ScoringPlan(
            video.name,
            tuple(Path(f"{stem}.png") for stem in stems),
            tuple(ScoredObject(object_id, folder=folders[object_id].name) for object_id in present),
            ObjectScorer(
                {object_id: folders[object_id] for object_id in present},
                self.measure,
                frozenset(folders.keys() - present.keys()),
            ),
            is_counted=np.array([[stem in frames for stem in stems] for frames in present.values()], bool),
            object_present=np.array([[frames.get(stem, False) for stem in stems] for frames in present.values()], bool),
        )

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        """Write a folder of 0/1 PNGs for each object, named like its annotations; return the number of files.

        For each video, the results are id PNGs, or one folder of binary PNGs per object. Raises `InputError` if the
        output has files that are not of an earlier submission.
        """
        videos = results.videos
        sources = {folder.parents[1].resolve() for video in videos for folder in video.object_folders.values()}
        is_input = output.resolve() in {results.folder.resolve(), *sources}
        require(
            not is_input, "the folder of the annotations or the results", subject=output, remedy="choose another folder"
        )
        count = 0
        with locked_output(output), staging_folder(output) as new:
            files = {path for path in output.rglob("*") if path.is_file()}
            if others := files - {output / LOCK_SUFFIX, *output.glob("*/*/*.png")}:
                raise output_exists_error(output, f"{min(others).relative_to(output)}, which is not of a submission")
            for video in videos:
                folders, masks_folder = video.object_folders, find_masks_folder(results.folder / video.name)
                names = {path.name for folder in folders.values() for path in list_image_files(folder, (".png",))}
                for name in sorted(names):
                    masks, unknown = read_object_results(masks_folder, name, folders)
                    raise_if_unknown(unknown, folders, masks_folder / name)
                    for object_id, (_, mask) in masks.items():
                        write_mask(new / video.name / folders[object_id].name / name, mask.astype(np.uint8))
                    count += len(masks)
        return count


def _read_video(name: str, images: Path, source: Path) -> Video:
    frames = sequences.list_frames(images)
    folders = {_parse_object_id(source / item): source / item for item in sequences.list_subfolders(source)}
    masks = {object_id: sequences.list_masks(folders[object_id]) for object_id in sorted(folders)}
    objects, first_masks = [], dict[str, dict[int, Path]]()
    for object_id, paths in masks.items():
        visible = tuple(dropwhile(lambda path: not read_mask(path).any(), paths))
        if visible:
            stems = tuple(path.stem for path in visible)
            objects.append(ObjectInfo(object_id, stems))
            first_masks.setdefault(stems[0], {})[object_id] = visible[0]
    indices = {path.stem: index for index, path in enumerate(frames)}
    missing = [frames[0].with_name(f"{stem}.jpg") for stem in sorted(first_masks.keys() - indices.keys())]
    require_none_missing(missing, "objects begin on these frames; unpack them there")
    return Video(
        name,
        frames,
        {indices[stem]: first_masks[stem] for stem in sorted(first_masks)},
        result_stems=frozenset(path.stem for paths in masks.values() for path in paths),
        objects=tuple(objects),
        object_folders={object_id: folders[object_id] for object_id in masks},
    )


def _parse_object_id(folder: Path) -> int:
    """Return the object id of a folder, one more than its number; raise `InputError` for other names."""
    valid = re.fullmatch("[0-9]{1,3}", folder.name) and int(folder.name) + 1 < VOID
    require(valid, f"expected a folder 000, 001 and so on for each object, up to {VOID - 2}", subject=folder)
    return int(folder.name) + 1
