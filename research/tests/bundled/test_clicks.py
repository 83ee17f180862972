"""Simulated clicks."""

import numpy as np

from research.bundled.clicks import jaccard, next_click
from tests.drawn_clips import square


def test_click_is_in_the_middle_of_the_largest_error():
    truth = square(10, 10, 21)
    assert next_click(np.zeros(truth.shape, bool), truth) == ((20, 20), 1)
    assert next_click((truth == 1) | (square(30, 40, 25) == 1), truth) == ((52, 42), 0)
    assert next_click(truth == 1, truth) is None


def test_ignored_pixels_get_no_clicks_and_no_score():
    truth = square(10, 10)
    truth[30:] = 255
    answer = (truth == 1) | (truth == 255)
    assert next_click(answer, truth) is None
    assert jaccard(answer, truth) == 1
