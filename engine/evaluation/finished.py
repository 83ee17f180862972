"""Which sequences of an evaluation run are done: a small file for each, so that a run goes on where it stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.sequences import Video
from aotlab.masks.id_maps import read_mask
from aotlab.masks.object_masks import ObjectMasks
from aotlab.utils.digests import sha256
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, is_file, remove
from aotlab.utils.numbers import NOT_NEGATIVE

FOLDER = ".finished"
"""of the records, in the folder of the results"""


@dataclass(frozen=True)
class Finished:
    """A sequence that ran to its last frame."""

    made_by: dict[str, Any] = field(default_factory=dict)
    """models and settings, as JSON holds them"""
    timed_frames: int = 0
    seconds: float = 0.0
    """in the tracker, on the timed frames"""
    total_seconds: float = 0.0
    """on the timed frames, with reading and writing"""


def load_finished(output: Path, video: Video, made_by: dict[str, Any], *, overlay: bool) -> Finished | None:
    """The record of a sequence that need not run again; None if it must.

    It need not if the same models and settings made it of the same files, and its results are there and readable.
    """
    try:
        record = Finished(**json.loads(_path(output, video).read_text(encoding="utf-8")))
        numbers = (record.timed_frames, record.seconds, record.total_seconds)
        if not all(number in NOT_NEGATIVE for number in numbers):
            return None
    except (OSError, ValueError, TypeError, RecursionError):
        return None  # none, or not written by this program: either way the sequence runs
    if record.made_by != {**made_by, "video": fingerprint(video)}:
        return None
    return record if _whole(output, video, overlay) else None


def save_finished(output: Path, video: Video, record: Finished) -> None:
    """Write the record of a sequence whose results are all written."""
    made_by = {**record.made_by, "video": fingerprint(video)}
    with atomic_path(_path(output, video)) as temporary:
        content = dataclasses.asdict(dataclasses.replace(record, made_by=made_by))
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def forget(output: Path, video: Video) -> None:
    """Remove the record of a sequence that is about to run, what a killed run left half written, and results as ids
    where there will be some of each object."""
    remove(_path(output, video))
    for folder in (output / video.name, output / "overlay" / video.name):
        for path in folder.rglob(".*.part.*"):
            path.unlink(missing_ok=True)
    if video.object_folders:
        for stem in video.results:
            remove(output / video.name / f"{stem}.png")


def fingerprint(video: Video) -> str:
    """A digest of what a video's results depend on besides the model: given masks, frames by name and size, options.

    Raises:
        InputError: a file is missing.
    """
    masks = [(index, _digest_of(mask)) for index, mask in sorted(video.masks.items())]
    try:
        frames = [(path.name, path.stat().st_size) for path in video.frames]
    except OSError as error:
        raise InputError(f"{error.filename}: no such picture; expected a frame of {video.name}") from error
    wanted = (video.merge_ids, video.output_height, video.results, video.objects)
    return hashlib.sha256(repr((masks, frames, wanted)).encode()).hexdigest()


def _digest_of(mask: Path | ObjectMasks) -> object:
    """What tells a given mask from others."""
    if isinstance(mask, Path):
        return sha256(mask)
    return [(identity, sha256(path)) for identity, path in sorted(mask.files.items())], sorted(
        mask.runs.items()
    )


def _whole(output: Path, video: Video, overlay: bool) -> bool:
    try:
        for stem in video.results:
            for file in video.result_files(stem):
                read_mask(output / video.name / file)
    except InputError:
        return False
    pictures = output / "overlay" / video.name
    return not overlay or all(is_file(pictures / f"{path.stem}.jpg") for path in video.frames)


def _path(output: Path, video: Video) -> Path:
    return output / FOLDER / f"{video.name}.json"
