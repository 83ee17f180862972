"""Prompts of one object."""

import numpy as np
import pytest

from aotlab.media.prompt import Prompt, mask_to_box
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import draw_square


def test_clicks_are_split_by_their_labels():
    prompt = Prompt(points=[(1, 2), (3, 4), (5, 6)], labels=[1, 0, 1])
    assert prompt.positive_points == [(1, 2), (5, 6)]
    assert prompt.negative_points == [(3, 4)]
    assert Prompt(points=[(1, 2)]).positive_points == Prompt(points=(1, 2)).positive_points == [(1, 2)]


@pytest.mark.parametrize(("options", "words"), [
    ({"mask": np.zeros((2, 3))}, "a mask that is not empty"),
    ({"points": [(1, 2)], "labels": [0]}, "nothing on the object; give a box, a mask that is not empty"),
    ({"points": [(1, 2)], "labels": [1, 0]}, "a label of 0 or 1 for each of 1 points"),
    ({"points": 5}, "pairs"),
    ({"points": [(1, 2), (3, [4])]}, "pairs"),
    ({"points": [[(1, 2)]]}, "pairs"),
    ({"points": (1, 2), "scribble": 5}, "pairs"),
    ({"box": (10, 20, 1, 5)}, "in pixels, at least 2 each"),
    ({"box": (10, 20, 5)}, "in pixels, at least 2 each"),
])  # fmt: skip
def test_prompt_without_object_rejected(options, words):
    with pytest.raises(InputError, match=words):
        Prompt(**options)


def test_prompt_takes_lists_and_arrays():
    assert Prompt(mask=[[1, 0]]).mask.shape == (1, 2)
    assert Prompt(box=np.array([150, 2, 310, 410])).box == (150, 2, 310, 410)
    assert Prompt(box=(1, 1, 2, 2), exclude=[[1, 0]]).exclude.tolist() == [[True, False]]
    points = np.array([[1, 2], [3, 4]])
    prompt = Prompt(points, np.array([1, 0]), scribble=points)
    assert (prompt.points, prompt.labels, prompt.scribble) == (((1, 2), (3, 4)), (1, 0), ((1, 2), (3, 4)))
    hash(prompt)  # as a key of a cache


def test_prompts_with_different_masks_differ():
    assert Prompt(mask=np.eye(2)) != Prompt(mask=np.ones((2, 2)))


def test_points_of_the_first_pixels_are_points():
    for point in ((0.4, 60), (0, 0), (1, 1)):
        assert Prompt(points=[point]).positive_points == [point]
    assert Prompt(points=[(0.5, 0.5), (0, 7)]).positive_points == [(0.5, 0.5), (0, 7)]


@pytest.mark.parametrize(("options", "words"), [
    ({"points": [(61, 5)]}, "point 61,5: outside the image of 60×40"),
    ({"points": [(5, 42)]}, "point 5,42: outside the image of 60×40"),
    ({"points": [(-1, 5)]}, "point -1,5: outside the image of 60×40"),
    ({"points": [(5, -1)]}, "point 5,-1: outside the image of 60×40"),
    ({"box": (59, 5, 10, 10)}, "box 59,5,10,10: outside the image of 60×40"),
    ({"mask": np.ones((40, 61))}, "does not match"),
    ({"mask": np.ones((40, 60, 3))}, "does not match"),
    ({"points": [(1, 2)], "exclude": np.ones((40, 61), bool)}, "exclude of shape .* does not match"),
])  # fmt: skip
def test_prompt_outside_the_frame_rejected(options, words):
    with pytest.raises(InputError, match=words):
        Prompt(**options).crop_box((40, 60))


@pytest.mark.parametrize(("box", "expected", "warns"), [
    ((0, 0, 60, 40), (0, 0, 60, 40), False),
    ((-2, 5, 20, 36), (0, 5, 18, 35), False),
    ((40, 20, 40, 10), (40, 20, 20, 10), True),
    ((58, 38, 40, 10), (58, 38, 2, 2), True),
    ((20, 5, 42, 20), (20, 5, 40, 20), False),
    ((20, 5, 61, 20), (20, 5, 40, 20), True),
    ((20, 15, 50, 16), (20, 15, 40, 16), True),
    ((-1, 5, 60, 40), (0, 5, 59, 35), True),
])  # fmt: skip
def test_box_is_cropped_to_the_frame(box, expected, warns, caplog):
    assert Prompt(box=box, points=[(-0.5, 40)]).crop_box((40, 60)).box == expected
    assert ("extends beyond the image (60×40)" in caplog.text) == warns


@pytest.mark.parametrize(("box", "corrected"), [
    ((20, 5, 45, 20), "20,5,25,15"), ((5, 20, 20, 40), "5,20,15,20"), ((30, 20, 60, 40), "30,20,30,20"),
])  # fmt: skip
def test_box_that_fits_as_two_corners_only_rejected(box, corrected):
    words = f"extends beyond the image of 60×40, .* two corners; give left, top, width and height, here {corrected}$"
    with pytest.raises(InputError, match=words):
        Prompt(box=box).crop_box((40, 60))
    assert Prompt.from_corners(*box).crop_box((40, 60)).box == tuple(map(float, corrected.split(",")))


def test_corners_may_be_given_in_any_order():
    assert Prompt.from_corners(10, 20, 40, 60).box == Prompt.from_corners(40, 20, 10, 60).box == (10, 20, 30, 40)
    assert Prompt.from_corners(*np.array([10.5, 20, 40, 60])).box == (10.5, 20, 29.5, 40)


@pytest.mark.parametrize(("corners", "words"), [
    ((10, 20, 11, 60), "at least 2 each"), ((10, 20, None, 60), "corners .*expected x1, y1, x2 and y2 in pixels"),
    ((10, 20, float("inf"), 60), "corners"), ((0.1, 0.1, 0.5, 0.6), "not in pixels"),
])  # fmt: skip
def test_invalid_corners_rejected(corners, words):
    with pytest.raises(InputError, match=words):
        Prompt.from_corners(*corners)


def test_box_holds_all_pixels_of_an_object():
    assert mask_to_box(draw_square(10, 30) == 1) == (30, 10, 20, 20)
    assert mask_to_box(np.eye(4) * [0, 1, 0, 0] > 0) == (1, 1, 2, 2)  # the smallest box of a prompt


FRACTIONS = "not in pixels; multiply fractions of the image by its width and height"


@pytest.mark.parametrize("options", [
    {"points": [(0.5, 0.5)]}, {"points": (0.5, 1)}, {"points": [(0, 0.3), (0.7, 0.9)], "labels": [1, 0]},
    {"box": (0.1, 0.2, 0.5, 1)}, {"scribble": [(0.1, 0.2), (0.3, 0.4)]},
])  # fmt: skip
def test_fractions_of_the_image_rejected(options):
    with pytest.raises(InputError, match=FRACTIONS):
        Prompt(**options)


@pytest.mark.parametrize("value", [255, 1.5, -0.1, float("nan")])
def test_mask_beyond_probabilities_rejected(value):
    with pytest.raises(InputError, match="probabilities in 0 to 1"):
        Prompt(mask=np.full((4, 6), value))
