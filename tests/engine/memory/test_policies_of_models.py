"""Memory policies at work in small models: equal below capacity, training, relevance."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import build_policy
from aotlab.engine.memory.relevance import compute_relevance
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.clip import ClipBatch, ClipOptions, clip_losses
from aotlab.networks.attention import Attention
from aotlab.networks.model import KeyValue, PropagatedFrame
from aotlab_testing.small_model import assert_same, build, draw_stripes, draw_texture, run_tracker

BOUNDED = ("bounded_fifo", "rmem", "ermu")


def test_bounded_policies_below_capacity_equal_every_nth():
    frames, mask = draw_texture(6), draw_stripes([1, 2])
    results = []
    for policy in ("every_nth", *BOUNDED):
        tracker = Tracker(*build("aott", f"memory.policy={policy}", "memory.every=2"))
        results.append(run_tracker(tracker, frames, {0: mask}))
    for found in results[1:]:
        assert_same(found, results[0])


@pytest.mark.parametrize("preset", ["r50_aotl_ermu", "r50_deaotl_ermu"])
def test_training_updates_restricted_memory_layers(preset):
    small = "model.max_objects=2", "model.stages.0.depth=2", "model.stages.0.temporal_slots=4"
    model, config = build(preset, *small, "memory.every_in_training=1", "memory.frames=3")
    frames = torch.from_numpy(draw_texture(5)).movedim(-1, 1)[:, None] / 255
    labels = torch.from_numpy(np.stack([draw_stripes([1, 2])] * 5))[:, None]
    labels[..., :4] = 255
    bank = MemoryBank(build_policy(config.memory, training=True), training=True)
    plan = ClipOptions(torch.arange(3)[None], hard_pixel_count=labels[0].numel(), use_predictions=False)
    losses = clip_losses(model, bank, ClipBatch(frames, labels, [2]), plan)
    (losses.reference.mean() + losses.tracked.mean()).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    assert model.temporal.memory.grad.abs().sum(1).gt(0).sum() == 3
    assert model.identity_bank.weight.grad[:, 3].abs().max() > 0
    assert bank.frames == [0, 2, 3]


@pytest.mark.parametrize("align_corners", [True, False])
def test_relevance_is_the_attention_of_the_foreground(align_corners):
    """The foreground is resized with aligned corners in every model, as published."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 16, 16, generator=generator) * 5
    query, key = (torch.randn(1, length, 8, generator=generator) for length in (16, 32))
    block = SimpleNamespace(long_attention=Attention(heads=2))
    model = SimpleNamespace(config=SimpleNamespace(align_corners=align_corners), stage_blocks=[[block]])
    propagated = PropagatedFrame([], [[KeyValue(query, query)]], [(4, 4)])
    shares, keys = compute_relevance(model, propagated, logits, key, num_frames=2, chunk_size=5)
    np.testing.assert_array_equal(keys, key.view(2, 16, 8))
    resized = F.interpolate(logits, (4, 4), mode="bilinear", align_corners=True)
    foreground = 1 - resized.softmax(1)[0, 0].flatten()
    heads = zip(query[0].split(4, 1), key[0].split(4, 1), strict=True)
    attention = foreground @ sum((one @ other.T / 2).softmax(1) for one, other in heads)
    torch.testing.assert_close(shares, attention.view(2, 16).sum(1) / attention.sum())


def test_relevance_of_a_batch_is_the_mean_of_its_clips():
    model, _ = build("aotl", "model.max_objects=3")
    generator = torch.Generator().manual_seed(0)
    image, masks = torch.rand(2, 3, 33, 49, generator=generator), torch.rand(2, 4, 33, 49, generator=generator)
    with torch.no_grad():
        features = model.encode(image)
        id_embeddings = model.assign_identities(masks)
        propagated = model.propagate(features, id_embeddings=id_embeddings)
        first = model.memorize(propagated, id_embeddings)[0][0].long.key
        key = torch.cat([first, torch.randn(first.shape, generator=generator)], 1)
        logits = torch.randn(2, 4, 9, 13, generator=generator)
        both = compute_relevance(model, propagated, logits, key, 2).shares
        other = compute_relevance(model, propagated, logits * torch.tensor([1.0, -3.0])[:, None, None, None], key, 2)
    assert both.shape == (2,)
    assert not torch.equal(both, other.shares)
