"""Soft edges of frames with a given mask."""

import numpy as np
import pytest
import torch

from aotlab.engine.tracking.soft_edges import soften_mask
from aotlab.engine.tracking.tracker import Tracker
from aotlab_testing.small_model import assert_same, build, draw_stripes, draw_texture


@pytest.fixture(params=[3, 2], ids=["one group", "two groups"])
def tracker(request):
    return Tracker(*build("aott", f"model.max_objects={request.param}"))


def test_mask_frame_gets_soft_edges_and_keeps_labels(tracker):
    frame, mask = draw_texture(1)[0], draw_stripes([4, 2, 9])
    given = tracker.step(frame, mask)
    soft = tracker.soften_edges(frame, given)
    assert set(given.probabilities.unique().tolist()) == {0, 1}
    assert ((soft.probabilities > 0.01) & (soft.probabilities < 0.99)).any()
    torch.testing.assert_close(soft.probabilities.sum(0), torch.ones(mask.shape))
    labels = soft.probabilities.gather(0, soft.indices[None])[0]
    assert (labels >= soft.probabilities.max(0).values).all()
    np.testing.assert_array_equal(soft.labels, mask)
    assert soft.confidence == given.confidence == {2: 1, 4: 1, 9: 1}


def test_softened_edges_do_not_change_later_frames(tracker):
    frames, mask = draw_texture(3), draw_stripes([4, 2, 9])
    plain, other = tracker.fresh(), tracker.fresh()
    other.soften_edges(frames[0], other.step(frames[0], mask))
    plain.step(frames[0], mask)
    assert_same(*([one.step(frame) for frame in frames[1:]] for one in (plain, other)))


def test_mask_holds_beyond_the_radius_and_against_logits():
    indices = torch.zeros(9, 20, dtype=torch.long)
    indices[:, 10:] = 1
    logits = torch.stack([torch.full((9, 20), 2.0), torch.zeros(9, 20)])  # background everywhere
    alpha = soften_mask(indices, logits, 3)[1]
    assert (alpha[:, :7] == 0).all()
    torch.testing.assert_close(alpha[:, 7:10], logits.softmax(0)[1, :, 7:10])
    # rises from the border inward: no patch is half transparent
    torch.testing.assert_close(alpha[:, 10:13], torch.tensor([4, 5, 6]).div(7).expand(9, 3))
    assert (alpha[:, 13:] == 1).all()


def test_thin_part_of_a_mask_keeps_its_object():
    indices = torch.zeros(9, 20, dtype=torch.long)
    indices[:, 10] = 1
    logits = torch.stack([torch.full((9, 20), 2.0), torch.zeros(9, 20)])
    assert (soften_mask(indices, logits, 3)[1, :, 10] == 0.5).all()


def test_edges_of_forgotten_objects_stay_as_given(tracker):
    frame, mask = draw_texture(1)[0], draw_stripes([4])
    given = tracker.step(frame, mask)
    tracker.forget(4)
    assert tracker.soften_edges(frame, given) is given
