"""Crops around prompts, and the planes that prompts are drawn into."""

import numpy as np
import pytest

from aotlab.media.prompt import Prompt
from aotlab.prompting.planes import MIN_CROP, CropBox, draw_prompt_planes, find_crop


def test_points_and_boxes_are_drawn_in_crop_coordinates():
    prompt = Prompt(points=[(30, 30), (60, 60)], labels=[1, 0], box=(20, 20, 20, 10))
    other = Prompt(points=[(50, 30)], scribble=[(80, 50)])
    planes = draw_prompt_planes(prompt, [other], CropBox(20, 20, 84, 84), (129, 129))
    assert planes.shape == (4, 129, 129)
    assert planes[0, 21, 21] == 1
    assert planes[0, 40, 40] == 0
    assert planes[1, 81, 81] == 1
    assert planes[1, 21, 61] == planes[1, 60, 120] == 1, "positive points of another object are negative ones"
    place = (30 - 20 + 0.5) * 129 / 64 - 0.5  # whole numbers are the middles of pixels
    assert planes[0].nonzero().float().mean(0).tolist() == pytest.approx([place] * 2, abs=0.2)
    assert planes[2, :20, :40].all()
    assert not planes[2, 22:, :].any()
    assert not planes[3].any()


def test_box_below_a_pixel_of_the_network_is_drawn():
    for box in ((105, 105, 3, 3), (1918, 1078, 2, 2)):
        planes = draw_prompt_planes(Prompt(box=box), [], CropBox(0, 0, 1920, 1080), (177, 321))
        assert planes[2].sum() == 1


def test_stroke_has_no_gaps():
    plane = draw_prompt_planes(Prompt(scribble=[(5, 20), (60, 20)]), [], CropBox(0, 0, 64, 64), (65, 65))[0]
    assert plane[20, 5:60].all()
    assert not plane[30].any()


def test_crop_covers_prompt_and_mask_within_frame():
    size = (300, 400)
    rough = np.zeros(size)
    rough[20:140, 60:100] = 0.9
    assert find_crop(Prompt(points=[(80, 30)]), size, 0.1, rough) == (8, 8, 152, 152)
    assert find_crop(Prompt(box=(300, 200, 100, 100)), size, 0.25)[2:] == (400, 300)


def test_crop_of_a_small_object_has_surroundings():
    left, top, right, bottom = find_crop(Prompt(box=(200, 100, 10, 6)), (300, 400), 0.15)
    assert (right - left, bottom - top) == (MIN_CROP, MIN_CROP)
    assert left < 200 < 210 < right
