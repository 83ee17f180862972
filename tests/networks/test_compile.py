"""torch.compile traces the blocks of every method, and the traced model gives the same logits."""

from functools import partialmethod

import pytest
import torch
from torch import nn

from aotlab.engine.tracking.tracker import Tracker
from aotlab_testing.marks import METHOD_PRESETS
from aotlab_testing.small_model import ROUNDING, build, draw_stripes, draw_texture, run_tracker


@pytest.mark.slow  # importing the compiler takes seconds
@pytest.mark.parametrize("preset", METHOD_PRESETS)
def test_traced_model_gives_the_logits_of_the_plain_one(preset, monkeypatch):
    # without code generation, which takes a minute
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager"))
    torch._dynamo.reset()  # other tests use up its limit of compilations
    settings, frames = ["memory.every=1", "compute.precision=float32"], draw_texture(4, 96, 128)
    masks = {0: draw_stripes([1, 2], 96, 128)}
    traced, plain = (
        run_tracker(Tracker(*build(preset, *settings, *more)), frames, masks) for more in (["compute.compile=true"], [])
    )
    for found, expected in zip(traced, plain, strict=True):
        torch.testing.assert_close(found.logits, expected.logits, atol=ROUNDING, rtol=ROUNDING)
