"""Signs of wrong masks: fragments, contact of like colours, parts that change identity."""

import numpy as np
import pytest

from aotlab.masks.doubts import Doubts, flip, fragment


def scene(left=(200, 60, 60), right=(200, 60, 60)):
    """Two touching rectangles, 1 and 2, and their image."""
    ids = np.zeros((60, 100), np.uint16)
    ids[10:50, 10:50], ids[10:50, 50:90] = 1, 2
    image = np.full((60, 100, 3), 30, np.uint8)
    image[ids == 1], image[ids == 2] = left, right
    return ids, image


def test_a_part_that_becomes_another_objects_is_told_with_both_directions():
    ids, image = scene()
    swapped = ids.copy()
    swapped[30:50, 30:50] = 2  # a leg of object 1
    for first, second in ((0, 1), (8, 7)):
        doubts = Doubts()
        assert doubts.of(first, ids, image, [1, 2])[2][2] == 0
        found = doubts.of(second, swapped, image, [1, 2])
        assert found[2][2] == pytest.approx(400 / 2000, rel=0.05)
        assert found[1][2] == 0
    assert doubts.of(20, ids, image, [1, 2])[1][2] == 0  # no neighbour


def test_an_object_that_moves_before_another_flips_nothing():
    ids, image = scene(right=(40, 60, 220))
    moved = ids.copy()
    moved[10:50, 50:60] = 1
    later = image.copy()
    later[10:50, 50:60] = image[10, 10]
    doubts = Doubts()
    doubts.of(0, ids, image, [1, 2])
    assert doubts.of(1, moved, later, [1, 2])[1][2] == 0


def test_contact_counts_objects_of_like_colour_only():
    assert Doubts().of(0, *scene(), [1])[1][1] > 0.1
    assert Doubts().of(0, *scene(right=(40, 60, 220)), [1])[1][1] == 0


def test_thin_lines_are_no_flip_and_two_parts_are_a_fragment():
    mask = np.ones((20, 20), bool)
    line = np.zeros((20, 20), bool)
    line[:, 5:7] = True
    assert flip(mask, line) == 0
    mask[:, 8:12] = False
    assert fragment(mask) == 0.5
