"""Run lengths and polygons, and invalid ones."""

import numpy as np
import pytest
from pycocotools import mask as coco

from aotlab.media.rle import decode_rle, decompress_rle, encode_rle, fill_polygons, parse_rle


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_run_lengths_equal_those_of_pycocotools(density):
    mask = np.random.default_rng(3).random((37, 53)) < density
    text = coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert decompress_rle(text) == encode_rle(mask).tolist()
    np.testing.assert_array_equal(decode_rle(parse_rle(text, mask.shape), mask.shape), mask)


@pytest.mark.parametrize("counts", [
    "", "zzzzzz", "PPPPPPPP0", "\xff", "o", [], [-1, 961], [960, 1], ["960"], 960, None, [10**30], [10**15],
    [2**40, 2**40], [-5, 965], "~~~~~~~~~~~~", "ooooooooooooooo", "Pn" + "P" * 10 + "0",  # 960 in 13 characters
    coco.encode(np.ones((24, 40), np.uint8, "F"))["counts"].decode() + "P",  # says that more characters follow
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


def test_empty_runs_are_merged():
    assert parse_rle([2, 0, 1, 3], (2, 3)).tolist() == [3, 3]
    assert parse_rle([0, 2, 4], (2, 3)).tolist() == [0, 2, 4]
