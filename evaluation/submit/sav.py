"""Folders of binary PNGs of each object, for the server of SA-V."""

from pathlib import Path

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import find_masks_folder
from aotlab.evaluation.sav import read_object_results
from aotlab.evaluation.sequence_scores import raise_if_unknown
from aotlab.evaluation.submit.results import SubmittedResults
from aotlab.media.masks import write_mask
from aotlab.media.matching import list_image_files
from aotlab.utils.errors import output_exists_error, require
from aotlab.utils.locks import LOCK_SUFFIX, locked_output, staging_folder


def write_object_folders(results: SubmittedResults, output: Path) -> int:
    """Write a folder of 0/1 PNGs for each object, named like its annotations; return the number of files.

    For each video, the results are id PNGs, or one folder of binary PNGs per object. Raises `InputError` if the output
    has files that are not of an earlier submission.
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
