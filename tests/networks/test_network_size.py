"""Frames scaled up for the network: low resolution and small objects."""

import pytest

from aotlab.configs.schema import InputConfig
from aotlab.networks.preprocess import network_size

UP = InputConfig(min_short_edge=480, min_object=120)
UNLIMITED = UP.replace(max_long_edge=None)


@pytest.mark.parametrize(("video", "smallest", "limits", "expected"), [
    ((480, 848), 240 * 240, UP, (480, 848)),  # large enough
    ((320, 480), 300 * 200, UP, (480, 720)),  # a short edge of 480
    ((160, 160), 100 * 100, UP, (320, 320)),  # at most twice
    ((400, 400), 72 * 50, UP, (800, 800)),  # an object of 60×60: twice
    ((480, 640), 100 * 100, UP, (576, 768)),  # 100 to 120
    ((480, 848), 8 * 8, UP, (592, 1040)),  # at most 1040 pixels on the longer side
    ((1080, 1920), 8 * 8, UP, (592, 1040)),  # scaled down, never up
    ((320, 480), None, UP, (480, 720)),  # unknown objects: by the short edge only
    ((480, 848), None, UP, (480, 848)),
    ((240, 432), 4, InputConfig(), (240, 432)),  # presets never scale up
    ((2160, 3840), 4, UNLIMITED, (2160, 3840)),
    ((240, 432), 4, UNLIMITED, (240, 432)),
    ((320, 480), 4, UP.replace(max_short_edge=400), (400, 608)),
    ((320, 480), None, InputConfig(scale=0.5, min_short_edge=480), (240, 352)),  # 360: half to even
])  # fmt: skip
def test_frames_are_scaled_up_to_first_limit(video, smallest, limits, expected):
    assert network_size(video, limits, align_corners=False, min_object_area=smallest) == expected
