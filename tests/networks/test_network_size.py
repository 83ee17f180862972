"""Frames scaled up for the network: low resolution and small objects."""

from __future__ import annotations

import pytest

from aotlab.configs.schema import InputConfig
from aotlab.networks.preprocess import network_size

UP = InputConfig(min_short_edge=480, min_object=120)


def compute_size(video, limits=UP, smallest=None):
    return network_size(video, limits, align_corners=False, min_object_area=smallest)


@pytest.mark.parametrize(
    ("video", "smallest", "expected"),
    [
        ((480, 848), 240 * 240, (480, 848)),  # large enough
        ((320, 480), 300 * 200, (480, 720)),  # a short edge of 480
        ((160, 160), 100 * 100, (320, 320)),  # at most twice
        ((400, 400), 72 * 50, (800, 800)),  # an object of 60×60: twice
        ((480, 640), 100 * 100, (576, 768)),  # 100 to 120
        ((480, 848), 8 * 8, (592, 1040)),  # at most 1040 pixels on the longer side
        ((1080, 1920), 8 * 8, (592, 1040)),  # scaled down, never up
    ],
)
def test_frames_are_scaled_up_to_first_limit(video, smallest, expected):
    assert compute_size(video, smallest=smallest) == expected


def test_unknown_objects_are_scaled_by_short_edge_only():
    assert compute_size((320, 480)) == (480, 720)
    assert compute_size((480, 848)) == (480, 848)


def test_presets_never_scale_up():
    assert compute_size((240, 432), InputConfig(), smallest=4) == (240, 432)


def test_no_long_edge_limit_disables_scaling_up():
    limits = InputConfig(max_long_edge=None, min_short_edge=480, min_object=120)
    assert compute_size((2160, 3840), limits, smallest=4) == (2160, 3840)
    assert compute_size((240, 432), limits, smallest=4) == (240, 432)


def test_short_edge_limit_applies():
    limits = InputConfig(max_short_edge=400, min_short_edge=480, min_object=120)
    assert compute_size((320, 480), limits, smallest=4) == (400, 608)


def test_scale_applies_after_scaling_up():
    limits = InputConfig(scale=0.5, min_short_edge=480)
    assert compute_size((320, 480), limits) == (240, 352)  # 360 is between 352 and 368: half to even
