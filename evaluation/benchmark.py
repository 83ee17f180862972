"""Class of a benchmark: its data, the frames and objects that count, its measure, its table and its submission."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from aotlab.dataloaders.archives import Archive
from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.archive import SubmittedResults
from aotlab.evaluation.label_scores import plan_labels
from aotlab.evaluation.metrics import measure_region_and_contour
from aotlab.evaluation.rows import COLUMNS, Row, Summary, make_davis_row, mean_row
from aotlab.evaluation.sequence_scores import METRICS, ScoringPlan
from aotlab.utils.errors import InputError, require
from aotlab.utils.plugins import MEASURE_PLUGINS, describe_plugin

VALID_LAYOUT = "valid/JPEGImages/<video>/00000.jpg, valid/Annotations/<video>/00000.png"
VALID_SPLITS = ("val", "valid", "test")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, scored as DAVIS 2017 unless a subclass says otherwise; only `read_videos` is required."""

    name: str
    strict_protocol: bool = False
    """Score objects that no annotation has, as the public evaluators do."""
    measures: tuple[str, ...] = ()
    """Measures of plug-ins, which are added to the table."""

    layout: ClassVar[str] = "folders as its page describes them"
    source: ClassVar[str] = ""
    """Web page of the download."""
    archive: ClassVar[Archive | None] = None
    """Its download; None: it is downloaded by hand, from `source`."""
    license: ClassVar[str] = ""
    """License of the data, or of annotations and data; empty: see `source`."""
    folder: ClassVar[str | None] = None
    """Folder below ``datasets/``; None: a root is required."""
    has_splits: ClassVar[bool] = True
    server_splits: ClassVar[tuple[str, ...]] = ()
    """Splits without public masks, which a server scores."""
    submission_suffix: ClassVar[str | None] = None
    """Suffix of the file that `write_submission` writes; empty: a folder; None: results are not submitted."""
    columns: ClassVar[tuple[str, ...]] = COLUMNS
    """Columns of the table of objects; the first one is the score of a frame and of a comparison."""
    lower_is_better: ClassVar[tuple[str, ...]] = ("J-Decay", "F-Decay")
    """Columns, and values of the summary, whose smallest value is the best."""
    metrics: ClassVar[tuple[str, ...]] = METRICS
    """Names of the scores that `measure` returns."""
    min_frames: ClassVar[int] = 3
    """Minimum number of annotated frames in a sequence."""
    labels_every_frame: ClassVar[bool] = False
    """Sequences with public annotations have one for every frame."""

    def read_videos(self, root: Path, split: str) -> list[Video]:
        """Read the videos of a split; raises `InputError` if files are missing or wrong."""
        raise NotImplementedError

    def plan(self, video: Video) -> ScoringPlan:
        """Return the frames and objects of a video that count, and the scorer of a frame."""
        return plan_labels(video, self.measure, strict=self.strict_protocol)

    def measure(self, annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> Sequence[float]:
        """Return the scores of an object on a frame from 0 to 1; a `Measure`, named by `metrics`."""
        return measure_region_and_contour(annotation, prediction, size)

    def make_row(self, *values: np.ndarray) -> Row:
        """Return the `columns` of an object in percent from its scores, (n,) each, of its n counted frames."""
        return make_davis_row(*values)

    def summarize(self, rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
        """Return the summary of all objects' rows; ``seen``: whether the category of each occurs in training."""
        return dict(mean_row(rows))

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        """Write the file or folder for the benchmark's server; return the number of masks in it."""
        raise NotImplementedError

    def find_root(self) -> Path:
        """Return the folder of the data if no root is given: below AOTLAB_DATA, or ``datasets/`` if unset."""
        if self.folder is None:
            raise InputError("no folder", subject=f"dataset {self.name}", remedy="give one with --root")
        return Path(os.environ.get("AOTLAB_DATA") or "datasets") / self.folder

    def open_videos(self, root: Path | None = None, split: str = "val") -> list[Video]:
        """Read the videos of a split.

        Args:
            root: folder of the data; None: `find_root`.
            split: name of the split, for benchmarks that have splits.

        Raises:
            InputError: there is no root, the benchmark has no splits, or its files are missing or wrong.
        """
        source = f"; get it from {self.source}" if self.source else ""
        folder = root if root is not None else self.find_root()
        elsewhere = "; or give its folder as --root, or the folder above as AOTLAB_DATA" if root is None else ""
        remedy = f"expected {self.name} as {self.layout}{source}{elsewhere}"
        require(folder.is_dir(), "no such folder", subject=folder, remedy=remedy)
        known = self.has_splits or split == "val"
        require(known, f"{self.name} has no splits", subject=f"--split {split}", remedy="leave the option out")
        return self.read_videos(folder, split)

    def strict(self) -> Self:
        """Return the benchmark by its strict protocol."""
        return replace(self, strict_protocol=True)

    def has_annotations(self, video: Video) -> bool:
        """Return whether the video has annotations besides the reference masks."""
        if video.object_folders:
            return any(len(item.frames) >= self.min_frames for item in video.objects)
        # without public ground truth, annotations are the masks on which listed objects begin
        num_given = len(video.reference_masks) if video.objects else 1
        return len(video.annotations) >= max(self.min_frames, num_given + 1)

    def list_unlabeled(self, video: Video) -> list[Path]:
        """Return the frames without an annotation of a video that should have one for every frame."""
        if not (self.labels_every_frame and self.has_annotations(video)):
            return []
        stems = {path.stem for path in video.annotations}
        return [path for path in video.frames if path.stem not in stems]

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Columns of the table of objects, and those of added measures."""
        return (*self.columns, *self.measures)

    def describe_measures(self) -> dict[str, Any]:
        """Return the origins of added measures as ``measures``, for `scores.json`; nothing without any."""
        origins = {name: describe_plugin(MEASURE_PLUGINS, name) for name in self.measures}
        return {"measures": origins} if origins else {}

    def list_score_names(self) -> list[str]:
        """Return the names of the values that `aotlab eval` writes to `scores.json`."""
        return [*self.summarize([dict.fromkeys(self.columns, 0.0)], [True]), "fps"]

    def name_submission(self, results: Path) -> Path:
        """Return the path of a submission beside a folder of results."""
        return Path(f"{results}{self.submission_suffix or '.submission'}")
