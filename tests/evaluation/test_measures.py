"""J and F of mask pairs."""

import numpy as np
import pytest

from aotlab.evaluation.measures import (
    boundary_map,
    match_contours,
    object_box,
    region_and_contour,
    score_object,
    tolerance_radius,
)
from tests.shared import golden_arrays


@pytest.fixture(scope="module")
def pairs():
    return golden_arrays("metrics/pairs")


def unpack(pairs, kind, index):
    height, width = int(pairs["height"][index]), int(pairs["width"][index])
    bits = np.unpackbits(pairs[f"{kind}_{index:03d}"], count=height * width)
    return bits.reshape(height, width).astype(bool)


def golden_cases(pairs):
    for index in range(len(pairs["name"])):
        kept = ~unpack(pairs, "void", index) if pairs["has_void"][index] else True
        yield index, unpack(pairs, "gt", index) & kept, unpack(pairs, "pr", index) & kept


def both(truth, prediction):
    """J and F."""
    return tuple(np.broadcast_to(score_object(truth, prediction, truth.shape, region_and_contour), 2))


def masks(height, width, **pixels):
    """An empty, a full, and a mask with one pixel set."""
    one = np.zeros((height, width), dtype=bool)
    one[pixels.get("row", 0), pixels.get("column", 0)] = True
    return np.zeros((height, width), dtype=bool), np.ones((height, width), dtype=bool), one


def test_measures_equal_the_reference(pairs):
    for index, truth, prediction in golden_cases(pairs):
        region, contour = both(truth, prediction)
        # one division of the same two integers: no rounding can differ
        assert region == pairs["J"][index], pairs["name"][index]
        # integer counts, then four float64 operations: 1e-12 leaves room for their order alone
        assert contour == pytest.approx(pairs["F"][index], abs=1e-12), pairs["name"][index]


def test_tolerance_radius_equals_the_reference(pairs):
    sizes = zip(pairs["height"], pairs["width"], strict=True)
    assert [tolerance_radius(int(h), int(w)) for h, w in sizes] == pairs["radius"].tolist()


def test_boundary_maps_equal_the_reference(pairs):
    checked = 0
    for index, truth, _ in golden_cases(pairs):
        if f"bmap_gt_{index:03d}" in pairs:
            np.testing.assert_array_equal(boundary_map(truth), unpack(pairs, "bmap_gt", index))
            checked += 1
    assert checked > 0


@pytest.mark.parametrize(
    ("height", "width", "radius"),
    [
        *[(480, 854, 8), (480, 910, 9), (720, 1280, 12), (1080, 1920, 18), (240, 427, 4), (1, 1, 1)],
        # 0.008 times these diagonals is a whole number: a float32 constant gives one more
        *[(75, 100, 1), (150, 200, 2), (225, 300, 3), (300, 400, 4), (375, 500, 5)],
    ],
)
def test_tolerance_radius_is_computed_in_float64(height, width, radius):
    assert tolerance_radius(height, width) == radius


@pytest.mark.parametrize(("height", "width"), [(7, 9), (1, 9), (9, 1), (1, 1)])
def test_two_empty_masks_score_one(height, width):
    empty, _, _ = masks(height, width)
    assert both(empty, empty) == (1, 1)


@pytest.mark.parametrize(("height", "width"), [(7, 9), (1, 9), (9, 1), (1, 1)])
def test_two_full_masks_score_one(height, width):
    _, full, _ = masks(height, width)
    assert both(full, full) == (1, 1)


def test_one_pixel_where_there_is_no_object_scores_zero():
    empty, _, one = masks(7, 9, row=3, column=4)
    assert both(empty, one) == (0, 0)


def test_full_frame_without_object_has_no_wrong_contour():
    empty, full, _ = masks(7, 9)
    assert both(empty, full) == (0, 1)


def test_pixel_that_fills_its_frame_has_no_contour():
    empty, _, one = masks(1, 1)
    assert both(empty, one) == (0, 1)


def slow_boundary(mask):
    height, width = mask.shape
    contour = np.zeros_like(mask)
    for row in range(height):
        for column in range(width):
            for below, right in ((0, 1), (1, 0), (1, 1)):
                if row + below < height and column + right < width:
                    contour[row, column] |= mask[row, column] != mask[row + below, column + right]
                # on the last row or column the comparisons that leave the frame are dropped
    return contour


def slow_dilate(mask, radius):
    points = np.argwhere(mask)
    grown = np.zeros_like(mask)
    for row, column in np.ndindex(mask.shape):
        grown[row, column] = (((points - (row, column)) ** 2).sum(axis=1) <= radius**2).any()
    return grown


def slow_contour_accuracy(truth, prediction, radius=None):
    """The definition, pixel by pixel and without a crop."""
    radius = radius or tolerance_radius(*truth.shape)
    true, found = slow_boundary(truth), slow_boundary(prediction)
    if not true.any() or not found.any():
        return float(true.any() == found.any())
    precision = (found & slow_dilate(true, radius)).sum() / found.sum()
    recall = (true & slow_dilate(found, radius)).sum() / true.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("seed", range(12))
def test_contour_accuracy_equals_dilation(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, size=2))
    rows, columns = np.mgrid[:height, :width]
    truth, prediction = (
        (rows - rng.integers(height)) ** 2 + (columns - rng.integers(width)) ** 2 <= rng.integers(150)
        for _ in range(2)
    )
    # the same counts divided alike: equal to the last bit
    assert both(truth, prediction)[1] == slow_contour_accuracy(truth, prediction)


@pytest.mark.parametrize("radius", [2, 3, 8, 12])
@pytest.mark.parametrize("shift", [(0, 1), (3, 3), (-5, 7), (12, 0)])
def test_contours_match_up_to_the_border(radius, shift):
    rows, columns = np.mgrid[:37, :45]
    # one disk inside the frame, one cut off by its lower right corner, and one pixel in the first
    truth = ((rows - 14) ** 2 + (columns - 15) ** 2 <= 80) | ((rows - 36) ** 2 + (columns - 44) ** 2 <= 150)
    truth[0, 0] = True
    prediction = np.roll(truth, shift, axis=(0, 1))
    box = object_box(truth | prediction)
    # the same counts divided alike: equal to the last bit
    expected = slow_contour_accuracy(truth, prediction, radius)
    assert match_contours(truth[box], prediction[box], radius) == expected
