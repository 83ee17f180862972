"""Validation during training: the scores are those of ``eval``."""

import numpy as np
import pytest

from aotlab.dataloaders.training.layouts import read_video_folders
from aotlab.dataloaders.training.sets import select_labeled_frames
from aotlab.engine.training.validation import score_video
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.scoring import score_videos
from aotlab.evaluation.tables import make_scores_table
from aotlab.utils.signals import StopFlag
from aotlab_testing.drawn_clips import write_masks, write_plain
from aotlab_testing.repeating_tracker import RepeatingTracker

SIZE = 24, 32


@pytest.mark.parametrize("ids", [(1, 2), (1, 250), (7,)])
def test_validation_scores_equal_those_of_eval(tmp_path, ids):
    masks = np.zeros((5, *SIZE), np.uint8)
    for index, mask in enumerate(masks):
        for place, object_id in enumerate(ids):
            mask[4 + 8 * place : 10 + 8 * place, 4 + 3 * index : 10 + 3 * index] = object_id
    write_masks(tmp_path / "Annotations" / "a", masks)
    write_masks(tmp_path / "results" / "a", masks[:1].repeat(5, 0))
    write_plain(tmp_path / "JPEGImages" / "a", 5, SIZE)
    (video,) = map(select_labeled_frames, read_video_folders(tmp_path))
    scores = score_video(RepeatingTracker(), video, StopFlag(), find_benchmark("folder"))
    assert scores is not None
    folder = find_benchmark("folder")
    validated = make_scores_table(folder, {"a": scores})
    evaluated = make_scores_table(
        folder, score_videos(folder, folder.open_videos(tmp_path), tmp_path / "results").scores
    )
    assert validated == evaluated
    assert validated["J&F"] < 50
