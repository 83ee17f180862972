"""Clips composed of two: scale, motion, occlusion, and matching labels."""

import math

import numpy as np
import pytest

from aotlab.dataloaders.training.clips import (
    MIN_VISIBLE,
    Clip,
    Motion,
    compose_clips,
    random_entering_motion,
    random_motion,
)
from aotlab_testing.in_memory import rng

SIDE = 80
FIRST, SECOND = 60, 220
"""Grays of the two clips' objects; their backgrounds are 0 and 120."""


def make_square(gray, ground, left, top, side):
    """A clip of a gray square that stands still."""
    labels = np.zeros((4, SIDE, SIDE), np.uint8)
    labels[:, top : top + side, left : left + side] = 1
    images = np.where(labels[..., None] > 0, np.uint8(gray), np.uint8(ground)).repeat(3, axis=-1)
    return Clip(images, labels, 1, (f"gray {gray}",))


def compose(seed, **options):
    return compose_clips(
        make_square(FIRST, 0, 25, 25, 30),
        make_square(SECOND, 120, 10, 10, 40),
        rng(seed),
        **{"max_objects": 10, **options},
    )


def compose_all(seeds=range(40)):
    return [compose(seed) for seed in seeds]


def test_composed_clip_holds_the_objects_of_both():
    clips = compose_all()
    assert all(clip.names == ("gray 60", "gray 220") for clip in clips)
    assert all(set(np.unique(clip.labels[0])) == {0, *range(1, clip.num_objects + 1)} for clip in clips)
    # Not every draw of a motion leaves both objects in sight, but few tries in a row fail.
    assert sum(clip.num_objects == 2 for clip in clips) >= 36


def test_labels_lie_on_the_pasted_pixels():
    for clip in compose_all(range(10)):
        inner = np.abs(clip.frames[..., 0].astype(int) - SECOND) < 3
        number = {int(value) for value in np.unique(clip.labels[inner]) if value}
        assert len(number) == 1
        covered = clip.labels == number.pop()
        assert (clip.frames[covered][:, 0] > 105).mean() > 0.95  # all but slivers, as the outline is soft
        assert covered[inner].all()


def test_pasted_objects_lie_over_or_under_the_first():
    first = [clip.frames[:, 28:52, 28:52, 0].astype(int) for clip in compose_all()]
    assert 10 < sum((np.abs(pixels - FIRST) > 3).any() for pixels in first) < 30


def test_pasted_objects_move_and_change_their_size():
    moved, grown = [], []
    for clip in compose_all():
        second = [np.argwhere(frame[..., 0] > 200) for frame in clip.frames]
        if len(second[0]) and len(second[-1]):
            moved.append(np.linalg.norm(second[-1].mean(0) - second[0].mean(0)))
            grown.append(len(second[-1]) / len(second[0]))
    assert np.median(moved) > 0.1 * SIDE
    assert min(grown) < 0.9 < 1.1 < max(grown)


def test_pasted_objects_are_mostly_visible(monkeypatch):
    motions, shares = [], []
    draw_motion = "aotlab.dataloaders.training.clips.random_motion"
    monkeypatch.setattr(draw_motion, lambda *args: motions.append(random_motion(*args)) or motions[-1])
    for clip in compose_all():
        pasted = np.abs(clip.frames[0, ..., 0].astype(int) - SECOND) < 60
        shares.append(pasted.sum() / (40 * motions[-1].scale) ** 2)
    assert sum(share > MIN_VISIBLE for share in shares) >= 36


def test_visible_object_is_pasted_at_the_first_try(monkeypatch):
    motions = []
    beside = Motion(np.array([10, 10]), np.zeros(2), scale=0.3, growth=0, turn=0)
    draw_motion = "aotlab.dataloaders.training.clips.random_motion"
    monkeypatch.setattr(draw_motion, lambda *_: motions.append(beside) or beside)
    assert compose(0).num_objects == 2
    assert len(motions) == 1


@pytest.mark.parametrize(("column", "tries"), [(-3, 2), (-1, 1)])
def test_object_that_shows_35_of_100_pixels_is_moved_and_45_stay(monkeypatch, column, tries):
    motions = [Motion(np.array([start, 12]), np.zeros(2), scale=0.5, growth=0, turn=0) for start in (column, 12)]
    drawn = iter(motions)
    monkeypatch.setattr("aotlab.dataloaders.training.clips.random_motion", lambda *_: next(drawn))
    assert compose(0).num_objects == 2
    assert len(motions) - len(list(drawn)) == tries


def test_motion_ends_on_the_last_frame(monkeypatch):
    motion = Motion(np.array([15, 20]), np.array([50, 40]), scale=0.5, growth=math.log(1.5), turn=0)
    monkeypatch.setattr("aotlab.dataloaders.training.clips.random_motion", lambda *_: motion)
    last = np.argwhere(compose(0).frames[-1, ..., 0] > 150)
    assert last.mean(0) + 0.5 == pytest.approx([60, 65], abs=0.1)
    assert len(last) == pytest.approx((0.75 * 40) ** 2, rel=0.1)


def test_objects_that_enter_begin_at_a_border():
    clips = [clip for clip in (compose(seed, entering=True) for seed in range(40)) if clip.num_objects == 2]
    assert len(clips) > 30
    # The first clip's square lies in the middle, so what touches a border is the other.
    edges = np.array([[(side > 0).any() for side in list_borders(clip.labels[0])] for clip in clips])
    assert edges.any(1).all()
    assert (edges.sum(0) > 3).all()
    shown = np.array([((clip.labels > 0).sum((1, 2)) - 30 * 30) for clip in clips])
    assert np.median(shown[:, -1]) > 2 * np.median(shown[:, 0])


def test_entering_objects_end_inside_and_do_not_turn():
    for seed in range(20):
        motion = random_entering_motion((0, 0, 40, 10), SIDE, rng(seed))
        (axis,) = np.flatnonzero((motion.start < 0) | (motion.start > SIDE))
        end = (motion.start + motion.shift)[axis]
        assert 0.1 * SIDE <= min(end, SIDE - end) <= 0.5 * SIDE
        assert motion.turn == 0


def list_borders(labels):
    return labels[0], labels[-1], labels[:, 0], labels[:, -1]


def test_ignored_pixels_of_the_first_clip_stay_ignored():
    first = make_square(FIRST, 0, 25, 25, 30)
    labels = first.labels.copy()
    labels[:, :20] = 255
    first = Clip(first.frames, labels, 1)
    clip = compose_clips(first, make_square(SECOND, 120, 10, 10, 40), rng(1), max_objects=10)
    assert (clip.labels == 255).any()
