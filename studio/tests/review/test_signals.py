"""Signs of wrong masks: fragments, contact of similar colors, parts that change identity."""

import numpy as np
import pytest

from aotlab_studio.review.scores import ReviewSignals, measure_flip, measure_fragment


def scene(left=(200, 60, 60), right=(200, 60, 60)):
    """Two touching rectangles, 1 and 2, and their image."""
    ids = np.zeros((60, 100), np.uint16)
    ids[10:50, 10:50], ids[10:50, 50:90] = 1, 2
    image = np.full((60, 100, 3), 30, np.uint8)
    image[ids == 1], image[ids == 2] = left, right
    return ids, image


def test_flip_is_found_forward_and_backward():
    ids, image = scene()
    swapped = ids.copy()
    swapped[30:50, 30:50] = 2  # a leg of object 1
    for first, second in ((0, 1), (8, 7)):
        signals = ReviewSignals()
        assert signals.update(first, ids, image, [1, 2])[2].flip == 0
        found = signals.update(second, swapped, image, [1, 2])
        assert found[2].flip == pytest.approx(400 / 2000, rel=0.05)
        assert found[1].flip == 0
    assert signals.update(20, ids, image, [1, 2])[1].flip == 0  # no neighbour


def test_occlusion_is_not_a_flip():
    ids, image = scene(right=(40, 60, 220))
    moved = ids.copy()
    moved[10:50, 50:60] = 1
    later = image.copy()
    later[10:50, 50:60] = image[10, 10]
    signals = ReviewSignals()
    signals.update(0, ids, image, [1, 2])
    assert signals.update(1, moved, later, [1, 2])[1].flip == 0


def test_contact_needs_similar_color():
    assert ReviewSignals().update(0, *scene(), [1])[1].contact > 0.1
    assert ReviewSignals().update(0, *scene(right=(40, 60, 220)), [1])[1].contact == 0


def test_thin_lines_ignored_and_fragments_found():
    mask = np.ones((20, 20), bool)
    line = np.zeros((20, 20), bool)
    line[:, 5:7] = True
    assert measure_flip(mask, line) == 0
    mask[:, 8:12] = False
    assert measure_fragment(mask) == 0.5
