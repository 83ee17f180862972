"""Training of models of several stages."""

import pytest
import torch

from aotlab.engine.memory.bank import build_bank
from aotlab.engine.training.clip import ClipOptions, clip_losses
from aotlab_testing.small_model import build_case, clip_batch, draw_stripes, draw_texture


@pytest.mark.parametrize("name", ["msdeaot", "paot 16 8 4"])
def test_all_parameters_have_gradients_that_lower_the_loss(name):
    model, config = build_case(name)
    batch = clip_batch(draw_texture(4), [draw_stripes([1, 2])] * 4, 2)
    plan = ClipOptions(torch.arange(11)[None], batch.target_indices[0].numel(), use_predictions=False)

    def loss():
        bank = build_bank(config.memory, training=True)
        losses = clip_losses(model, bank, batch, plan)
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
