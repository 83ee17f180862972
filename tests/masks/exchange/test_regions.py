"""Run lengths and polygons, and what is refused of them."""

import numpy as np
import pytest
from pycocotools import mask as coco

from aotlab.masks.exchange.regions import (
    compress,
    decompress,
    outlines_of,
    pixels,
    require_runs,
    require_size,
    runs_of,
    runs_of_polygons,
)
from aotlab.utils.errors import InputError


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
def test_run_lengths_are_those_of_pycocotools(density):
    mask = np.random.default_rng(3).random((37, 53)) < density
    text = coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert compress(runs_of(mask)) == text
    assert decompress(text, most=10**6) == runs_of(mask).tolist()
    assert (pixels(require_runs(text, mask.shape), mask.shape) == mask).all()


@pytest.mark.parametrize(
    "counts", ["", "zzzzzz", "PPPPPPPP0", "\xff", "o", [], [-1, 961], [960, 1], ["960"], 960, None, [10**30]]
)
def test_run_lengths_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(InputError, match="40×24"):
        require_runs(counts, (24, 40))


def test_a_polygon_is_filled_as_pycocotools_fills_it():
    points = [3, 3, 20, 4, 18, 16, 5, 12]
    expected = coco.decode(coco.merge(coco.frPyObjects([points], 24, 40)))
    assert (pixels(runs_of_polygons([points], (24, 40)), (24, 40)) == expected).all()


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([1, 1, 2, 2], "three points"),
        ([1, 1, 2, 2, 3], "three points"),
        ("1,1", "three points"),
        ([1, 1, 2, 2, 1e12, 3], "coordinate"),
        ([1, 1, 2, 2, float("nan"), 3], "coordinate"),
        ([1, 1, 2, 2, "3", 3], "coordinate"),
        ([0, 0, 40, 24] * 30000 + [1, 1], "longer than"),
    ],
)
def test_a_polygon_that_cannot_be_drawn_is_refused_in_one_sentence(points, words):
    with pytest.raises(InputError, match=words) as refusal:
        runs_of_polygons([points], (24, 40))
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("sides", [(0, 5), (-1, 5), (5, 10**9), (2.5, 5), ("5", 5), (None, 5), (True, 5)])
def test_a_size_that_is_none_is_refused(sides):
    with pytest.raises(InputError, match="size"):
        require_size(*sides)


def test_outlines_filled_are_their_mask_but_for_smoothed_steps():
    rows, columns = np.mgrid[:80, :120]
    mask = (rows - 40) ** 2 + (columns - 50) ** 2 < 900
    mask[70, 110] = True
    outlines = outlines_of(mask)
    assert [len(outline) >= 6 for outline in outlines] == [True, True]
    again = pixels(runs_of_polygons(outlines, mask.shape), mask.shape)
    assert (again & mask).sum() / (again | mask).sum() > 0.98
