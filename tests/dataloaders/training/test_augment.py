"""Augmentation: crops that show an object, labels that follow their pixels, colors."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from aotlab.dataloaders.training.augment import (
    CROP_TRIES,
    FILL,
    _move_and_crop,
    _window_on_object,
    count_ids,
    make_image_clip,
    make_video_clip,
)
from aotlab_testing.in_memory import CROP, color_mask, phase, rng


def draw_rectangle(shape=(50, 70), value=3):
    """A bright rectangle of an object on black, and its mask."""
    mask = np.zeros(shape, np.uint8)
    mask[15:40, 20:50] = value
    return np.where(mask[..., None] > 0, 255, 0).repeat(3, -1).astype(np.uint8), mask


def make_clip(kind, image, mask, seed=0, **options):
    """Frames and labels of a clip of this image, as a single one or as a video that stands still."""
    settings = phase(**{"clip_length": 4, **options})
    if kind == "static":
        return make_image_clip(image, mask, settings, rng(seed))
    return make_video_clip([image] * 4, [mask] * 4, settings, rng(seed))


@pytest.mark.parametrize("augmentation", ["aot", "deaot"])
@pytest.mark.parametrize("kind", ["static", "video"])
@pytest.mark.parametrize("shape", [(50, 70), (200, 31), (65, 65), (30, 31), (400, 300)])
def test_frames_and_masks_have_the_size_of_the_crop(kind, shape, augmentation):
    frames, labels = make_clip(kind, *draw_rectangle(shape), augmentation=augmentation, thin_plate=0.5)
    assert (frames.shape, frames.dtype) == ((4, CROP, CROP, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((4, CROP, CROP), np.uint8)


@pytest.mark.parametrize(("kind", "thin_plate"), [("static", 0.0), ("static", 1.0), ("video", 0.0)])
@pytest.mark.parametrize("seed", range(2))
def test_labels_follow_their_pixels(kind, thin_plate, seed):
    image, mask = draw_rectangle((120, 160), value=3)
    mask[30:90, 40:120] = 3
    image[mask > 0] = 255
    options = {"augmentation": "aot", "short_edge": 100}  # the colors of deaot hide the fill
    frames, labels = make_clip(kind, image, mask, seed, thin_plate=thin_plate, **options)
    assert set(np.unique(labels)) == {0, 3}
    # Images are interpolated and masks are not: they may part along the outline.
    assert ((frames.mean(-1) > 180) == (labels == 3)).mean() > 0.96


def test_reference_frame_of_an_image_is_not_turned():
    image = color_mask(np.repeat(np.arange(1, 17, dtype=np.uint8), 10)[None].repeat(120, 0))
    turned = 0
    for seed in range(10):
        _, labels = make_clip("static", image, image[..., 0], seed)
        assert (labels[0] == labels[0][:1]).all()
        turned += not (labels[1] == labels[1][:1]).all()
    assert turned == 10


def test_large_image_is_averaged():
    image = np.indices((8 * CROP, 8 * CROP)).sum(0)[..., None].repeat(3, -1) % 2 * 255
    frames, _ = make_clip("static", image.astype(np.uint8), np.ones(image.shape[:2], np.uint8))
    assert frames[0].std() < 5


def test_crop_contains_object_on_reference_frame():
    # One object beside ignored pixels in a wide image, which a single random crop shows about one time in six.
    image, mask = np.zeros((65, 400, 3), np.uint8), np.full((65, 400), 255, np.uint8)
    mask[:, :60], mask[::8, 60::8] = 1, 2  # no crop shows 100 pixels of 2
    shown = [
        count_ids(make_video_clip([image], [mask], phase(short_edge=65), rng(seed))[1][0])[1] > 100
        for seed in range(60)
    ]
    assert np.mean(shown) > 0.45


@pytest.mark.parametrize(("pixels", "tries"), [(100, CROP_TRIES), (101, 1)])
def test_crop_of_few_object_pixels_is_drawn_again(pixels, tries):
    reference, draws = np.zeros((CROP, CROP), np.uint8), Mock(wraps=rng())
    reference.flat[:pixels] = 1
    _window_on_object(reference, CROP, draws)
    assert draws.integers.call_count == 2 * tries  # rows and columns


def test_all_frames_of_a_video_are_cut_alike():
    mask = rng().integers(1, 9, (80, 120), dtype=np.uint8)
    other = np.roll(mask, 1, axis=1)
    _, labels = make_video_clip([color_mask(mask), color_mask(other)], [mask, other], phase(short_edge=100), rng(4))
    _, alone = make_video_clip([color_mask(mask)], [mask], phase(short_edge=100), rng(4))
    np.testing.assert_array_equal(labels[0], alone[0])
    assert not np.array_equal(labels[1], alone[0])


def test_small_video_is_padded_with_uniform_color():
    places = set()
    for seed in range(10):
        image, mask = np.full((32, 48, 3), 200, np.uint8), np.full((32, 48), 1, np.uint8)
        settings = phase(short_edge=32, augmentation="deaot")
        frames, labels = make_video_clip([image], [mask], settings, rng(seed))
        outside = labels[0] == 0
        assert (frames[0][outside] == FILL).all()  # no jitter, blur or gray there
        rows, columns = np.nonzero(~outside)
        assert (~outside)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
        places.add((int(rows.min()), int(columns.min())))
    assert len(places) > 5


def test_scale_of_a_video_is_random_around_its_short_edge():
    image, mask = np.zeros((60, 90, 3), np.uint8), np.ones((60, 90), np.uint8)
    heights = []
    for seed in range(100):
        _, labels = make_video_clip([image], [mask], phase(short_edge=40), rng(seed))
        heights.append(int(labels[0].any(axis=1).sum()))
    assert 27 <= min(heights) <= 30  # 0.7 times 40 is 28
    assert 50 <= max(heights) <= 52  # 1.3 times 40 is 52


@pytest.mark.parametrize(("augmentation", "kind", "changed"), [
    ("aot", "static", True), ("aot", "video", False), (None, "video", False), ("deaot", "static", True),
    ("deaot", "video", True),
])  # fmt: skip
def test_augmentations_change_expected_colors(augmentation, kind, changed):
    image, mask = np.full((80, 80, 3), (180, 90, 40), np.uint8), np.ones((80, 80), np.uint8)
    means = []
    for seed in range(6):
        frames, labels = make_clip(kind, image, mask, seed, augmentation=augmentation)
        means += [frame[label == 1].mean(0) for frame, label in zip(frames, labels, strict=True) if label.any()]
    assert bool(np.std(means, axis=0).max() > 2) is changed


def test_flipped_spline_mirrors_the_image():
    image, mask = rng().integers(0, 256, (CROP, CROP, 3), dtype=np.uint8), np.eye(CROP, dtype=np.uint8)
    flat = SimpleNamespace(random=lambda: 0.0, normal=lambda mean, deviation, shape: np.zeros(shape))
    frame, label = _move_and_crop(image, mask, (0, 0, CROP, CROP), phase(thin_plate=1.0), flat)
    np.testing.assert_array_equal(frame, image[:, ::-1])
    np.testing.assert_array_equal(label, mask[:, ::-1])


def test_thin_plates_bend_and_affine_maps_do_not():
    mask = np.repeat(np.arange(1, 17, dtype=np.uint8), 10)[None].repeat(160, 0)

    def measure_bend(thin_plate, seed):
        """How far the outline between two stripes is from a straight line, in pixels."""
        _, labels = make_clip("static", color_mask(mask), mask, seed, thin_plate=thin_plate, crop=160)
        label = labels[1].astype(int)
        edge = np.array([np.flatnonzero(np.diff(row == 8)).mean() if (row == 8).any() else np.nan for row in label])
        rows = np.flatnonzero(~np.isnan(edge))[8:-8]
        line = np.polyfit(rows, edge[rows], 1)
        return np.abs(np.polyval(line, rows) - edge[rows]).max()

    bent = [measure_bend(1.0, seed) for seed in range(8)]
    straight = [measure_bend(0.0, seed) for seed in range(8)]
    assert np.median(bent) > 2
    assert np.median(straight) < 1.5
