"""Records of the finished sequences of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aotlab.dataloaders.benchmarks.labeled_video import ObjectMasks, Video
from aotlab.dataloaders.benchmarks.object_masks import list_mask_files
from aotlab.media.masks import read_mask
from aotlab.utils.errors import InputError, output_exists_error
from aotlab.utils.files import SYSTEM_FILES, digest_samples, reading, remove, sha256
from aotlab.utils.locks import remove_leftovers
from aotlab.utils.versioned_files import FileKind, read_versioned, write_versioned

RECORD_FOLDER = ".finished"
"""Folder of the records in the result folder."""
SEQUENCE_KIND = FileKind("record of a run", 1, "the sequence is tracked again")


@dataclass(frozen=True)
class SequenceRecord:
    """Record of a sequence tracked to its last frame."""

    fingerprint: str = ""
    """Digest of the models, settings, frames and masks that the results depend on."""
    settings: str = ""
    """Digest of the models and settings only."""
    timed_frames: int = 0
    seconds: float = 0.0
    """Seconds in the tracker on the timed frames."""


class Records:
    """Records of the finished sequences in a result folder, which a later run skips."""

    def __init__(self, output: Path, origin: Mapping[str, Any], videos: Sequence[Video], *, force: bool) -> None:
        """Read the records of earlier runs.

        Args:
            output: the result folder.
            origin: models and settings as JSON values.
            videos: videos to be tracked.
            force: accept results of other models and settings, to replace them.
        """
        self.output, self.origin = output, origin
        self._records: dict[str, SequenceRecord] = {}
        for video in videos:
            names = {path.name for path in (output / video.name).glob("*")} - {*SYSTEM_FILES}
            if names and not self._path(video).exists():
                raise output_exists_error(output, f"{video.name}, which no record lists")
            record = read_versioned(self._path(video), SEQUENCE_KIND, lambda values: SequenceRecord(**values))
            if record is None:
                continue
            if record.settings not in ("", _digest(origin)) and not force:
                content = f"results of other models or settings ({video.name})"
                raise output_exists_error(output, content, suggest_force=True)
            self._records[video.name] = record

    def finished(self, video: Video) -> SequenceRecord | None:
        """Return the record of a sequence; None if made by other models, settings or files, or results are missing."""
        record = self._records.get(video.name)
        if record is None or record.fingerprint != self._fingerprint(video):
            return None
        try:
            for stem in video.written_stems:
                for file in video.result_files(stem):
                    read_mask(self.output / video.name / file)
        except InputError:
            return None
        return record

    def begin(self, video: Video) -> None:
        """Record a sequence as unfinished and remove its earlier results, before it is tracked.

        Otherwise an interrupted run would leave masks of two models, which nothing tells apart.
        """
        write_versioned(self._path(video), SEQUENCE_KIND, asdict(SequenceRecord()))
        remove_leftovers(self.output / RECORD_FOLDER, f"{video.name}.json")
        folder = self.output / video.name
        for part in (folder, *filter(Path.is_dir, folder.glob("*"))):  # of single objects
            remove_leftovers(part)
        for stem in video.written_stems:
            for file in video.result_files(stem):
                remove(folder / file)

    def save(self, video: Video, record: SequenceRecord) -> None:
        """Write the record of a sequence with its digests."""
        fingerprint, settings = self._fingerprint(video), _digest(self.origin)
        record = replace(record, fingerprint=fingerprint, settings=settings)
        write_versioned(self._path(video), SEQUENCE_KIND, asdict(record))

    def _path(self, video: Video) -> Path:
        return self.output / RECORD_FOLDER / f"{video.name}.json"

    def _fingerprint(self, video: Video) -> str:
        """Return a digest of the inputs of a video: models, reference masks, samples of the frames, options."""
        masks: list[object] = []
        for index, mask in sorted(video.reference_masks.items()):
            masks.append((index, [sha256(path) for path in list_mask_files(mask)]))
            if isinstance(mask, ObjectMasks):
                masks.append((sorted(mask.files), sorted(mask.rle.items())))
        with reading(video.name, "restore its frames"):
            frames = [(path.name, digest_samples(path)) for path in video.frames]
        options = video.merge_ids, video.output_height, video.written_stems, video.objects
        return _digest((self.origin, masks, frames, *options))


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
