"""Check for smoothed masks."""

import numpy as np
import pytest
from PIL import Image

from aotlab.media.smoothing import SMOOTHED_FRACTION, measure_smoothing


def is_smoothed(labels):
    return measure_smoothing(labels) >= SMOOTHED_FRACTION


def test_lines_of_single_pixels_are_a_smoothed_edge():
    lines = np.full((24, 30), 255, np.uint8)
    lines[:10] = np.arange(10, 250, 24)[:, None]
    lines = np.pad(lines, 20)  # the background does not count
    assert is_smoothed(lines)
    assert is_smoothed(lines.T)
    assert is_smoothed(lines.repeat(2, 0))
    assert not is_smoothed(lines.repeat(3, 0))


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.5, 2, 4])
@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, Image.Resampling.HAMMING])
@pytest.mark.parametrize("ids", [(3,), (5,), (40,), (255,), (3, 7), (9, 30, 200)])
def test_resized_ids_are_smoothed_at_any_number(ids, resample, scale):
    y, x = np.mgrid[:64, :96]
    mask = np.zeros((64, 96), np.uint8)
    for place, object_id in enumerate(ids):
        mask[np.hypot(y - 32, x - 18 - 28 * place) < 13] = object_id
    assert not is_smoothed(mask)
    resized = np.array(Image.fromarray(mask).resize((int(96 * scale), int(64 * scale)), resample))
    assert is_smoothed(resized) == bool(set(np.unique(resized)) - {0, *ids})


def test_thin_and_small_objects_are_sharp():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30] = 7
    mask[20, 30:60] = 3  # a rope on the background
    mask[5:7, 50:52] = 2
    mask[9:11, 9:11] = 4  # between the background and another object
    assert not is_smoothed(mask)
