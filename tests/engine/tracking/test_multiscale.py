"""Tracking, training and checkpoints of models of several stages: the same code as for one."""

import numpy as np
import pytest
import torch

from aotlab.engine.memory.policies import build_bank
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.clip import ClipOptions, clip_losses
from tests.engine.multiscale_model import STAGES, build
from tests.engine.small_model import clip, clip_batch, run, stripes


@pytest.mark.parametrize("method", STAGES)
def test_optimizer_step_changes_all_parameters_and_lowers_loss(method):
    model, config = build(method)
    clip_ = clip_batch(clip(4), [stripes([1, 2])] * 4, 2)
    plan = ClipOptions(
        torch.arange(11)[None], hard_pixel_count=clip_.labels[0].numel(), feed_predictions=False
    )

    def loss():
        bank = build_bank(config.memory, training=True)
        losses = clip_losses(model, bank, clip_, plan)
        return losses.reference.mean() + losses.tracked.mean()

    model.eval()  # without drop path and dropout, which would blur the comparison
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    before = loss()
    before.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert [name for name, gradient in gradients.items() if not gradient.isfinite().all()] == []
    optimizer.step()
    with torch.no_grad():
        assert loss() < before


@pytest.mark.parametrize("policy", ["first_frame", "every_nth"])
@pytest.mark.parametrize("method", STAGES)
def test_many_and_late_objects_are_tracked(method, policy):
    model, config = build(method, policy, max_objects=2)
    tracker = Tracker(model, config)
    late = np.where(stripes([0, 0, 0, 9]) == 9, 9, 0)
    predictions = run(tracker, clip(5), {0: stripes([3, 1, 7]), 2: late})
    assert predictions[-1].ids == (1, 3, 7, 9)
    assert predictions[-1].probabilities.shape == (5, 33, 49)
    kept = {"first_frame": [0, 2], "every_nth": [0, 2, 4]}[policy]
    assert [group.memory.frames for group in tracker.video.groups] == [kept, kept]
