"""Folders of a user's videos and masks, scored as DAVIS 2017 with the ids of the first annotation."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.label_scores import LabelScorer, plan_labels
from aotlab.evaluation.sequence_scores import ScoredObject, ScoringPlan
from aotlab.media.masks import is_void, list_ids, read_mask
from aotlab.utils.errors import require


@dataclass(frozen=True)
class FolderBenchmark(Benchmark):
    """Folders of frames with masks; there are no splits."""

    layout = "JPEGImages/<sequence>/*.jpg, Annotations/<sequence>/*.png"
    has_splits = False

    new_objects: bool = False
    """Later masks may add objects, so all masks are read."""

    def read_videos(self, root: Path, split: str) -> list[Video]:
        """Read ``root/JPEGImages/<sequence>/*.jpg|png`` with ``root/Annotations/<sequence>/*.png``.

        A frame and its mask have the same stem. The first mask is given to the tracker; all masks are ground truth. If
        the first one has only 0 and 255, all ids of the video are one object.
        """

        def read(name: str) -> Video:
            video = sequences.read_video(name, root / "JPEGImages" / name, root / "Annotations" / name)
            merge_ids = _is_binary(video.annotations[0])
            masks = video.reference_masks if merge_ids or not self.new_objects else _find_new_objects(video)
            return replace(video, reference_masks=masks, merge_ids=merge_ids)

        return sequences.read_videos(root, sequences.list_subfolders(root / "JPEGImages"), read)

    def plan(self, video: Video) -> ScoringPlan:
        """Plan the scoring of a video; with new objects, all annotations are read.

        A new object counts from the first frame on which the annotation or the prediction has it; objects missing from
        all scored annotations do not count, as in evaluators that compare two folder trees.
        """
        plan = plan_labels(video, self.measure, present_ids=True, refuse_unknown_ids=False)
        if not self.new_objects or video.merge_ids:
            return plan
        ids_by_frame = [list_ids(read_mask(path)) for path in plan.frames]
        ids = sorted(set().union(*ids_by_frame))
        present = np.array([[object_id in frame for frame in ids_by_frame] for object_id in ids], bool)
        return replace(
            plan,
            objects=tuple(map(ScoredObject, ids)),
            scorer=LabelScorer(tuple(ids), self.measure, refuse_unknown_ids=False),
            object_present=present.reshape(len(ids), len(plan.frames)),
        )


def read_annotated_video(name: str, folder: Path) -> Video:
    """Return a video of which only the annotations are known, for scoring; ids are merged as in `FolderBenchmark`."""
    masks = sequences.list_masks(folder)
    require(masks, "no masks", subject=folder, remedy="expected 00000.png, 00001.png and so on")
    return Video(name, masks, {0: masks[0]}, masks, merge_ids=_is_binary(masks[0]))


def _is_binary(path: Path) -> bool:
    """Return whether the only ids of a mask are 0 and 255."""
    mask = read_mask(path)
    return bool(is_void(mask).any()) and not list_ids(mask)


def _find_new_objects(video: Video) -> dict[int, Path]:
    """Return the first mask and those with an object that no earlier one has, by frame index."""
    earlier_ids, masks_by_frame = set[int](), {}
    for index, path in sorted(sequences.match_masks(video.frames, video.annotations).items()):
        ids = list_ids(read_mask(path))
        if index == 0 or ids - earlier_ids:
            masks_by_frame[index] = path
        earlier_ids |= ids
    return masks_by_frame
