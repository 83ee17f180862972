"""J and F of mask pairs."""

import numpy as np
import pytest

from aotlab.evaluation.metrics import REGION_AND_CONTOUR, region_similarity
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


def test_measures_equal_the_reference(pairs):
    for index, truth, prediction in golden_cases(pairs):
        region, contour = REGION_AND_CONTOUR.score(truth, prediction, truth.shape)
        # one division of the same two integers: no rounding can differ
        assert region == pairs["J"][index], pairs["name"][index]
        # integer counts, then four float64 operations: 1e-12 leaves room for their order alone
        assert contour == pytest.approx(pairs["F"][index], abs=1e-12), pairs["name"][index]


def test_region_similarity_takes_other_numbers_and_empty_masks():
    mask = np.zeros((4, 6), np.uint8)
    mask[:2] = 255
    other = np.zeros_like(mask)
    other[:3] = 1
    assert region_similarity(mask, other) == pytest.approx(2 / 3)
    assert region_similarity(mask * 0, mask * 0) == 1
