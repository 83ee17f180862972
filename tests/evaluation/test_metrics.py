"""J and F of mask pairs."""

import numpy as np
import pytest

from aotlab.evaluation.metrics import (
    REGION_AND_CONTOUR,
    boundary_map,
    find_object_slices,
    match_contours,
    region_similarity,
    tolerance_radius,
)
from tests.evaluation.scoring import disc, plain_f
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
    return tuple(REGION_AND_CONTOUR.score(truth, prediction, truth.shape))


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
def test_masks_without_contour_have_defined_scores(height, width):
    empty, full, one = masks(height, width, row=height // 2, column=width // 2)
    assert both(empty, empty) == both(full, full) == (1, 1)
    assert both(empty, full) == (0, 1)  # a full frame has no wrong contour
    assert both(empty, one) == (0, one.size == 1)


@pytest.mark.parametrize("seed", range(6))
def test_contour_accuracy_equals_dilation(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40, size=2))
    truth, prediction = (
        disc((height, width), rng.integers(height), rng.integers(width), rng.integers(150) ** 0.5)
        for _ in "ab"
    )
    # the same counts divided alike: equal to the last bit
    assert both(truth, prediction)[1] == plain_f(truth, prediction, tolerance_radius(height, width))


@pytest.mark.parametrize("radius", [2, 3, 8, 12])
@pytest.mark.parametrize("shift", [(0, 1), (3, 3), (-5, 7), (12, 0)])
def test_contours_match_up_to_the_border(radius, shift):
    # one disk inside the frame, one cut off by its lower right corner, and one pixel in the first
    truth = disc((37, 45), 14, 15, 80**0.5) | disc((37, 45), 36, 44, 150**0.5)
    truth[0, 0] = True
    prediction = np.roll(truth, shift, axis=(0, 1))
    box = find_object_slices(truth | prediction)
    # the same counts divided alike: equal to the last bit
    expected = plain_f(truth, prediction, radius)
    assert match_contours(truth[box], prediction[box], radius) == expected


def test_region_similarity_takes_other_numbers_and_empty_masks():
    mask = np.zeros((4, 6), np.uint8)
    mask[:2] = 255
    other = np.zeros_like(mask)
    other[:3] = 1
    assert region_similarity(mask, other) == pytest.approx(2 / 3)
    assert region_similarity(mask * 0, mask * 0) == 1
