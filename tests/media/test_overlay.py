"""Overlays and strips."""

from functools import partial

import numpy as np
import pytest
import torch

from aotlab.media.overlay import concat_images, draw_ids, draw_names, draw_overlay
from aotlab.utils.errors import InputError
from aotlab_testing.drawn_clips import draw_box, draw_square

square = partial(draw_square, 20, 20)


def draw_gray(height=60, width=80):
    return np.full((height, width, 3), 100, dtype=np.uint8)


def test_objects_have_their_hue_and_a_contour():
    image = draw_overlay(draw_gray(), square(1)).astype(int)
    assert image[30, 30].tolist() == [139, 55, 55]  # 45 % of a brightened dark red
    np.testing.assert_array_equal(image[:15], 100)
    np.testing.assert_array_equal(image[:, 50:], 100)
    green_square = draw_overlay(draw_gray(), square(2)).astype(int)
    assert green_square[20, 30, 1] > green_square[30, 30, 1]
    assert all(green_square[place].max() < 100 for place in ((19, 30), (40, 30), (30, 19), (30, 40)))


def test_large_image_has_a_wide_contour():
    labels = draw_box((900, 1000), (200, 400), (200, 400))
    column = draw_overlay(draw_gray(900, 1000), labels)[:, 300].tolist()
    assert column[195] == [100] * 3
    assert column[198] == [35] * 3  # the halo outside, of 3 pixels
    assert column[201] == [255, 77, 77]
    assert column[204] == [139, 55, 55]


def test_frame_is_not_modified():
    frame = draw_gray()
    draw_overlay(frame, square(3))
    np.testing.assert_array_equal(frame, 100)
    image = draw_overlay(frame, square(0))
    np.testing.assert_array_equal(image, frame)
    assert image is not frame


def test_labels_of_another_size_rejected():
    with pytest.raises(InputError, match=r"got a frame of \(60, 80, 3\) uint8 and ids of \(10, 80\)"):
        draw_overlay(draw_gray(), square(1)[:10])
    with pytest.raises(InputError, match=r"got a frame of \(60, 80, 3\) float64"):
        draw_overlay(draw_gray() / 255, square(1))
    with pytest.raises(InputError, match=r"got a frame of \(60, 80\) uint8"):
        draw_overlay(draw_gray()[..., 0], square(1))
    with pytest.raises(InputError, match=r"object ids H×W from 0, got .* from -1"):
        draw_overlay(draw_gray(), -square(1).astype(int))


@pytest.mark.parametrize("convert", [torch.from_numpy, np.ndarray.tolist])
def test_tensors_and_lists_are_drawn(convert):
    frame = draw_gray()
    labels = square(1)
    given = torch.from_numpy(frame) if convert is torch.from_numpy else frame
    np.testing.assert_array_equal(draw_overlay(given, convert(labels)), draw_overlay(frame, labels))
    np.testing.assert_array_equal(draw_overlay(frame, labels > 0), draw_overlay(frame, labels))


@pytest.mark.parametrize(("labels", "message"), [
    (np.full((60, 80), np.nan), "labels: object ids must be integers, got float64"),
    (torch.full((60, 80), 0.5), "labels: object ids must be integers, got float32"),
    ([[1, 2], [3]], r"labels: expected an array, got list \(.*inhomogeneous"),
    ([["a"] * 80] * 60, "labels: object ids must be integers, got <U1"),
])  # fmt: skip
def test_labels_that_are_no_ids_rejected(labels, message):
    with pytest.raises(InputError, match=f"draw_overlay: {message}"):
        draw_overlay(draw_gray(), labels)


def test_images_are_joined_with_white_gaps():
    image = concat_images([draw_gray(4, 3), draw_gray(4, 5)], gap=2)
    assert image.shape == (4, 10, 3)
    np.testing.assert_array_equal(image[:, 3:5], 255)
    np.testing.assert_array_equal(np.delete(image, [3, 4], axis=1), 100)


def test_ids_are_drawn_where_objects_are_widest():
    labels = np.zeros((60, 120), np.uint8)
    labels[10:50, 10:50], labels[10:50, 70:110] = 7, 8
    frame = np.full((60, 120, 3), 90, np.uint8)
    plain = draw_overlay(frame, labels)
    image = draw_ids(plain, labels)
    changed = np.argwhere((image != plain).any(axis=-1))
    for left in (10, 70):
        label = changed[(changed[:, 1] >= left) & (changed[:, 1] < left + 40)]
        assert len(label) > 10
        assert np.abs(label.mean(axis=0) - (30, left + 20)).max() < 4
    sevens, eights = image[:, 10:50], image[:, 70:110]
    assert (sevens != eights).any()


def test_names_are_drawn_at_centers():
    labels = np.zeros((60, 120), np.uint8)
    labels[10:50, 70:110] = 7
    frame = np.full((60, 120, 3), 90, np.uint8)
    changed = np.argwhere((draw_names(frame, labels, {7: "größe", 8: "absent"}) != frame).any(axis=-1))
    assert np.abs(changed.mean(axis=0) - (30, 90)).max() < 4


def test_single_pixels_and_ids_of_no_object_are_drawn():
    labels = np.zeros((60, 80), np.uint16)
    frame = np.zeros((60, 80, 3), np.uint8)
    np.testing.assert_array_equal(draw_ids(frame, labels), frame)
    labels[0, 0], labels[59, 79] = 1, 65535
    drawn = draw_ids(frame, labels).any(axis=-1)
    assert drawn[:30, :40].any()
    assert drawn[30:, 40:].any()
    assert not drawn[30:, :20].any()


@pytest.mark.parametrize("background", [0, 20])
def test_more_than_twelve_objects_are_fainter(background):
    def draw_object(count):
        """Mean change of the first object's pixels, beside ``count`` - 1 others."""
        labels = np.repeat(np.arange(1, count + 1), 20) * np.ones((20, 1), int)
        labels = np.pad(labels, ((0, 0), (0, background)))
        frame = draw_gray(*labels.shape)
        return np.abs(draw_overlay(frame, labels)[:, :10].astype(int) - frame[:, :10]).mean()

    assert draw_object(12) == draw_object(2) > draw_object(13) > 0
