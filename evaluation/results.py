"""Folders of results of many sequences: a folder of PNGs per sequence, and a line for each finished one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import Self

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import list_mask_files
from aotlab.media.masks import read_mask
from aotlab.utils.digests import digest_values
from aotlab.utils.errors import InputError, output_exists_error
from aotlab.utils.files import list_files, reading, remove, require_none_missing, sha256
from aotlab.utils.run_folder import RunFolder, describe_changes

SCORES_FILE = "scores.json"


@dataclass(kw_only=True)
class SequenceResults(RunFolder):
    """Results of many sequences."""

    journal = "sequences.jsonl"
    owned = (SCORES_FILE,)

    sequences: list[str] = field(default_factory=list)
    """Names of the sequences that this and earlier runs were asked for."""

    def record(self) -> dict[str, Any]:
        """Return the values of the record."""
        return {**super().record(), "sequences": self.sequences}

    @classmethod
    def check_entry(cls, entry: dict[str, Any]) -> None:
        """Raise an error if the line of a sequence does not name it."""
        if not isinstance(entry["sequence"], str):
            raise ValueError(f"a line with sequence {entry['sequence']!r:.40}")

    def list_written(self) -> set[str]:
        """Return the names of the folders of sequences."""
        return {*self.sequences}

    def list_files(self) -> Iterator[str]:
        """Yield the paths of the masks of all sequences, and of the scores."""
        yield from super().list_files()
        for name in self.sequences:
            yield from (file for file in list_files(self.folder, name) if file.endswith(".png"))

    def open(self, *, force: bool = False) -> Self:
        """Return the results in the folder if their inputs are the same, else these; `RunFolder.open` has the rules."""
        results = super().open(force=force)
        if new := {*self.sequences} - {*results.sequences}:
            for name in sorted(new):
                if any(list_files(self.folder, name)) and not results.replaced:
                    raise output_exists_error(self.folder, f"{name}, which aotlab did not write")
            results.sequences = sorted({*results.sequences} | new)
            results.save()
        return results


@dataclass(kw_only=True)
class VotedResults(SequenceResults):
    """Results of voting on other results."""

    kind = "vote"


@dataclass(kw_only=True)
class BenchmarkResults(SequenceResults):
    """Results of one model, or of one merging of several, on the sequences of a data set."""

    kind = "benchmark"

    def find_finished(self, video: Video, inputs: Mapping[str, Any], *, force: bool = False) -> dict[str, Any] | None:
        """Return the line of a finished sequence; None without one, or if a result is missing or damaged.

        Raises:
            InputError: its frames or masks have changed since, unless ``force`` tracks it again.
        """
        entry = next((entry for entry in reversed(self.entries) if entry["sequence"] == video.name), None)
        if entry is None:
            return None
        if changes := describe_changes(entry["inputs"], inputs):
            if force:
                return None
            raise InputError(
                f"{changes}, in {self.folder}",
                subject=video.name,
                remedy="choose another output, or track it again with --force",
            )
        try:
            for file in self._list_masks(video):
                read_mask(file)
        except InputError:
            return None
        return entry

    def begin_sequence(self, video: Video) -> None:
        """Remove earlier results of a sequence, which may be those of a killed run, or a link in their place."""
        remove(self.folder / video.name)

    def finish_sequence(self, video: Video, inputs: Mapping[str, Any], seconds: Sequence[float]) -> dict[str, Any]:
        """Add the line of a finished sequence; raise `InputError` if masks were removed meanwhile.

        ``seconds``: of its frames in the tracker, the first is not timed.
        """
        missing = [path for path in self._list_masks(video) if not path.is_file()]
        require_none_missing(missing, "masks were removed during the run; start it again")
        total = round(sum(seconds[1:]), 6)
        entry = {"sequence": video.name, "inputs": inputs, "timed_frames": len(seconds) - 1, "seconds": total}
        self.add(entry)
        return entry

    def _list_masks(self, video: Video) -> Iterator[Path]:
        folder = self.folder / video.name
        return (folder / file for stem in video.written_stems for file in video.result_files(stem))


def fingerprint_sequence(video: Video) -> dict[str, Any]:
    """Return the frames, given masks and options of a sequence as inputs; raise `InputError` if one is missing."""
    masks: list[object] = []
    for index, mask in sorted(video.reference_masks.items()):
        masks.append((index, [sha256(path) for path in list_mask_files(mask)]))
        if isinstance(mask, Mapping):
            masks.append(sorted(mask))
    with reading(video.name, "restore its frames"):
        frames = digest_values((path.name, sha256(path)) for path in video.frames)
    options = video.merge_ids, video.output_height, video.written_stems, video.objects
    return {
        "frames": {"sha256": frames},
        "masks": {"sha256": digest_values(masks)},
        "options": {"sha256": digest_values(options)},
    }


def require_outside_data(videos: Sequence[Video], output: Path) -> None:
    """Raise `InputError` if results would overwrite frames or annotations."""
    for video in videos:
        mask_files = [path for mask in video.reference_masks.values() for path in list_mask_files(mask)]
        sources = {path.parent.resolve() for path in (*video.frames, *video.annotations, *mask_files)} | {
            folder.parent.resolve() for folder in video.object_folders.values()
        }
        if (output / video.name).resolve() in sources:
            raise InputError("is part of the data set", subject=output, remedy="choose another folder")
