"""YouTube-VOS 2018 and 2019: J and F of seen and unseen categories.

An object counts on all annotated frames after its first one, whose mask is given, including frames on which it is
hidden. The ground truth of the public splits is not published, nor whether the server counts the given frame; these
rules are for held-out parts of the training set. Source: Xu et al. 2018 and the challenge's guidelines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.layouts import read_youtube_vos
from aotlab.evaluation.archive import SubmittedResults, write_archive
from aotlab.evaluation.benchmark import VALID_LAYOUT, VALID_SPLITS, Benchmark
from aotlab.evaluation.label_scores import LabelScorer
from aotlab.evaluation.rows import Row, Summary, column_mean, mean_or_none, select_rows
from aotlab.evaluation.sequence_scores import ScoredObject, ScoringPlan


@dataclass(frozen=True)
class YouTubeVOS2019(Benchmark):
    """YouTube-VOS 2019."""

    layout = f"{VALID_LAYOUT}, valid/meta.json"
    source = "https://youtube-vos.org"
    license = "annotations CC BY 4.0"
    folder = "YouTubeVOS/2019"
    server_splits = VALID_SPLITS
    submission_suffix = ".zip"
    columns = ("J&F", "J", "F")
    lower_is_better = ()
    min_frames = 2

    all_frames: bool = False

    def read_videos(self, root: Path, split: str) -> list[Video]:
        return read_youtube_vos(root, split, all_frames=self.all_frames)

    def plan(self, video: Video) -> ScoringPlan:
        listed = {stem for item in video.objects for stem in item.frames}
        frames = [path for path in video.annotations if path.stem in listed]
        stems = [path.stem for path in frames]
        starts = {item: stems.index(item.frames[0]) + 1 for item in video.objects}
        counted = {item: start for item, start in starts.items() if start < len(frames)}
        first = min(counted.values(), default=0)
        ids = tuple(item.object_id for item in counted)
        return ScoringPlan(
            video.name,
            tuple(frames[first:]),
            tuple(ScoredObject(item.object_id, item.seen_in_training) for item in counted),
            LabelScorer(ids, self.measure, refuse_unknown_ids=False),
            is_counted=np.array([np.arange(first, len(frames)) >= start for start in counted.values()], bool),
        )

    def summarize(self, rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
        """Return the means over objects of seen and unseen categories; ``overall`` is the mean of these four.

        The values of an empty group are None, and then ``overall`` is too. ``J&F``, ``J`` and ``F`` cover all objects.
        """
        parts = {
            f"{column}_{name}": column_mean(select_rows(rows, seen, group), column)
            for name, group in (("seen", True), ("unseen", False))
            for column in "JF"
        }
        means = {name: column_mean(rows, name) for name in self.columns}
        return {"overall": mean_or_none(parts.values()), **parts, **means}

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        return write_archive(results, output, folder="Annotations")


@dataclass(frozen=True)
class YouTubeVOS2018(YouTubeVOS2019):
    """YouTube-VOS 2018."""

    folder = "YouTubeVOS/2018"
