"""The bundled model on the bundled clip."""

import pytest

from aotlab.configs.files import BUNDLED_CHECKPOINT, BUNDLED_PROMPTS
from aotlab.media.images import read_image
from aotlab.media.masks import read_mask
from aotlab_testing.bundled import assert_follows
from aotlab_testing.files import SAMPLE
from aotlab_testing.miniatures import open_dataset


@pytest.mark.slow
def test_bundled_model_follows_the_bundled_clip():
    (pond,) = open_dataset("davis2017", SAMPLE)
    frames = [read_image(path) for path in pond.frames[:4]]
    assert_follows(frames, [read_mask(path) for path in pond.annotations[:4]])


def test_bundled_models_are_small_enough_to_ship():
    assert BUNDLED_CHECKPOINT.stat().st_size + BUNDLED_PROMPTS.stat().st_size < 26_000_000  # 11.6 MB and 13.2 MB
