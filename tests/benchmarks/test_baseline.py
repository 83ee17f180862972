"""The baseline computes what the frame path computes, part by part, and leaves no trace."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import FrozenBatchNorm2d

from aotlab.engine.memory import MemoryBank
from aotlab.engine.tracker import Tracker
from aotlab.networks import operations
from aotlab.networks.attention import local_attention
from aotlab.networks.positions import RelativePosition
from benchmarks.baseline import PARTS, as_published, unfolded_local_attention
from tests.engine.small_model import build, clip, stripes

MODELS = {
    "aott": ("aott", ()),
    "deaott, memory grows": ("deaott", ("memory.policy=every_nth", "memory.every=1")),
    "aott, full memory": ("aott", ("memory.policy=bounded_fifo", "memory.every=1", "memory.frames=2")),
}


class Operations(TorchDispatchMode):
    """Counts what PyTorch is asked to do."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[str(function)] += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    preset, overrides = MODELS[request.param]
    model, config = build(preset, *overrides, "model.max_objects=3")
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, FrozenBatchNorm2d):  # at initialisation they do nothing
            for buffer in (norm.weight, norm.running_var):
                buffer.uniform_(0.7, 1.3, generator=generator)
            for buffer in (norm.bias, norm.running_mean):
                buffer.normal_(0, 0.1, generator=generator)
    return model, config


def track(model, slow=(), *, count=5, frames=4, watch=None):
    """Predictions of a short clip, five objects make two groups; ``slow``: parts that are slow in every step."""
    tracker = Tracker(*model)
    predictions = []
    for index, frame in enumerate(clip(frames)):
        with as_published(tracker, slow), watch or nullcontext():
            mask = stripes(range(1, count + 1)) if index == 0 else None
            predictions.append(tracker.step(frame, mask))
    return predictions


@pytest.mark.parametrize("slow", [*((name,) for name in PARTS), tuple(PARTS)], ids="+".join)
@pytest.mark.parametrize(("count", "tolerance"), [(3, 1e-4), (5, 0.03)], ids=["one group", "two groups"])
def test_as_published_say_the_same(model, slow, count, tolerance):
    """Floats are summed in another order, which logits of tens show at 2e-5.

    Of two groups probabilities are fused, and the logit of one near 1 shows its last bit at 1e-2.
    """
    pairs = zip(track(model, count=count), track(model, slow, count=count), strict=True)
    for ours, theirs in pairs:
        assert torch.allclose(ours.logits, theirs.logits, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(ours.labels, theirs.labels)


def test_the_clip_shows_every_object_to_the_end(model):
    assert len(np.unique(track(model)[-1].labels)) > 3


TESTED_APART = ("sync", "memory", "layout", "allocator")


@pytest.mark.parametrize("name", [name for name in PARTS if name not in TESTED_APART])
def test_a_slow_part_is_at_work(name):
    """Other operations than without it."""
    model = build("aott", "model.max_objects=3")
    counts = []
    for slow in ((), (name,)):
        operations = Operations()
        track(model, slow, watch=operations)
        counts.append(operations.counts)
    assert counts[0] != counts[1]


def test_slow_memory_holds_no_room(monkeypatch):
    model = build("aott", "memory.policy=every_nth", "memory.every=1")
    banks = []
    monkeypatch.setattr(MemoryBank, "__init__", seen(MemoryBank.__init__, banks))
    track(model, ("memory",), count=2, frames=5)
    track(model, count=2, frames=5)
    slow, fast = banks
    assert len(slow) == len(fast) == 5
    assert slow.nbytes < fast.nbytes


def seen(function, into):
    """A method that notes whose it is."""

    def noting(self, *args, **options):
        into.append(self)
        function(self, *args, **options)

    return noting


def test_slow_sync_brings_labels_to_the_host():
    model = build()
    assert all("labels" in vars(prediction) for prediction in track(model, ("sync",)))
    assert not any("labels" in vars(prediction) for prediction in track(model))


def test_slow_layout_has_one_channel_after_the_other():
    tracker = Tracker(*build())
    image = torch.rand(1, 33, 49, 3).permute(0, 3, 1, 2)
    with torch.inference_mode(), as_published(tracker, ("layout",)):
        slow = tracker.model.encode(image)
    with torch.inference_mode():
        fast = tracker.model.encode(image)
    assert all(own.is_contiguous() for own in slow)
    assert all(own.is_contiguous(memory_format=torch.channels_last) for own in fast)


def test_nothing_of_it_stays():
    tracker = Tracker(*build())
    before = replaceable(tracker)
    with as_published(tracker, PARTS):
        assert replaceable(tracker) != before
    assert replaceable(tracker) == before


def replaceable(tracker):
    """All that slow parts may replace."""
    functions = dict(operations._choices.get())
    methods = [MemoryBank.add, MemoryBank.read]
    replaced = [name for name, part in tracker.model.named_modules() if "forward" in vars(part)]
    return functions, methods, replaced, dict(vars(tracker))


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("values", [False, True], ids=["full matrix", "unfolded values"])
def test_unfolded_local_attention_is_the_same(frames, values):
    """Tokens of two frames, a map that is no multiple of blocks, in float64."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    size, heads, area = (9, 11), 2, 25
    position = RelativePosition(
        draw(heads, area, 4), draw(heads, area), draw(heads, 6, area) if values else None
    )
    inputs = draw(2, 99, 8), draw(2, 99 * frames, 8), draw(2, 99 * frames, 12)
    ours = local_attention(*inputs, size, position)
    theirs = unfolded_local_attention(*inputs, size, position)
    assert torch.allclose(ours, theirs, atol=1e-12)
