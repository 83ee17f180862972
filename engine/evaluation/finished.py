"""Finished sequences of an evaluation run: a record for each, by which the run resumes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.sequences import Video
from aotlab.engine.records import load_record, save_record
from aotlab.masks.id_maps import read_mask
from aotlab.masks.object_masks import ObjectMasks
from aotlab.utils.digests import sha256
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, remove

FOLDER = ".finished"
"""folder of the records in the result folder"""


@dataclass(frozen=True)
class Finished:
    """A sequence tracked to its last frame."""

    made_by: str = ""
    """digest of everything the results depend on"""
    settings: str = ""
    """digest of the models and settings among that"""
    timed_frames: int = 0
    seconds: float = 0.0
    """seconds in the tracker on the timed frames"""
    total_seconds: float = 0.0
    """seconds on the timed frames with reading and writing"""


def load_finished(output: Path, video: Video, made_by: dict[str, Any], *, overlay: bool) -> Finished | None:
    """Return the record of a finished sequence, or None if it must run.

    It is finished if models, settings and files are the same and its results are complete and readable.
    """
    record = load_record(_path(output, video), Finished)
    if record is None or record.made_by != fingerprint(video, made_by):
        return None
    return record if _whole(output, video, overlay) else None


def save_finished(output: Path, video: Video, made_by: dict[str, Any], record: Finished) -> None:
    """Write the record of a sequence with complete results."""
    made = replace(record, made_by=fingerprint(video, made_by), settings=_digest(made_by))
    save_record(_path(output, video), made)


def refuse_others(output: Path, videos: Sequence[Video], made_by: dict[str, Any]) -> None:
    """Refuse to mix results with those of other models or settings.

    Raises:
        InputError: a sequence has results of others.
    """
    for video in videos:
        record = load_record(_path(output, video), Finished)
        if record is not None and record.settings not in ("", _digest(made_by)):
            raise InputError(
                f"output {output}: holds results of other models or settings ({video.name}); choose another folder, or "
                "replace them with --force"
            )


def forget(output: Path, video: Video) -> None:
    """Remove the record and temporary files of a sequence before it runs, and id results if it writes a folder per
    object."""
    remove(_path(output, video))
    for folder in (output / video.name, output / "overlay" / video.name):
        for path in folder.rglob(".*.part.*"):
            path.unlink(missing_ok=True)
    if video.object_folders:
        for stem in video.results:
            remove(output / video.name / f"{stem}.png")


def fingerprint(video: Video, made_by: dict[str, Any]) -> str:
    """Return a digest of the inputs of a video: models, given masks, frames by name and size, options.

    Raises:
        InputError: a file is missing.
    """
    masks = [(index, _digest_of(mask)) for index, mask in sorted(video.masks.items())]
    try:
        frames = [(path.name, path.stat().st_size) for path in video.frames]
    except OSError as error:
        raise InputError(f"{error.filename}: no such image; expected a frame of {video.name}") from error
    wanted = (video.merge_ids, video.output_height, video.results, video.objects)
    return hashlib.sha256(repr((made_by, masks, frames, wanted)).encode()).hexdigest()


def _digest(made_by: dict[str, Any]) -> str:
    return hashlib.sha256(repr(made_by).encode()).hexdigest()


def _digest_of(mask: Path | ObjectMasks) -> object:
    """Return a value that identifies a given mask."""
    if isinstance(mask, Path):
        return sha256(mask)
    return [(object_id, sha256(path)) for object_id, path in sorted(mask.files.items())], sorted(
        mask.runs.items()
    )


def _whole(output: Path, video: Video, overlay: bool) -> bool:
    try:
        for stem in video.results:
            for file in video.result_files(stem):
                read_mask(output / video.name / file)
    except InputError:
        return False
    images = output / "overlay" / video.name
    return not overlay or all(is_file(images / f"{path.stem}.jpg") for path in video.frames)


def _path(output: Path, video: Video) -> Path:
    return output / FOLDER / f"{video.name}.json"
