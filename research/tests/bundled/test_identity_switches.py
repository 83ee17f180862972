"""Identity switches on contact frames."""

import numpy as np

from research.bundled.identity_switches import count_switches, find_touching_ids


def two(gap):
    labels = np.zeros((20, 40), np.uint8)
    labels[5:15, 2:12] = 1
    labels[5:15, 12 + gap : 22 + gap] = 2
    return labels


def test_objects_touch_within_reach():
    void, third = two(0), two(0)
    void[void == 2] = 255
    third[:3, 30:] = 3  # far from both
    assert [find_touching_ids(labels) for labels in (two(0), two(2), third)] == [[1, 2]] * 3
    assert find_touching_ids(two(5)) == find_touching_ids(void) == []


def test_switches_are_counted_on_contact_frames():
    apart, close = two(8), two(0)
    wrong = close.copy()
    wrong[5:7, 2:12] = 2  # 20 pixels of object 1
    wrong[5:15, 12:14] = 0  # missed, not switched
    counted = count_switches([apart, close], [np.where(apart == 1, 2, apart), wrong])
    assert (counted.frames, counted.pixels, counted.switched) == (1, 200, 20)
    assert counted.share == 0.1
    assert count_switches([apart], [apart]).share == 0
