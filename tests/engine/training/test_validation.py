"""Validation during training: the scores are those of ``eval``."""

import numpy as np
import pytest
from PIL import Image

from aotlab.dataloaders.benchmarks.datasets import open_dataset
from aotlab.dataloaders.training.sets import read_video_folders, select_labeled_frames
from aotlab.engine.benchmark.scoring import score_videos
from aotlab.engine.training.validation import score_video
from aotlab.evaluation.tables import make_scores_table
from aotlab.media.masks import write_mask
from tests.engine.benchmark.painting import PaintingTracker

SIZE = 24, 32


@pytest.mark.parametrize("ids", [(1, 2), (1, 250), (7,)])
def test_validation_scores_equal_those_of_eval(tmp_path, ids):
    masks = np.zeros((5, *SIZE), np.uint8)
    for index, mask in enumerate(masks):
        for place, object_id in enumerate(ids):
            mask[4 + 8 * place : 10 + 8 * place, 4 + 3 * index : 10 + 3 * index] = object_id
        write_mask(tmp_path / f"Annotations/a/{index:05d}.png", mask)
        write_mask(tmp_path / f"results/a/{index:05d}.png", masks[0])
        image = tmp_path / f"JPEGImages/a/{index:05d}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(image)
    (video,) = map(select_labeled_frames, read_video_folders(tmp_path))
    validated = make_scores_table({"a": score_video(PaintingTracker(), video)})
    evaluated = make_scores_table(score_videos(open_dataset("folder", tmp_path), tmp_path / "results").scores)
    assert validated == evaluated
    assert validated["J&F"] < 50
