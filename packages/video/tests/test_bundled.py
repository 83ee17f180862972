"""The bundled model on the bundled video."""

import pytest

from aotlab import read_mask
from aotlab_testing.bundled import assert_follows
from aotlab_testing.files import SAMPLE
from aotlab_video import open_frames


@pytest.mark.slow
def test_bundled_model_follows_the_bundled_video():
    rabbit = open_frames(SAMPLE / "rabbit.mp4")
    assert rabbit.length == 88
    # in 0.12 s nothing goes far
    assert_follows([rabbit.read(index) for index in range(4)], [read_mask(SAMPLE / "rabbit.png")] * 4)
