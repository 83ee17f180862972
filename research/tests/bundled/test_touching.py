"""Clips of similar objects that touch; identity switches and calibration."""

from pathlib import Path

import numpy as np
import pytest

from aotlab.dataloaders.training.clips import Clip
from aotlab.dataloaders.training.sets import ImageSet
from aotlab_testing.in_memory import rng, write_videos
from research.bundled.benchmark_touching import (
    count_switches,
    expected_calibration_error,
    find_touching_ids,
    fit_temperature,
    main,
    softmax_with_temperature,
)
from research.bundled.touching_clips import (
    Cutout,
    Joint,
    compose_people_clip,
    compute_part,
    cut_out_object,
    draw_cutouts,
    draw_joints,
    match_colors,
    open_static_part,
    paste_touching,
)

SIDE = 96


def disc(color, side=50):
    rows, columns = np.mgrid[:side, :side] - side / 2 + 0.5
    mask = (rows**2 + columns**2 < (side / 2) ** 2).astype(np.float32)
    return Cutout(np.full((side, side, 3), color, np.uint8), mask)


def ground(frames=8, *, labeled=False):
    labels = np.zeros((frames, SIDE, SIDE), np.uint8)
    labels[:, :20, :20] = labeled
    return Clip(np.full((frames, SIDE, SIDE, 3), 40, np.uint8), labels, int(labeled), ("ground",))


class MemoryImage:
    """An image in memory with two squares."""

    def __init__(self, name, *, gray=100, side=60):
        self.image, self.gray, self.side = Path(name), gray, side

    def read(self):
        return np.full((self.side, self.side, 3), self.gray, np.uint8), self.read_mask()

    def read_mask(self):
        labels = np.zeros((self.side, self.side), np.uint8)
        labels[:25, :25], labels[30:55, 30:55] = 1, 2
        return labels[: self.side, : self.side]


def touching(seed, **options):
    cutouts = [disc((200, 60, 60)), disc((200, 70, 60))]
    return paste_touching(ground(), cutouts, rng(seed), **{"max_objects": 10, **options})


def test_two_objects_meet_in_most_clips():
    clips = [touching(seed) for seed in range(30)]
    assert sum(clip.num_objects == 2 for clip in clips) >= 27
    met = [any(len(find_touching_ids(labels)) == 2 for labels in clip.labels) for clip in clips]
    assert sum(met) >= 20
    assert sum(len(find_touching_ids(clip.labels[0])) == 0 for clip in clips) >= 8  # some begin apart


def test_labels_match_the_pasted_pixels():
    for seed in range(5):
        clip = touching(seed)
        inside = clip.labels > 0
        assert (clip.frames[inside][:, 0] > 110).mean() > 0.95  # all but the soft outline
        assert (clip.frames[~inside][:, 0] < 130).mean() > 0.97
        assert (clip.frames == touching(seed).frames).all()


def test_background_objects_stay_below():
    clip = paste_touching(ground(labeled=True), [disc((200, 60, 60))] * 3, rng(1), max_objects=10)
    assert clip.num_objects == 4
    assert paste_touching(ground(labeled=True), [disc((200, 60, 60))] * 3, rng(1), max_objects=2).num_objects == 2


def test_clip_of_two_people_has_no_other_object():
    sets = {"CCP": 200, "PennFudan": 200, "ECSSD": 60}
    shown = [MemoryImage(f"{name}/{number}.jpg", gray=gray) for name, gray in sets.items() for number in range(2)]
    clip = compose_people_clip(ImageSet(tuple(shown)), rng(2), 6, SIDE)
    assert clip.num_objects == 2
    assert (clip.frames[clip.labels > 0] > 120).mean() > 0.9
    assert (clip.frames[clip.labels == 0] < 120).mean() > 0.9


def test_joint_turns_one_side_only():
    joint = Joint(np.array([10.0, 10.0]), np.array([1.0, 0.0]), 0.5, swing=0.4, rate=0.25, phase=0.0)
    still, swinging = np.array([0.0, 10.0]), np.array([30.0, 10.0])
    assert joint.bend(still, 1.0) == pytest.approx(still, abs=0.01)
    moved = joint.bend(swinging, 1.0) - joint.pivot
    assert np.hypot(*moved) == pytest.approx(20)
    assert abs(np.arctan2(moved[1], moved[0])) == pytest.approx(0.4)
    assert joint.bend(swinging, 0.0) == pytest.approx(swinging)
    assert 1 <= len(draw_joints(disc(0), rng(0))) <= 3


def test_object_is_cut_out_of_its_box():
    image, labels = MemoryImage("a").read()
    cutout = cut_out_object(image, labels, rng(0))
    assert cutout.mask.shape == (25, 25)
    assert cutout.mask.all()
    assert cut_out_object(image, np.where(labels, 255, 0).astype(np.uint8), rng(0)) is None


def test_colors_move_towards_another_object():
    blue, red = disc((20, 40, 200)), disc((200, 60, 50))
    moved = match_colors(blue, red, 1.0)
    assert np.abs(moved.image.astype(int) - red.image).max() <= 4
    assert (match_colors(blue, red, 0.0).image.astype(int) - blue.image).max() <= 4


def test_cutouts_come_from_the_same_folder():
    grays = [MemoryImage(f"{gray}/{number}.jpg", gray=gray) for gray in (50, 200) for number in range(2)]
    images = ImageSet(tuple(grays), balance=1.0)
    for seed in range(10):
        found = draw_cutouts(images, 3, rng(seed))
        assert 2 <= len(found) <= 3
        assert all((cutout.image == 200).all() for cutout in found)
    assert draw_cutouts(ImageSet((MemoryImage("small", side=10),)), 0, rng(0)) == []


def test_parts_divide_all_images(tmp_path):
    write_videos(tmp_path / "static", "a", frames=60, size=(64, 64))
    parts = [
        {image.image for image in open_static_part(tmp_path, part).images}
        for part in {compute_part(path) for path in tmp_path.glob("static/JPEGImages/*/*")}
    ]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60


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


def test_calibration_error_is_the_probability_gap():
    right = np.arange(100) < 70
    assert expected_calibration_error(np.full(100, 0.7), right) == pytest.approx(0)
    assert expected_calibration_error(np.full(100, 0.9), right) == pytest.approx(0.2)
    assert expected_calibration_error(np.ones(100), right) == pytest.approx(0.3)


def test_fitted_temperature_matches_the_true_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    logits[:2000, 2] = -np.inf
    probabilities = softmax_with_temperature(logits, 1.0)
    truth = np.array([rng.choice(3, p=each) for each in probabilities])
    assert not (truth[:2000] == 2).any()
    assert fit_temperature(2.5 * logits, truth) == pytest.approx(2.5, rel=0.1)
    overconfident, fitted = (softmax_with_temperature(2.5 * logits, t).max(1) for t in (1.0, 2.5))
    right = logits.argmax(1) == truth
    assert expected_calibration_error(fitted, right) < 0.5 * expected_calibration_error(overconfident, right)


def test_one_clip_rejected_as_calibration_needs_two(tmp_path, capsys):
    assert main([str(tmp_path), "--clips", "1"]) == 2
    assert "--clips: must be a whole number, 2 to 2147483647, got 1" in capsys.readouterr().err
