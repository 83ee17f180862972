"""Restricted memory: temporal embedding, recurrent block, relevance, initial weights."""

import pytest
import torch

from aotlab.configs.load import build_config
from aotlab.configs.methods import RMemAOTStage
from aotlab.engine.memory.relevance import attention_per_frame
from aotlab.networks.attention import split_heads
from aotlab.networks.build import build_model
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab.networks.rmem import RecurrentLSTTBlock, RecurrentState, TemporalEmbedding, assign_temporal_slots
from aotlab.networks.weights.checkpoints import load_weights
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import assert_same_weights, draw_normal, to_published

DIM, SIZE = 32, (3, 4)
TOKENS = SIZE[0] * SIZE[1]


@pytest.mark.parametrize(("frames", "indices"), [
    (1, [0]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 3]), (9, [0, 0, 1, 1, 2, 2, 3, 3, 3]),
    (12, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
])  # fmt: skip
def test_frames_share_the_temporal_embeddings(frames, indices):
    assert assign_temporal_slots(frames, 4, torch.device("cpu")).tolist() == indices


def test_temporal_embedding_is_added_per_frame():
    temporal = TemporalEmbedding(4, DIM)
    temporal.initialize()
    query, key = temporal(torch.zeros(2, TOKENS, DIM), torch.zeros(2, 5 * TOKENS, DIM))
    assert torch.equal(query, temporal.query.expand(2, TOKENS, DIM))
    expected = temporal.memory[[0, 1, 2, 3, 3]].repeat_interleave(TOKENS, 0)
    assert torch.equal(key, expected.expand(2, -1, -1))


def plain_relevance(query, key, weight, heads, frames):
    """The whole matrix of attention weights, summed up."""
    query, key = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key))
    attention = (query @ key.mT * query.shape[3] ** -0.5).softmax(3).mean(1)
    drawn = (attention.unflatten(2, (frames, -1)).sum(3) * weight[..., None]).sum(1)
    return drawn / drawn.sum(1, keepdim=True)


@pytest.mark.parametrize("heads", [1, 8])
@pytest.mark.parametrize("at_once", [1, 500, 2**22])
def test_chunked_relevance_equals_full_matrix(monkeypatch, heads, at_once):
    monkeypatch.setattr("aotlab.engine.memory.relevance.MAX_CHUNK_WEIGHTS", at_once)
    query, key = 3 * draw_normal(2, TOKENS, DIM), draw_normal(2, 5 * TOKENS, DIM, seed=1)
    weight = draw_normal(2, TOKENS, seed=2).sigmoid() / 100  # little foreground
    found = attention_per_frame(split_heads(query, heads), split_heads(key, heads), weight, 5, None)
    # sums in another order round differently
    torch.testing.assert_close(found, plain_relevance(query, key, weight, heads, 5), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.sum(1), torch.ones(2))


def test_no_foreground_has_zero_relevance():
    found = attention_per_frame(draw_normal(1, 1, 4, DIM), draw_normal(1, 1, 8, DIM), torch.zeros(1, 4), 2, None)
    assert found.tolist() == [[0, 0]]


@torch.no_grad()
def test_identities_are_added_to_both_values():
    block, state = RecurrentLSTTBlock(DIM, RMemAOTStage(heads=2)), RecurrentState(*draw_normal(3, 1, TOKENS, DIM))
    identities = draw_normal(1, TOKENS, DIM, seed=1)
    long, short, _ = block.memorize(state, identities)
    assert torch.equal(long.value, block.value(state.tokens + identities))
    assert torch.equal(short.value, block.short_value(state.short_output + identities))


def build_small(method, **stage):
    tree = {"model": {"method": method, "dim": DIM, "stages": [{"depth": 2, **stage}]}}
    return build_config(tree, "small.yaml").model


@pytest.mark.parametrize("method", ["aot_rmem", "deaot_rmem"])
def test_temporal_embedding_changes_attention(method):
    torch.manual_seed(0)
    model = build_model(build_small(method, temporal_slots=4)).eval()
    masks = torch.zeros(1, 3, 33, 49)
    masks[:, 0, :, :20] = masks[:, 1, :, 20:] = 1
    image = draw_normal(2, 3, 33, 49)
    with torch.no_grad():
        identities = model.assign_identities(masks)
        reference = model.encode(image[:1])
        (memory,) = model.memorize(model.propagate(reference, id_embeddings=identities), identities)
        twice = [[BlockMemory(KeyValue(*(torch.cat([x, 2 * x], 1) for x in long)), short) for long, short, _ in memory]]
        features = model.encode(image[1:])
        outputs = []
        for change in (None, "query", "memory"):
            if change is not None:
                getattr(model.temporal, change).mul_(100)
            outputs.append(model.decode(model.propagate(features, twice), features))
    assert (outputs[1] - outputs[0]).abs().max() > 1e-4
    assert (outputs[2] - outputs[1]).abs().max() > 1e-4


@pytest.mark.parametrize("method", ["aot_rmem", "deaot_rmem"])
def test_training_starts_from_base_model(tmp_path, method):
    torch.manual_seed(0)
    plain = build_model(build_small(method.removesuffix("_rmem")))
    weights = to_published(plain)
    torch.save({"state_dict": weights}, tmp_path / "plain.pth")
    config = build_small(method, temporal_slots=4)
    model = build_model(type(config)(**{**vars(config), "ignore_plane": True}))
    fresh = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    load_weights(model, tmp_path / "plain.pth", "small")
    bank, old = model.identity_bank.weight, plain.identity_bank.weight
    assert torch.equal(bank[:, :11], old)
    assert torch.equal(bank[:, 11:], fresh["identity_bank.weight"][:, 11:])
    assert torch.equal(model.temporal.memory, fresh["temporal.memory"])
    loaded, expected = model.state_dict(), plain.state_dict()
    shared = loaded.keys() & expected.keys() - {"identity_bank.weight"}
    assert_same_weights(loaded, {key: expected[key] for key in shared})


def test_other_missing_weights_rejected(tmp_path):
    weights = to_published(build_model(build_small("deaot")))
    del weights["LSTT.layers.0.linear_QV.weight"]
    torch.save(weights, tmp_path / "plain.pth")
    with pytest.raises(InputError, match=r"missing keys blocks.0.key_value.weight"):
        load_weights(build_model(build_small("deaot_rmem", temporal_slots=4)), tmp_path / "plain.pth", "small")
