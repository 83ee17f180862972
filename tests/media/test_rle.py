"""Run lengths and polygons, and invalid ones."""

import numpy as np
import pytest
from pycocotools import mask as coco

from aotlab.media.rle import (
    compress_rle,
    decode_rle,
    decompress_rle,
    encode_rle,
    fill_polygons,
    parse_rle,
    require_size,
    rle_to_box,
)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_run_lengths_equal_those_of_pycocotools(density):
    mask = np.random.default_rng(3).random((37, 53)) < density
    text = coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert compress_rle(encode_rle(mask)) == text
    assert decompress_rle(text) == encode_rle(mask).tolist()
    np.testing.assert_array_equal(decode_rle(parse_rle(text, mask.shape), mask.shape), mask)


@pytest.mark.parametrize("counts", [
    "", "zzzzzz", "PPPPPPPP0", "\xff", "o", [], [-1, 961], [960, 1], ["960"], 960, None, [10**30], [10**15],
    [2**40, 2**40], [-5, 965], "~~~~~~~~~~~~", "ooooooooooooooo", "Pn" + "P" * 10 + "0",  # 960 in 13 characters
    compress_rle(encode_rle(np.ones((24, 40), bool))) + "P",  # says that more characters follow
])  # fmt: skip
def test_incomplete_run_lengths_rejected(counts):
    with pytest.raises(ValueError, match="40×24"):
        parse_rle(counts, (24, 40))


@pytest.mark.parametrize("points", [
    [], [1, 1, 2, 2], [1, 1, 2, 2, 3], "1,1", [0.1, 0.1, 0.9, 0.1, 0.9, 0.8], [1, 1, 2, 2, 181, 3],
    [1, 1, 2, 2, float("nan"), 3], [1, 1, 2, 2, "3", 3], [1, 1, 2, 2, -(10**30), 3], [0, 0, 40, 24] * 30000 + [1, 1],
])  # fmt: skip
def test_invalid_polygon_rejected(points):
    with pytest.raises(ValueError, match=r"cannot be drawn: expected three points or more in .* 40×24"):
        fill_polygons([points], (24, 40))


def test_polygon_may_reach_far_outside_the_image():
    assert len(fill_polygons([[1, 1, 180, 1, 1, 9]], (24, 40))) > 1


def test_size_of_another_video_rejected():
    require_size(24, 40, (24, 40))
    with pytest.raises(ValueError, match=r"images of 40×24, not 40×25 as the video"):
        require_size(24, 40, (25, 40))


def test_box_surrounds_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((7, 9)) < 0.15
        rows, columns = np.nonzero(mask)
        expected = [0.0] * 4
        if len(rows):
            expected = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert rle_to_box(encode_rle(mask), mask.shape) == expected


def test_empty_runs_are_merged():
    assert parse_rle([2, 0, 1, 3], (2, 3)).tolist() == [3, 3]
    assert parse_rle([0, 2, 4], (2, 3)).tolist() == [0, 2, 4]
