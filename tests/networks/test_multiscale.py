"""Models of several stages: any list that makes sense works at any size, the others are refused in a sentence."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aotlab.configs.load import from_tree
from aotlab.configs.schema import Config, ModelConfig, StageConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import EveryNthFrame
from aotlab.networks import stage as stage_module
from aotlab.networks.aot import LSTTBlock
from aotlab.networks.deaot import GatedSelfAttention
from aotlab.networks.layers import SelfAttention
from aotlab.networks.model import BlockMemory, KeyValue, VOSModel
from aotlab.networks.models import build_model
from aotlab.utils.errors import InputError
from tests.engine.frames import begin

DIM = 32
LISTS = {
    "gpm 16 8": ("gpm", [(16, 2, {}), (8, 1, {"dim": 16, "memory_stride": 2})]),
    "gpm 16 8 4": ("gpm", [(16, 1, {}), (8, 1, {"identity_stride": 16}), (4, 0, {"dim": 16})]),
    "gpm 16 16 4": ("gpm", [(16, 1, {}), (16, 1, {"self_stride": 2}), (4, 1, {"dim": 16, "memory_stride": 3})]),
    "gpm without blocks between": ("gpm", [(16, 1, {}), (8, 0, {"dim": 16}), (4, 1, {"dim": 16})]),
    "lstt 16 8": ("lstt", [(16, 1, {}), (8, 2, {"dim": 16, "memory_stride": 2})]),
    "pyramid 16 8 4": ("pyramid", [(16, 2, {"self_heads": 4}), (8, 1, {"memory_stride": 2}), (4, 0, {"dim": 16})]),
}  # fmt: skip


def model_config(name: str, **overrides) -> ModelConfig:
    block, entries = LISTS[name]
    stages = [
        StageConfig(stride, block, depth, heads=2, window=3, feedforward=64, **others)
        for stride, depth, others in entries
    ]
    return ModelConfig(dim=DIM, stages=stages, decode_all_blocks=block != "gpm", **overrides)


def small(name: str, **overrides) -> VOSModel:
    torch.manual_seed(0)
    model = build_model(model_config(name, **overrides))
    with torch.no_grad():
        for stage in model.stages:
            if stage.identity_bank is not None:
                stage.identity_bank.weight *= 300  # so that masks reach the logits of a random model
    return model.eval()


def images(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def masks(count: int, planes: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, planes, (count, height // 4 + 1, width // 4 + 1), generator=generator)
    labels = F.interpolate(labels[:, None].float(), (height, width), mode="nearest")[:, 0].long()
    return F.one_hot(labels, planes).permute(0, 3, 1, 2).float()


def grid(height: int, width: int, stride: int) -> tuple[int, int]:
    return -(-height // stride), -(-width // stride)


@torch.inference_mode()
def track(model: VOSModel, image: torch.Tensor, given: torch.Tensor) -> tuple[torch.Tensor, MemoryBank]:
    """Refer to the first image and match the second: logits and the bank with both."""
    bank = MemoryBank(EveryNthFrame(1))
    begin(model, bank, model.encode(image[:1]), given)
    features = model.encode(image[1:])
    propagated = model.propagate(features, bank.read())
    bank.add(model.memorize(propagated, model.assign_identities(given)))
    return model.decode(propagated, features), bank


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("align_corners", "height", "width"), [(True, 33, 49), (True, 49, 33), (False, 32, 48)]
)
def test_every_list_of_stages_runs_at_every_size(name, align_corners, height, width):
    model = small(name, align_corners=align_corners)
    logits, bank = track(model, images(2, height, width), masks(2, 4, height, width))
    stages = model.config.stages
    assert logits.shape == (2, 11, *grid(height, width, stages[-1].stride))
    assert logits.isfinite().all()
    for config, reading in zip(stages, bank.read(), strict=True):
        assert len(reading) == config.depth
        rows, columns = grid(height, width, config.stride)
        kept = -(-rows // config.memory_stride) * -(-columns // config.memory_stride)
        for long, short in reading:
            assert long.key.shape[:2] == long.value.shape[:2] == (2, 2 * kept)
            assert short.key.shape[:2] == short.value.shape[:2] == (2, rows * columns)


@pytest.mark.parametrize("name", LISTS)
def test_groups_of_a_batch_do_not_see_each_other(name):
    # In float64 batched and single matrix products round alike, to 1e-13; random weights amplify what float32 rounds.
    model, image, given = small(name).double(), images(2, 33, 49).double(), masks(2, 4, 33, 49).double()
    both, _ = track(model, image, given)
    for group in range(2):
        alone, _ = track(model, image, given[group : group + 1])
        torch.testing.assert_close(both[group], alone[0], atol=1e-9, rtol=0)
    assert (both[0] - both[1]).abs().max() > 0.01


@torch.no_grad()
@pytest.mark.parametrize("stride", [2, 3])
def test_strided_self_attention_reads_only_its_tokens(stride):
    torch.manual_seed(0)
    x = torch.randn(1, 12, DIM)
    unread = torch.arange(12) % stride != 0
    moved = torch.where(unread[:, None], torch.randn(1, 12, DIM), x)
    plain, gated = SelfAttention(DIM, 2, stride), GatedSelfAttention(DIM, stride)
    gated.conv.weight.copy_(torch.eye(25)[12].view(5, 5))  # or it would mix neighbours
    gated.eval()
    for attend in (lambda y: plain(y, torch.zeros(1)), lambda y: gated(y, y, (3, 4))):
        same = (attend(moved) - attend(x)).abs().amax(2)[0] < 1e-6
        assert torch.equal(same, ~unread)


def test_every_identity_bank_begins_orthogonal_with_the_gain_of_the_coarsest():
    for align_corners, side in ((True, 17), (False, 16)):
        model = build_model(model_config("pyramid 16 8 4", align_corners=align_corners))
        for stage in model.stages[:2]:
            rows = stage.identity_bank.weight.flatten(1) * side**2
            torch.testing.assert_close(rows @ rows.mT, torch.eye(len(rows)))


@pytest.mark.parametrize(
    ("stages", "others", "words"),
    [
        ([], {}, ["model.stages must hold at least one stage"]),
        ([{"stride": 8}], {}, ["strides must begin with 16", "[8]"]),
        ([{"stride": 16}, {"stride": 4}, {"stride": 8}], {}, ["coarse to fine", "[16, 4, 8]"]),
        ([{"stride": 16}, {"stride": 12}], {}, ["model.stages.stride must be 16, 8 or 4", "12"]),
        ([{"depth": 0}, {"stride": 8}], {}, ["model.stages.0.depth", "at least 1"]),
        ([{"depth": -1}], {}, ["model.stages.depth", "-1"]),
        ([{"block": "gpm"}, {"stride": 8}], {}, ["the same block", "['gpm', 'lstt']"]),
        ([{}, {"stride": 8, "dim": 100}], {}, ["model.stages.1.dim", "multiple of 16", "100"]),
        ([{"dim": 128}], {}, ["model.stages.0.dim", "model.dim 256", "128"]),
        ([{}, {"stride": 8, "dim": 64, "heads": 3}], {}, ["model.stages.1.dim 64", "heads", "[3]"]),
        ([{"self_heads": 7}], {}, ["model.dim 256", "heads", "[7]"]),
        ([{"heads": 0}], {}, ["model.stages.heads", "at least 1", "0"]),
        ([{}, {"stride": 8, "memory_stride": 0}], {}, ["model.stages.memory_stride", "at least 1", "0"]),
        ([{}, {"stride": 8, "self_stride": -2}], {}, ["model.stages.self_stride", "-2"]),
        ([{}, {"stride": 8, "identity_stride": 4}], {}, ["identity_stride", "at least stride 8", "4"]),
        ([{}, {"stride": 8, "identity_stride": 12}], {}, ["identity_stride", "16, 8 or 4", "12"]),
        ([{"feedforward": 100}], {}, ["model.stages.feedforward", "multiple of 32", "100"]),
        ([{}], {"dim": 24}, ["model.dim", "multiple of 16", "24"]),
    ],
)
def test_a_list_that_makes_no_sense_is_one_sentence_that_names_the_file(stages, others, words):
    with pytest.raises(InputError) as error:
        from_tree({"model": {"stages": stages, **others}}, "mine.yaml")
    message = str(error.value)
    assert message.startswith("mine.yaml: ")
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_an_unknown_kind_of_block_is_refused_with_those_there_are():
    config = from_tree({"model": {"stages": [{"block": "lsttt"}]}}, "mine.yaml")
    with pytest.raises(
        InputError,
        match=r"model\.stages\.block must be one of lstt, lstt_recurrent, gpm, aost, pyramid, got lsttt",
    ):
        build_model(config.model)


def test_the_input_of_a_first_gpm_stage_cannot_be_handed_on():
    stages = [StageConfig(16, "gpm"), StageConfig(8, "gpm")]
    with pytest.raises(InputError, match="decode_all_blocks must be false"):
        build_model(ModelConfig(stages=stages, decode_all_blocks=True))


class LouderBlock(LSTTBlock):
    """A kind of block that no file of ours knows."""

    def memorize(self, current, identity):
        key, value = super().memorize(current, identity).long
        own = KeyValue(key, 2 * value)
        return BlockMemory(own, own)


def test_a_kind_of_block_is_added_by_its_class_and_one_entry(monkeypatch):
    monkeypatch.setitem(stage_module.BLOCKS, "louder", LouderBlock)
    tree = {"model": {"dim": DIM, "stages": [
        {"block": "louder", "heads": 2, "window": 3, "feedforward": 64},
        {"block": "louder", "heads": 2, "window": 3, "feedforward": 64, "stride": 8},
    ]}}  # fmt: skip
    config = from_tree(tree, "louder.yaml")
    assert isinstance(config, Config)
    model = build_model(config.model).eval()
    assert all(isinstance(block, LouderBlock) for stage in model.stages for block in stage.blocks)
    logits, _ = track(model, images(2, 33, 49), masks(1, 4, 33, 49))
    assert logits.shape == (1, 11, 5, 7)
