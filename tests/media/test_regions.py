"""Run lengths and polygons, and what is refused of them."""

import numpy as np
import pytest
from pycocotools import mask as coco

from aotlab.media.matching import image_stem
from aotlab.media.regions import Annotations, Region, add_class_ids
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
    assert (decode_rle(parse_rle(text, mask.shape), mask.shape) == mask).all()


@pytest.mark.parametrize("counts", [
    "", "zzzzzz", "PPPPPPPP0", "\xff", "o", [], [-1, 961], [960, 1], ["960"], 960, None, [10**30], [10**15],
    [2**40, 2**40], [-5, 965], "~~~~~~~~~~~~", "ooooooooooooooo",
])  # fmt: skip
def test_incomplete_run_lengths_rejected(counts):
    with pytest.raises(ValueError, match="40×24"):
        parse_rle(counts, (24, 40))


@pytest.mark.parametrize("points", [
    [], [1, 1, 2, 2], [1, 1, 2, 2, 3], "1,1", [0.1, 0.1, 0.9, 0.1, 0.9, 0.8], [1, 1, 2, 2, 1e12, 3],
    [1, 1, 2, 2, float("nan"), 3], [1, 1, 2, 2, "3", 3], [1, 1, 2, 2, -(10**30), 3], [0, 0, 40, 24] * 30000 + [1, 1],
])  # fmt: skip
def test_invalid_polygon_rejected(points):
    with pytest.raises(ValueError, match=r"cannot be drawn: expected three points or more in .* 40×24"):
        fill_polygons([points], (24, 40))


@pytest.mark.parametrize(
    "sides", [(0, 5), (-1, 5), (5, 10**9), (10**12, 5), ("a", 5), (2.5, 5), ("5", 5), (None, 5), (True, 5)]
)
def test_invalid_size_rejected(sides):
    with pytest.raises(ValueError, match=r"images of .*, not sides"):
        require_size(*sides)


def test_box_surrounds_pixels():
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((7, 9)) < 0.15
        rows, columns = np.nonzero(mask)
        expected = [0.0] * 4
        if len(rows):
            expected = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert rle_to_box(encode_rle(mask), mask.shape) == expected


@pytest.mark.parametrize(("name", "stem"), [
    ("shot.0004", "shot.0004"), ("shot.0004.png", "shot.0004"), ("a/b/shot.0004.JPG", "shot.0004"),
    ("https://host/shot.0004.jpg?size=2", "shot.0004"), ("00004", "00004"), ("00004.txt", "00004"),
    ("/data/local-files/?d=clip/00004.jpg", "00004"),
])  # fmt: skip
def test_stem_of_dotted_name_keeps_its_number(name, stem):
    assert image_stem(name) == stem


def test_attributes_hold_until_they_change():
    runs = encode_rle(np.ones((1, 1), bool))
    stated = {3: {"pose": "up"}, 5: {"pose": "up"}, 8: {"pose": "down"}}
    given = Annotations((1, 1), {frame: [Region(1, runs, attributes=values), Region(2, runs)] for frame, values in
                                 stated.items()})  # fmt: skip
    table = given.attribute_table()
    assert table == {1: {3: {"pose": "up"}, 8: {"pose": "down"}}}
    tracked = Annotations((1, 1), {frame: [Region(1, runs), Region(2, runs)] for frame in range(10)})
    tracked.add_attributes(table)
    poses = [tracked.frames[frame][0].attributes["pose"] for frame in (0, 7, 8, 9)]
    assert poses == ["up", "up", "down", "down"]
    assert tracked.frames[9][1].attributes == {}


def test_class_with_the_id_of_another_gets_a_free_one():
    assert add_class_ids({"x": 3}, {"a": 1, "b": 1, "c": None}) == {"x": 3, "a": 1, "b": 2, "c": 4}


def test_empty_runs_are_merged():
    assert parse_rle([2, 0, 1, 3], (2, 3)).tolist() == [3, 3]
    assert parse_rle([0, 2, 4], (2, 3)).tolist() == [0, 2, 4]
