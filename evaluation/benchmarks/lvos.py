"""LVOS, first and second version, scored as by its evaluator since version 2.

The metadata list every fifth frame of an object. The first of these and the last one of ``frame_nums`` do not count;
frames of ``frame_nums`` that are not listed count as 0. V is the variation of the per-frame score over time.
Source: Hong et al. 2023 and the public evaluator; layout as distributed (lingyihongfd.github.io/lvos.github.io).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import ObjectInfo, Video
from aotlab.evaluation.archive import SubmittedResults, write_archive
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.label_scores import LabelScorer
from aotlab.evaluation.rows import Row, Summary, column_mean, make_davis_row, mean_or_none, select_rows
from aotlab.evaluation.sequence_scores import ScoredObject, ScoringPlan
from aotlab.media.names import natural_sort
from aotlab.utils.files import require_none_missing

MAX_FRAME = 10**7
"""Largest frame number in the metadata."""
FrameNumber = Annotated[int, Field(ge=0, le=MAX_FRAME)]
FRAME_STEP = 5
"""Interval between labeled frames."""


@dataclass(frozen=True)
class LVOSv2(Benchmark):
    """LVOS, second version."""

    layout = "valid/JPEGImages/<video>/00000001.jpg, valid/Annotations/<video>/00000001.png, valid/valid_meta.json"
    source = "https://lingyihongfd.github.io/lvos.github.io"
    license = "annotations CC BY 4.0, data for non-commercial research only"
    folder = "LVOSv2"
    server_splits = ("test",)
    submission_suffix = ".zip"
    columns = ("J&F", "J", "F", "V")
    lower_is_better = ("V", "V_seen", "V_unseen")
    min_frames = 2

    def read_videos(self, root: Path, split: str) -> list[Video]:
        """Read the videos of a split (train, val or valid, test), sorted by name.

        All masks of train and valid are public, but only the first one of each object is given. Test has no others.
        """
        folder = sequences.find_split_folder(root, split)
        names = sequences.list_subfolders(folder / "JPEGImages")
        in_folder, in_root = (sequences.read_optional_list(path / "unseen_videos.txt") for path in (folder, root))
        unseen = in_folder or in_root
        paths = [folder / f"{name}_meta.json" for name in (folder.name, split, "valid", "val")]
        path = next((path for path in paths if path.is_file()), paths[0])
        meta = None if split == "test" else sequences.read_metadata(path)

        def read(name: str) -> Video:
            """Read a video and its metadata."""
            frames, masks = sequences.list_frames(folder / "JPEGImages" / name), folder / "Annotations" / name
            annotations = sequences.list_masks(masks)
            objects: tuple[ObjectInfo, ...] = ()
            masks_by_frame = sequences.match_masks(frames, annotations)
            if meta is not None:
                objects = sequences.read_objects(path, name, meta.get(name, {}), _read_object)
                masks_by_frame = sequences.find_first_masks(frames, annotations, objects, masks)
            seen = None if unseen is None else name not in unseen
            return Video(
                name,
                frames,
                reference_masks=masks_by_frame,
                annotations=() if meta is None else annotations,
                objects=objects,
                seen_in_training=seen,
            )

        return sequences.read_videos(folder, names, read)

    def plan(self, video: Video) -> ScoringPlan:
        annotations = {path.stem: path for path in video.annotations}
        items = [item for item in video.objects if item.num_frames > 2]
        counted_stems = [frozenset(item.frames[1 : item.num_frames - 1]) for item in items]
        stems = natural_sort(frozenset[str]().union(*counted_stems))
        missing = [Path(video.name, f"{stem}.png") for stem in stems if stem not in annotations]
        require_none_missing(missing, "the metadata lists these annotations")
        objects = [
            ScoredObject(item.object_id, video.seen_in_training, missing_frames=item.num_frames - 2 - len(frames))
            for item, frames in zip(items, counted_stems, strict=True)
        ]
        return ScoringPlan(
            video.name,
            tuple(annotations[stem] for stem in stems),
            tuple(objects),
            LabelScorer(tuple(item.object_id for item in items), self.measure, refuse_unknown_ids=False),
            is_counted=np.array([[stem in frames for stem in stems] for frames in counted_stems], dtype=bool),
        )

    def make_row(self, *values: np.ndarray) -> Row:
        region, contour = values
        mean = (region + contour) / 2
        deviation = float(np.sqrt(np.round(mean.var(), 4)))  # the public evaluator rounds the variance
        return {**make_davis_row(region, contour), "V": 100 * deviation}

    def summarize(self, rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
        """Return the means of seen and unseen videos and their mean; over all objects if no group is known.

        An empty group has the value None, and so has the mean of both.
        """
        if all(group is None for group in seen):
            return {column: column_mean(rows, column) for column in self.columns}
        groups = [select_rows(rows, seen, group) for group in (True, False)]
        values: Summary = {}
        for column in ("J", "F", "V"):
            parts = [column_mean(group, column) for group in groups]
            values |= {column: mean_or_none(parts), f"{column}_seen": parts[0], f"{column}_unseen": parts[1]}
        return {"J&F": mean_or_none([values["J"], values["F"]]), **values}

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        return write_archive(results, output, folder="Annotations")


@dataclass(frozen=True)
class LVOSv1(LVOSv2):
    """LVOS, first version."""

    folder = "LVOSv1"


class _FrameRange(BaseModel):
    start: FrameNumber
    end: FrameNumber
    frame_nums: FrameNumber


class _ListedObject(BaseModel):
    frame_range: _FrameRange


def _read_object(object_id: int, entry: Any) -> ObjectInfo:
    """Read the metadata of an object."""
    listed = _ListedObject.model_validate(entry).frame_range
    if listed.start > listed.end:
        raise ValueError(f"its frames are {listed.start} to {listed.end}")
    stems = tuple(f"{number:08d}" for number in range(listed.start, listed.end, FRAME_STEP))
    return ObjectInfo(object_id, stems, num_frames=listed.frame_nums)
