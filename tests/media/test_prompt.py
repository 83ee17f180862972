"""Prompts: what they accept and what they refuse."""

import numpy as np
import pytest

from aotlab.media.prompt import Prompt
from aotlab.utils.errors import InputError


def test_clicks_are_split_by_their_labels():
    prompt = Prompt(points=[(1, 2), (3, 4), (5, 6)], labels=[1, 0, 1])
    assert prompt.positive == [(1, 2), (5, 6)]
    assert prompt.negative == [(3, 4)]
    assert Prompt(points=[(1, 2)]).positive == [(1, 2)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give a box, a mask, or a point on the object"),
        ({"points": [(1, 2)], "labels": [0]}, "give a box, a mask, or a point on the object"),
        ({"points": [(1, 2)], "labels": [1, 0]}, "a label of 0 or 1 for each of 1 points"),
        ({"points": [(1, 2)], "labels": [2]}, "a label of 0 or 1"),
        ({"points": [(1, float("nan"))]}, "finite numbers"),
        ({"box": (1, 2, 1, 9)}, "at least 2 pixels"),
        ({"mask": np.zeros((2, 3, 4))}, "mask H×W"),
    ],
)
def test_what_means_no_object_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        Prompt(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"points": [(61, 5)]}, "point 61,5: outside the image of 60×40"),
        ({"box": (59, 5, 10, 10)}, "box 59,5,10,10: outside the image of 60×40"),
        ({"mask": np.ones((40, 61))}, "does not match"),
    ],
)
def test_prompts_outside_a_frame_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Prompt(**options).check_inside((40, 60))
