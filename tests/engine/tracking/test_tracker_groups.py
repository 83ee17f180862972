"""Objects beyond one identity bank: groups, and one encoding of the image for all."""

import numpy as np
import torch

from aotlab.engine.tracking.tracker import Tracker
from tests.engine.small_model import clip, run, stripes


def test_23_objects_are_three_groups(models):
    tracker = Tracker(*models["aott"])
    frames, mask = clip(3), stripes(range(1, 24))
    assert (tracker.step(frames[0], mask).labels == mask).all()
    for frame in frames[1:]:
        assert tracker.step(frame).logits.shape[0] == 24
    assert [len(group.ids) for group in tracker.video.groups] == [10, 10, 3]


def test_objects_beyond_existing_groups_get_new_group(models):
    tracker, frames = Tracker(*models["few"]), clip(4)
    tracker.step(frames[0], stripes([1, 2]))
    tracker.step(frames[1])
    tracker.step(frames[2], stripes([0, 0, 0, 50, 60]))
    assert tracker.step(frames[3]).ids == (1, 2, 50, 60)
    assert [group.ids for group in tracker.video.groups] == [[1, 2, 50], [60]]
    assert [group.memory.frames for group in tracker.video.groups] == [[0, 2], [0]]


def test_each_group_has_the_logits_of_a_tracker_of_its_own(models):
    frames, mask = clip(4), stripes(range(1, 7))
    together = run(Tracker(*models["few"]), frames, {0: mask})
    first, second = (
        run(Tracker(*models["few"]), frames[:2], {0: np.where(own, mask, 0)}) for own in (mask < 4, mask > 3)
    )
    probabilities = [one[1].probabilities for one in (first, second)]
    background = probabilities[0][0] * probabilities[1][0]
    joined = torch.cat([background[None], probabilities[0][1:], probabilities[1][1:]])
    found = together[1].logits.sigmoid()
    # probabilities are clamped to 1e-5; one group alone has no plane for identities that are not in use
    torch.testing.assert_close(found, joined.clamp(1e-5, 1 - 1e-5), atol=1e-4, rtol=1e-3)


def test_image_is_encoded_once_per_frame(models, monkeypatch):
    model, config = models["few"]
    calls, original = [], model.encode
    monkeypatch.setattr(model, "encode", lambda image: calls.append(image.shape[0]) or original(image))
    run(Tracker(model, config), clip(3), {0: stripes(range(1, 8)), 1: stripes([0] * 7 + [70])})
    assert calls == [1, 1, 1]
