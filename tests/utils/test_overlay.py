"""Overlays and strips."""

import numpy as np
import pytest

from aotlab.utils.masks import colour_of
from aotlab.utils.overlay import overlay, strip


def grey(height=60, width=80):
    return np.full((height, width, 3), 100, dtype=np.uint8)


def square(label, dtype=np.uint8):
    labels = np.zeros((60, 80), dtype=dtype)
    labels[20:40, 20:40] = label
    return labels


def test_objects_take_the_hue_of_their_palette_colour():
    picture = overlay(grey(), square(1))
    red, green, blue = picture[30, 30].astype(int)
    assert red > 100
    assert green == blue < 100


def test_pixels_away_from_objects_stay_as_they_are():
    picture = overlay(grey(), square(1))
    assert (picture[:15] == 100).all()
    assert (picture[:, 50:] == 100).all()


def test_the_contour_is_brighter_inside_and_darker_outside():
    picture = overlay(grey(), square(2)).astype(int)
    assert picture[20, 30, 1] > picture[30, 30, 1]
    assert picture[19, 30].max() < 100


def test_the_frame_is_not_changed_and_no_object_means_no_change():
    frame = grey()
    overlay(frame, square(3))
    assert (frame == 100).all()
    picture = overlay(frame, square(0))
    assert (picture == frame).all()
    assert picture is not frame


def test_ids_above_255_are_drawn():
    assert (overlay(grey(), square(256, np.uint16))[30, 30] == overlay(grey(), square(1))[30, 30]).all()
    assert (colour_of(np.array([256])) == colour_of(np.array([1]))).all()


def test_opacity_zero_leaves_the_inside_alone():
    assert (overlay(grey(), square(1), opacity=0)[30, 30] == 100).all()


def test_a_wrong_size_or_opacity_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        overlay(grey(), square(1)[:10])
    with pytest.raises(ValueError, match="opacity"):
        overlay(grey(), square(1), opacity=1.5)


def test_a_strip_puts_pictures_side_by_side_with_white_gaps():
    picture = strip([grey(4, 3), grey(4, 5)], gap=2)
    assert picture.shape == (4, 10, 3)
    assert (picture[:, 3:5] == 255).all()
    assert (np.delete(picture, [3, 4], axis=1) == 100).all()


@pytest.mark.parametrize("pictures", [[], [grey(4, 3), grey(5, 3)]])
def test_a_strip_needs_pictures_of_one_height(pictures):
    with pytest.raises(ValueError, match="one height"):
        strip(pictures)
