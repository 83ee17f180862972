"""Results in a workspace of the VOT toolkit, whose ``vot pack`` makes the archive for the server of VOTSr."""

from collections.abc import Callable, Iterable
from hashlib import md5
from pathlib import Path

import numpy as np

from aotlab.dataloaders.benchmarks.labeled_video import Video, find_masks_folder
from aotlab.dataloaders.benchmarks.vot import find_sequences, format_box, format_mask, read_texts
from aotlab.evaluation.submit.results import SubmittedResults
from aotlab.media.masks import read_mask
from aotlab.utils.errors import output_exists_error
from aotlab.utils.files import require_none_missing, write_text
from aotlab.utils.locks import LOCK_SUFFIX, locked_output, staging_folder

EXPERIMENT = "baseline"
"""Name of the experiment in the toolkit's stacks."""
FIRST_FRAME = "1"
"""Line of the frame whose mask was given."""


def write_referral(results: SubmittedResults, output: Path) -> int:
    """Write ``baseline/<sequence>/<sequence>_<hash>.txt`` for each text of VOTSr; return the number of lines.

    The masks of text k, counted from 1, are ``<sequence>/<k>/<frame>.png``, nonzero where its object is, also in a
    folder of ``aotlab track``. The hash is the first eight digits of the text's MD5.
    """
    root = find_sequences(results.root)

    def list_files(video: Video) -> Iterable[tuple[str, list[str]]]:
        for number, text in enumerate(read_texts(root / video.name), start=1):
            digest = md5(text.encode(), usedforsecurity=False).hexdigest()[:8]
            masks = _list_results(video, results.folder / video.name / str(number))
            yield f"{video.name}_{digest}", [format_mask(_read_object(path)) for path in masks]

    return _write_files(results, output, list_files)


def write_boxes(results: SubmittedResults, output: Path) -> int:
    """Write ``baseline/<sequence>/<sequence>_001.txt`` of the boxes around the masks; return the number of lines."""

    def list_files(video: Video) -> Iterable[tuple[str, list[str]]]:
        masks = _list_results(video, results.folder / video.name)
        yield f"{video.name}_001", [FIRST_FRAME, *(format_box(_read_object(path)) for path in masks[1:])]

    return _write_files(results, output, list_files)


def _read_object(path: Path) -> np.ndarray:
    """Return the mask of a result with one object, H×W bool."""
    return read_mask(path) > 0


def _list_results(video: Video, folder: Path) -> list[Path]:
    """Return the masks of all frames in temporal order."""
    paths = [find_masks_folder(folder) / f"{frame.stem}.png" for frame in video.frames]
    missing = [path for path in paths if not path.is_file()]
    require_none_missing(missing, f"expected {len(paths)} masks, one for each frame")
    return paths


def _write_files(
    results: SubmittedResults, output: Path, list_files: Callable[[Video], Iterable[tuple[str, list[str]]]]
) -> int:
    """Write the lines of each file of a sequence, named without its suffix; return the number of lines."""
    count = 0
    with locked_output(output), staging_folder(output) as new:
        files = {path for path in output.rglob("*") if path.is_file()}
        if others := files - {output / LOCK_SUFFIX, *output.glob(f"{EXPERIMENT}/*/*.txt")}:
            raise output_exists_error(output, f"{min(others).relative_to(output)}, which is not of a submission")
        for video in results.videos:
            for name, lines in list_files(video):
                write_text(new / EXPERIMENT / video.name / f"{name}.txt", "".join(f"{line}\n" for line in lines))
                count += len(lines)
    return count
