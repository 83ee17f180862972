"""The bundled model on the bundled clips."""

import pytest

from aotlab.configs.files import BUNDLED_PROMPTS
from aotlab.engine.tracking.tracker import BUNDLED_CHECKPOINT, Tracker
from aotlab.evaluation.metrics import region_similarity
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab_testing.files import SAMPLE
from aotlab_testing.miniatures import open_dataset
from aotlab_video.sources.video import open_frames


@pytest.mark.slow
def test_bundled_model_follows_the_bundled_clips():
    (pond,), rabbit = open_dataset("davis2017", SAMPLE), open_frames(SAMPLE / "rabbit.mp4")
    assert rabbit.length == 88
    still = read_mask(SAMPLE / "rabbit.png")
    clips = (
        ([read_image(path) for path in pond.frames[:4]], [read_mask(path) for path in pond.annotations[:4]]),
        ([rabbit.read(index) for index in range(4)], [still] * 4),  # in 0.12 s nothing goes far
    )
    tracker = Tracker.from_pretrained(overrides=["input.max_long_edge=480"])
    for frames, truth in clips:
        tracker.reset()
        given = [truth[0], None, None, None]
        labels = [tracker.step(*pair).labels for pair in zip(frames, given, strict=True)]
        assert tracker.ids == (1, 2, 3, 4)
        for number in tracker.ids:
            # Far above what standing still or guessing gives; the real figure is near 0.9.
            assert region_similarity(truth[3] == number, labels[3] == number) > 0.7


def test_bundled_models_are_small_enough_to_ship():
    assert BUNDLED_CHECKPOINT.stat().st_size + BUNDLED_PROMPTS.stat().st_size < 26_000_000  # 11.6 MB and 13.2 MB
