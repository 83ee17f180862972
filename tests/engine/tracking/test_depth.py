"""Depth of AOST: in tracking and in validation."""

import numpy as np
import pytest

from aotlab.configs.load import load_config
from aotlab.dataloaders.training.layouts import read_video_folders
from aotlab.dataloaders.training.sets import select_labeled_frames
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.validation import score_video, validate
from aotlab.evaluation.benchmarks import find_benchmark
from aotlab.evaluation.tables import make_scores_table
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError
from aotlab.utils.signals import StopFlag
from aotlab_testing import small_model
from aotlab_testing.drawn_clips import write_images, write_masks


def test_validation_scores_every_depth(tmp_path):
    masks = [np.roll(small_model.draw_stripes([1, 2]), shift, axis=1) for shift in range(3)]
    write_images(tmp_path / "JPEGImages" / "one", small_model.draw_texture(3))
    write_masks(tmp_path / "Annotations" / "one", masks)
    videos = list(map(select_labeled_frames, read_video_folders(tmp_path)))
    model, config = small_model.build("aost")
    scores, expected = validate(model, config, videos, Distributed("cpu"), StopFlag(), lambda *_: None), {}
    for depth, suffix in ((1, " at depth 1"), (2, " at depth 2"), (3, "")):
        tracker = Tracker(*small_model.build("aost", f"model.depth={depth}"))
        scores_of_video = score_video(tracker, videos[0], StopFlag(), find_benchmark("folder"))
        assert scores_of_video is not None
        table = make_scores_table(find_benchmark("folder"), {"one": scores_of_video})
        expected |= {f"{name}{suffix}": table[name] for name in ("J&F", "J", "F")}
    assert scores == expected
    assert len({*scores.values()}) == len(scores)  # the depths differ
    assert model.config.depths == [3]


@pytest.mark.parametrize(
    ("preset", "depth", "words"), [("aott", 1, "aot has no such setting"), ("aost", 4, "must be 1 to 3, got 4")]
)
def test_untrained_depth_rejected(preset, depth, words):
    with pytest.raises(InputError, match=words):
        load_config(preset, [f"model.depth={depth}"])


def test_depth_can_change_between_videos():
    tracker = Tracker(*small_model.build("aost", "model.depth=1"))
    tracker.reset(9)
    frame, mask = small_model.draw_texture(1)[0], small_model.draw_stripes([1])
    for depth in (1, 3, 2):
        tracker.set_depth(depth)
        tracker.step(frame, mask)
        assert (tracker.config.model.depth, tracker.state.length) == (depth, 9)
        assert len(tracker.state.groups[0].memory.read()[0]) == depth
        state = tracker.state_dict()
        tracker.load_state_dict(state)
    tracker.set_depth(3)
    with pytest.raises(InputError, match="tracker state"):
        tracker.load_state_dict(state)
    with pytest.raises(InputError, match=r"^depth must be 1 to 3"):
        tracker.set_depth(4)
