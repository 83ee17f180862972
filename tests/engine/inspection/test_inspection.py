"""What inspections say: the attention is the model's own, and images show it."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from aotlab.configs.load import from_tree
from aotlab.engine.inspection.attention import chosen_pixels, identity_similarity, inspect_attention
from aotlab.engine.inspection.weights import attention_weights, recorded_inputs, token_shares
from aotlab.engine.tracker import Tracker
from aotlab.networks.vos_model import VOSModel
from aotlab.utils.errors import InputError
from tests.engine import small_model, test_multiscale
from tests.engine.small_model import clip, run, stripes

SIZE = (3, 4)
"""of the map at stride 16 of a small clip"""


def build(kind, **memory):
    """A small model of a kind of blocks, long-term memory of every frame."""
    if kind in ("gpm", "pyramid"):
        return test_multiscale.build(kind)
    stage = {"block": kind, "depth": 2, "heads": 4, "feedforward": 64, "window": 3, "drop_path": 0.0}
    tree = {
        "name": "small",
        "model": {"dim": 64, "stages": [stage]},
        "memory": {"policy": "every_nth", "every": 1, **memory},
    }
    config = from_tree(tree, "small.yaml")
    torch.manual_seed(0)
    model = VOSModel(config.model)
    with torch.no_grad():
        for block in model.stages[0].blocks:
            block.query.weight *= 4  # random attention is nearly even; sharper, one head differs from another
    return model, config


def tracked(kind, **memory):
    """Inputs of all blocks on the last of five frames, and what their attentions gave as the tracker ran."""
    model, config = build(kind, **memory)
    for block in (block for stage in model.stages for block in stage.blocks):
        if getattr(block, "position_value", None) is not None:
            block.position_value.data.zero_()  # weights are those of values in memory alone
    tracker, found = Tracker(model, config), {}
    frames = clip(5)
    run(tracker, frames[:4], {0: stripes([1, 2])})
    with ExitStack() as hooks, recorded_inputs(model) as inputs:
        for number, stage in enumerate(model.stages):
            for index, block in enumerate(stage.blocks):
                for term in ("long", "short"):

                    def keep(_, given, place=(number, index), term=term):
                        found[(*place, term)] = given[0].clone()

                    output = getattr(block, f"{term}_projection", None) or getattr(block, term)
                    hooks.callback(output.register_forward_pre_hook(keep).remove)
        tracker.step(frames[4])
    return model, inputs, found


@pytest.mark.parametrize("kind", ["lstt", "gpm", "pyramid", "lstt_recurrent"])
def test_weights_times_values_are_what_attention_gave_while_tracking(kind):
    model, inputs, found = tracked(kind)
    assert len(inputs) == sum(len(stage.blocks) for stage in model.stages)
    for (number, index), given in inputs.items():
        block, tokens = model.stages[number].blocks[index], given.size[0] * given.size[1]
        for token in (0, tokens // 2, tokens - 1):
            weights = attention_weights(block, given, torch.eye(tokens)[token])
            for term, memory, own in zip(("long", "short"), given.memory, weights, strict=True):
                assert own.min() >= 0
                torch.testing.assert_close(own.sum(0), torch.ones(own.shape[1]))
                if (kind, term) == ("lstt_recurrent", "short"):
                    continue  # its values are made in the block
                drawn = (own * memory.value[0]).sum(0)
                # float32 rounding of sums of up to 100 values of size 1
                torch.testing.assert_close(drawn, found[number, index, term][0, token], atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_weights_are_the_softmax_averaged_over_heads_and_queries():
    model, inputs, _ = tracked("lstt")
    block, given = model.stages[0].blocks[1], inputs[0, 1]
    query = []
    hook = block.query.register_forward_hook(lambda _, __, output: query.append(output[0]))
    block(*given)
    hook.remove()
    queries, key = (x.unflatten(1, (4, -1)).transpose(0, 1) for x in (query[0], given.memory.long.key[0]))
    softmax = (queries @ key.mT / 4).softmax(2)  # heads of 64 / 4 channels
    assert (softmax[0] - softmax[1]).abs().max() > 0.01
    shares = torch.tensor([0.25, 0.75] + [0.0] * 10)
    long, _ = attention_weights(block, given, shares)
    expected = 0.25 * softmax[:, 0].mean(0) + 0.75 * softmax[:, 1].mean(0)
    torch.testing.assert_close(long.mean(1), expected, atol=1e-6, rtol=1e-4)  # float32 rounding


@pytest.mark.parametrize("kind", ["lstt", "gpm"])
def test_short_term_weights_stay_within_the_window(kind):
    model, inputs, _ = tracked(kind)
    given = inputs[0, 0]
    reach = model.config.stages[0].window // 2
    _, short = attention_weights(model.stages[0].blocks[0], given, torch.eye(12)[0])
    seen = short.mean(1).view(SIZE) > 0
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[: reach + 1, : reach + 1] = True
    assert torch.equal(seen, expected)


def test_looking_leaves_the_model_and_its_predictions_as_they_were():
    model, config = build("lstt")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    frames, mask = clip(4), stripes([1, 2])
    plain = run(Tracker(model, config), frames, {0: mask})[3].labels
    report = inspect_attention(Tracker(model, config), frames, mask, frame=3, query=(20, 20))
    assert np.array_equal(report.labels, plain)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not [module for module in model.modules() if module._forward_pre_hooks or module._forward_hooks]


def test_a_report_names_blocks_and_the_frames_they_read():
    model, config = build("lstt", every=2, short_term_frames=2)
    report = inspect_attention(Tracker(model, config), clip(6), stripes([1, 2]), frame=5, query=(20, 20))
    assert [block.name for block in report.blocks] == [
        "stage 1 (stride 16), block 1",
        "stage 1 (stride 16), block 2",
    ]
    assert (report.long_frames, report.short_frames) == ([0, 2, 4], [3, 4])
    for block in report.blocks:
        assert (block.long.shape, block.short.shape) == ((3, *SIZE), (2, *SIZE))
        assert block.long.sum() == pytest.approx(1, abs=1e-5)
        assert block.short.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["gpm", "pyramid"])
def test_stages_with_thinned_memory_have_maps_of_their_own_sizes(kind):
    model, config = build(kind)
    report = inspect_attention(Tracker(model, config), clip(4), stripes([1, 2]), frame=3, query=(20, 20))
    coarse, fine = report.blocks[0], report.blocks[-1]
    assert (coarse.long.shape, coarse.short.shape) == ((2, *SIZE), (1, *SIZE))
    assert (fine.long.shape, fine.short.shape) == ((2, 3, 4), (1, 5, 7))


def test_a_block_without_short_term_attention_has_no_short_maps():
    model, config = small_model.build("aott", "model.stages.0.window=0")
    report = inspect_attention(Tracker(model, config), clip(3), stripes([1, 2]), frame=2, query=(20, 20))
    assert report.blocks[0].short.shape == (0, *SIZE)
    assert report.short_frames == []


def test_an_object_is_looked_at_in_its_own_group():
    model, config = small_model.build("aots", "model.max_objects=1")
    frames, mask = clip(3), stripes([3, 8])
    with recorded_inputs(model) as inputs:
        run(Tracker(model, config), frames[:2], {0: mask})
    for group, query in enumerate((3, 8)):
        report = inspect_attention(Tracker(model, config), frames, mask, frame=1, query=query)
        assert set(report.labels[report.pixels]) == {query}
        shares = token_shares(report.pixels, SIZE, align_corners=True)
        # The first block has the same queries in all groups; the second has read their identities.
        own, other = (
            attention_weights(model.stages[0].blocks[1], inputs[0, 1].of_group(place), shares)[1].mean(1)
            for place in (group, 1 - group)
        )
        shown = torch.from_numpy(report.blocks[1].short.flatten())
        assert (own - other).abs().max() > 1e-3
        assert (own - shown).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("pixel", "align_corners", "token"),
    [((0, 0), True, 0), ((48, 32), True, 11), ((48, 0), True, 3), ((17, 14), True, 5), ((0, 32), False, 8),
     ((11, 0), False, 0), ((12, 0), False, 1)],
)  # fmt: skip
def test_a_pixel_is_in_the_token_nearest_to_it(pixel, align_corners, token):
    pixels = np.zeros((33, 49), bool)
    pixels[pixel[1], pixel[0]] = True
    assert token_shares(pixels, SIZE, align_corners=align_corners).argmax() == token


@pytest.mark.parametrize(
    ("query", "words"),
    [((49, 0), ["pixel 49,0", "49×33"]), ((0, 33), ["0,33"]), (7, ["object 7", "1, 2"]), (2, ["no pixels"])],
)  # fmt: skip
def test_what_is_not_there_cannot_be_asked_about(query, words):
    with pytest.raises(InputError) as error:
        chosen_pixels(stripes([1]), query, (1, 2))
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("frame", "words"), [(0, "reference frame"), (4, "from 1 to 3"), (9, "holds 4 frames")]
)
def test_a_frame_must_come_after_the_reference_frame_and_be_there(frame, words):
    model, config = build("lstt")
    with pytest.raises(InputError, match=words):
        inspect_attention(Tracker(model, config), clip(4), stripes([1]), frame=frame, query=(0, 0))


def test_similarity_is_the_cosine_of_what_whole_patches_are_embedded_as():
    model, _ = build("gpm")
    bank = model.stages[0].identity_bank
    with torch.no_grad():
        bank.weight[:, 1] = 2 * bank.weight[:, 0]
        bank.weight[:, 2] = -bank.weight[:, 3].flip(1)
    similar = identity_similarity(model)
    assert list(similar) == ["stage 1 (stride 16)", "stage 2 (stride 8)"]
    first = similar["stage 1 (stride 16)"]
    assert first.shape == (11, 11)
    assert np.allclose(np.diag(first), 1)
    assert (first[0, 1], first[2, 3]) == (pytest.approx(1), pytest.approx(-1))
    patch = torch.zeros(2, 11, 16, 16)
    patch[0, 4] = patch[1, 5] = 1
    ours = torch.nn.functional.conv2d(patch.double(), bank.weight[..., :16, :16].double()).flatten(1)
    with torch.no_grad():
        bank.weight[..., 16, :] = bank.weight[..., 16] = 0
    cosine = torch.cosine_similarity(ours[0], ours[1], dim=0).item()
    assert identity_similarity(model)["stage 1 (stride 16)"][4, 5] == pytest.approx(cosine)
