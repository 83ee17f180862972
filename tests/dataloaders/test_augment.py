"""Augmentation: crops that show an object, labels that follow their pixels, colours."""

from __future__ import annotations

import numpy as np
import pytest

from dataloaders.augment import FILL, jitter_colours, place_static, place_video

CROP = 65


def rng(seed=0):
    return np.random.default_rng(seed)


def painted(shape=(50, 70), value=3):
    """A bright rectangle of an object on black, and its mask."""
    mask = np.zeros(shape, np.uint8)
    mask[15:40, 20:50] = value
    return np.where(mask[..., None] > 0, 255, 0).repeat(3, -1).astype(np.uint8), mask


@pytest.mark.parametrize("shape", [(50, 70), (200, 31), (65, 65)])
def test_a_single_image_gives_frames_and_masks_of_the_crop(shape):
    frames, labels = place_static(*painted(shape), 4, CROP, rng())
    assert (frames.shape, frames.dtype) == ((4, CROP, CROP, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((4, CROP, CROP), np.uint8)


@pytest.mark.parametrize("shape", [(50, 70), (200, 100), (30, 31)])
def test_a_video_gives_frames_and_masks_of_the_crop(shape):
    image, mask = painted(shape)
    frames, labels = place_video(np.stack([image] * 3), np.stack([mask] * 3), CROP, 72, rng())
    assert (frames.shape, frames.dtype) == ((3, CROP, CROP, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((3, CROP, CROP), np.uint8)


@pytest.mark.parametrize("kind", ["static", "video"])
@pytest.mark.parametrize("seed", range(5))
def test_labels_follow_their_pixels(kind, seed):
    image, mask = painted((120, 160), value=3)
    mask[30:90, 40:120] = 3
    image[mask > 0] = 255
    if kind == "static":
        frames, labels = place_static(image, mask, 4, CROP, rng(seed))
    else:
        frames, labels = place_video(np.stack([image] * 4), np.stack([mask] * 4), CROP, 100, rng(seed))
    fill = (frames == np.array(FILL, np.uint8)).all(-1)
    bright = (frames.mean(-1) > 127) & ~fill
    assert set(np.unique(labels)) <= {0, 3}
    # Pictures are interpolated and masks are not: they may part along the outline and the border's fill.
    assert (bright == (labels == 3)).mean() > 0.95
    assert (labels == 3).any()


def test_frames_of_a_single_image_differ_and_frames_of_a_still_video_do_not():
    image, mask = painted((120, 160))
    frames, _ = place_static(image, mask, 3, CROP, rng())
    assert not np.array_equal(frames[1], frames[2])
    frames, _ = place_video(np.stack([image] * 3), np.stack([mask] * 3), CROP, 100, rng())
    assert np.array_equal(frames[0], frames[2])


def test_a_crop_looks_for_an_object_on_the_reference_frame():
    # One object in the corner of a wide picture, which a single random crop rarely shows.
    image, mask = np.zeros((65, 400, 3), np.uint8), np.zeros((65, 400), np.uint8)
    mask[:, :60] = 1
    shown = [
        (place_video(image[None], mask[None], CROP, 65, rng(seed))[1] == 1).sum() > 100 for seed in range(40)
    ]
    # Five tries that each succeed about one time in three.
    assert np.mean(shown) > 0.6


def test_colours_change_alike_for_all_frames_of_a_video_and_not_at_strength_zero():
    frames = rng().integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    frames[1] = frames[0]
    changed = jitter_colours(frames, rng(), strength=0.3)
    assert np.array_equal(changed[0], changed[1])
    assert not np.array_equal(changed, frames)
    # Truncation to whole grey levels may lose one.
    assert np.abs(jitter_colours(frames, rng(), strength=0).astype(int) - frames).max() <= 1
