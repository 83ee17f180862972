"""Training from random weights: in 100 steps a model learns to follow a moving disc."""

import json

import numpy as np
import pytest

from aotlab.dataloaders.training.phases import open_validation_videos
from aotlab.dataloaders.training.sets import list_frame_pairs
from aotlab.evaluation.label_scores import score_labels
from aotlab_testing.drawn_clips import draw_disc, write_images, write_list, write_masks
from tests.engine.training.tiny_recipes import log_lines, phase, run_recipe, tiny_recipe


def write_disc(root, name, seed):
    """A red disc that crosses a blurred gray image."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 120, (10, 10, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    x, y = rng.uniform(18, 30, 2)
    masks = [draw_disc((80, 80), y + 6 * index, x + 9 * index, 13) for index in range(5)]
    images = [np.where(mask[..., None], np.array([230, 60, 40], np.uint8), ground) for mask in masks]
    write_images(root / "discs" / "JPEGImages" / name, images)
    write_masks(root / "discs" / "Annotations" / name, masks)


@pytest.mark.slow  # 100 steps
def test_short_run_learns_to_track(tmp_path):
    names = ["a", "b", "c", "d", "unseen"]
    for seed, name in enumerate(names):
        write_disc(tmp_path, name, seed)
    write_list(tmp_path / "discs" / "ImageSets" / "train.txt", names[:-1])
    write_list(tmp_path / "discs" / "ImageSets" / "val.txt", names[-1:])
    learning = phase(
        steps=100, lr=4e-3, batch=2, clip_length=2, crop=65, short_edge=64, merge=0.0, feed_predictions_after=1.0,
        reference_loss_until=0.3, sources=[{"path": "discs", "split": "train", "max_gap": 2}],
    )  # fmt: skip
    config = tiny_recipe(
        tmp_path, tmp_path, "run", learning,
        overrides=[
            "data.validation=[{path: discs}]", "model.stages.0.drop_path=0", "train.hardest_pixels=1.0",
            "train.freeze_encoder_stages=0", "train.encoder_lr_ratio=1.0",
        ],
    )  # fmt: skip
    (video,) = open_validation_videos(config.data)
    truth = [frame.read_mask() for frame in list_frame_pairs(video)]
    copied = 100 * score_labels(truth, [truth[0]] * len(truth)).region.mean()
    run_recipe(config)
    losses = [line["loss"] for line in log_lines(config)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    with open(f"{config.train.output}/log.jsonl") as file:
        (learned,) = [line["J"] for line in map(json.loads, file) if "J" in line]
    assert learned > copied + 20, f"J {learned:.1f} against {copied:.1f} of the copied first mask"
