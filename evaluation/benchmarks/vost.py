"""VOST: DAVIS's frames and J only, also after the transformation.

Source: Tokmakov et al. 2023 and the public evaluator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.layouts import read_vost
from aotlab.evaluation.archive import SubmittedResults, write_archive
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.label_scores import plan_labels
from aotlab.evaluation.metrics import region_similarity
from aotlab.evaluation.rows import Row, compute_statistics
from aotlab.evaluation.sequence_scores import ScoringPlan


@dataclass(frozen=True)
class VOST(Benchmark):
    """VOST."""

    layout = "JPEGImages/<sequence>/frame00012.jpg, Annotations/<sequence>/frame00012.png, ImageSets/<split>.txt"
    source = "https://www.vostdataset.org"
    folder = "VOST"
    server_splits = ("test",)
    submission_suffix = ".zip"
    columns = ("J", "J-Recall", "J-Decay", "J_tr", "J_tr-Recall", "J_tr-Decay")
    lower_is_better = ("J-Decay", "J_tr-Decay")
    metrics = ("J",)

    all_frames: bool = False

    def read_videos(self, root: Path, split: str) -> list[Video]:
        return read_vost(root, split, all_frames=self.all_frames)

    def plan(self, video: Video) -> ScoringPlan:
        return plan_labels(video, self.measure, refuse_unknown_ids=False, strict=self.strict_protocol)

    def measure(self, annotation: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> Sequence[float]:
        return (region_similarity(annotation, prediction),)

    def make_row(self, *values: np.ndarray) -> Row:
        """Return J (n,) of one object over all frames, and as J_tr over the last quarter, after the transformation.

        The last quarter starts at three quarters, rounded down.
        """
        (region,) = values
        return compute_statistics("J", region) | compute_statistics("J_tr", region[3 * len(region) // 4 :])

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        return write_archive(results, output)
