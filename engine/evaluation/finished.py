"""Finished sequences of an evaluation run: a record for each, by which the run resumes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.sequences import Video
from aotlab.media.masks import read_mask
from aotlab.media.object_masks import ObjectMasks
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_file, remove, sha256
from aotlab.utils.versioned_json import load_record, save_record

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


class RunRecords:
    """Records of the sequences in a result folder, read once."""

    def __init__(
        self, output: Path, videos: Sequence[Video], made_by: dict[str, Any] | None, *, force: bool = False
    ) -> None:
        """Read the records of a run.

        Args:
            made_by: models and settings as JSON values; None: no records are read or written.
            force: ignore records of other models or settings.

        Raises:
            InputError: a sequence has results of other models or settings.
        """
        self._output, self._made_by = output, made_by
        self._found: dict[str, Finished] = {}
        for video in videos if made_by is not None else ():
            record = load_record(_path(output, video), Finished)
            if record is None:
                continue
            if record.settings not in ("", _digest(made_by)) and not force:
                raise InputError(
                    f"output {output}: holds results of other models or settings ({video.name}); choose another folder "
                    "or replace them with --force"
                )
            self._found[video.name] = record

    def finished(self, video: Video, *, overlay: bool) -> Finished | None:
        """Return the record of a sequence with the same models, settings and files and whole results, else None."""
        record = self._found.get(video.name)
        if record is None or record.made_by != fingerprint(video, self._made_by):
            return None
        folder, images = self._output / video.name, self._output / "overlay" / video.name
        try:
            for file in (file for stem in video.results for file in video.result_files(stem)):
                read_mask(folder / file)
        except InputError:
            return None
        drawn = not overlay or all(is_file(images / f"{path.stem}.jpg") for path in video.frames)
        return record if drawn else None

    def save(self, video: Video, record: Finished) -> None:
        """Write the record of a sequence with complete results."""
        if self._made_by is not None:
            made_by, settings = fingerprint(video, self._made_by), _digest(self._made_by)
            save_record(_path(self._output, video), replace(record, made_by=made_by, settings=settings))


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


def fingerprint(video: Video, made_by: dict[str, Any] | None) -> str:
    """Return a digest of the inputs of a video: models, given masks, frames by name and size, options."""
    masks = [(index, _digest_of(mask)) for index, mask in sorted(video.masks.items())]
    try:
        frames = [(path.name, path.stat().st_size) for path in video.frames]
    except OSError as error:
        raise InputError(f"{error.filename}: no such image; expected a frame of {video.name}") from error
    wanted = (video.merge_ids, video.output_height, video.results, video.objects)
    return hashlib.sha256(repr((made_by, masks, frames, wanted)).encode()).hexdigest()


def _digest(made_by: dict[str, Any] | None) -> str:
    return hashlib.sha256(repr(made_by).encode()).hexdigest()


def _digest_of(mask: Path | ObjectMasks) -> object:
    if isinstance(mask, Path):
        return sha256(mask)
    return [(object_id, sha256(path)) for object_id, path in sorted(mask.files.items())], sorted(
        mask.runs.items()
    )


def _path(output: Path, video: Video) -> Path:
    return output / FOLDER / f"{video.name}.json"
