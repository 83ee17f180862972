"""Models of all papers: shapes, batches, identities, initial weights, ablations and invalid settings."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aotlab.configs import schema
from aotlab.configs.load import build_config, load_config
from aotlab.configs.methods import METHODS, AOSTStage, AOTStage
from aotlab.networks.aost import AOSTBlock, AOSTState
from aotlab.networks.aot import LSTTBlock
from aotlab.networks.build import MODEL_CLASSES, build_model
from aotlab.networks.deaot import GatedOutput
from aotlab.networks.encoders import ENCODER_CLASSES
from aotlab.networks.layers import SelfAttention
from aotlab.networks.model import BlockMemory, KeyValue
from aotlab.networks.multiscale import Transition
from aotlab_testing.marks import slow
from aotlab_testing.mutations import raises_one_sentence
from aotlab_testing.small_model import CASES, DIM, build_case, draw_images, draw_normal, draw_planes, match_second_frame


def grid(height: int, width: int, stride: int) -> tuple[int, int]:
    return -(-height // stride), -(-width // stride)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("align_corners", "height", "width"), [(True, 33, 49), (False, 32, 48), *slow((True, 49, 33))])
def test_every_model_runs_at_every_size(name, align_corners, height, width):
    model = build_case(name, align_corners=align_corners)[0]
    logits, bank = match_second_frame(model, draw_images(4, height, width), draw_planes(2, 4, height, width))
    stages = model.config.stages
    stride = 4 if len(stages) == 1 else stages[-1].stride
    assert logits.shape == (2, 11, *grid(height, width, stride))
    assert logits.isfinite().all()
    memory = bank.read()
    assert [len(blocks) for blocks in memory] == [stage.depth for stage in stages if stage.depth]
    for config, blocks in zip(stages, memory, strict=False):
        rows, columns = grid(height, width, config.stride)
        kept = -(-rows // config.long_term_stride) * -(-columns // config.long_term_stride)
        for long, short, _ in blocks:
            assert long.key.shape[:2] == long.value.shape[:2] == (2, 2 * kept)
            assert short.key.shape[:2] == short.value.shape[:2] == (2, rows * columns)


@pytest.mark.parametrize("name", CASES)
def test_clips_of_a_batch_do_not_see_each_other(name):
    # In float64 batched and single matrix products round alike, to 1e-13; random weights amplify what float32 rounds.
    model = build_case(name)[0].double()
    image, object_masks = draw_images(4, 33, 49).double(), draw_planes(2, 4, 33, 49).double()
    both, _ = match_second_frame(model, image, object_masks)
    for clip in range(2):
        alone, _ = match_second_frame(model, image[clip::2], object_masks[clip : clip + 1])
        torch.testing.assert_close(both[clip], alone[0], atol=1e-9, rtol=0)
    assert (both[0] - both[1]).abs().max() > 0.01


@pytest.mark.parametrize("name", CASES)
def test_unused_identities_do_not_change_logits(name):
    model, image, object_masks = build_case(name)[0], draw_images(2, 33, 49), draw_planes(1, 4, 33, 49)
    few, _ = match_second_frame(model, image, object_masks)
    all_planes, _ = match_second_frame(model, image, F.pad(object_masks, (0, 0, 0, 0, 0, 7)))
    torch.testing.assert_close(few, all_planes, atol=1e-3, rtol=1e-4)  # random weights amplify rounding


@torch.no_grad()
@pytest.mark.parametrize("stride", [2, 3])
def test_strided_self_attention_reads_only_its_tokens(stride):
    torch.manual_seed(0)
    x = draw_normal(1, 12, DIM)
    unread = torch.arange(12) % stride != 0
    moved = torch.where(unread[:, None], draw_normal(1, 12, DIM, seed=1), x)
    attend = SelfAttention(DIM, 2, stride)
    same = (attend(moved, None) - attend(x, None)).abs().amax(2)[0] < 1e-6
    np.testing.assert_array_equal(same, ~unread)


def test_identity_banks_start_orthogonal_with_equal_gain():
    for align_corners, side in ((True, 17), (False, 16)):
        model = build_model(build_case("paot 16 8 4", align_corners=align_corners)[0].config)
        for stage in model.stages[:2]:
            rows = stage.identity_bank.weight.flatten(1) * side**2
            torch.testing.assert_close(rows @ rows.mT, torch.eye(len(rows)))


@pytest.mark.parametrize("preset", ["aott", "r50_paotl"])
def test_relative_positions_start_xavier_uniform(preset):
    torch.manual_seed(0)
    model = build_model(load_config(preset).model)
    positions = [x for name, x in model.named_parameters() if name.endswith("relative_value")]
    assert positions
    for position in positions:
        heads, dim, offsets = position.shape
        bound = (6 / ((heads + dim) * offsets)) ** 0.5  # 0.026 for 8 heads of 32 channels and 15×15 offsets
        assert position.abs().max() <= bound
        assert position.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def build_block(**options) -> LSTTBlock:
    torch.manual_seed(0)
    return LSTTBlock(DIM, AOTStage(heads=2, feedforward=32, **options)).eval()


def draw_memory(*, short: bool = True) -> BlockMemory:
    draw = torch.Generator().manual_seed(1)
    long, recent = (KeyValue(*torch.randn(2, 1, 12, DIM, generator=draw)) for _ in range(2))
    return BlockMemory(long, recent if short else None)


@torch.no_grad()
def test_no_window_skips_short_term_memory():
    without, x = build_block(window=0), draw_normal(1, 12, DIM)
    outputs = [without(x, (3, 4), draw_memory(short=short))[0] for short in (True, False)]
    np.testing.assert_array_equal(*outputs)
    assert not [name for name, _ in without.named_parameters() if name.startswith("short")]


@torch.no_grad()
def test_no_relative_positions_uses_keys_only():
    bare, positioned = build_block(window=7, relative_position=False), build_block(window=7)
    missing = positioned.load_state_dict(bare.state_dict(), strict=False).missing_keys
    assert missing
    for name in missing:
        positioned.get_parameter(name).zero_()
    x = draw_normal(1, 12, DIM)
    results = [each(x, (3, 4), draw_memory())[0] for each in (bare, positioned)]
    torch.testing.assert_close(*results, atol=1e-6, rtol=0)


@torch.no_grad()
def test_aost_identities_scale_keys_and_shift_values():
    tested = AOSTBlock(DIM, AOSTStage(heads=2, feedforward=32))
    tested.id_key_value.weight.zero_()
    tested.id_key_value.bias.copy_(torch.cat([torch.tensor([0.5, -0.5]).atanh(), torch.full((DIM,), 3.0)]))
    x = torch.ones(1, 1, DIM)
    key, value = tested.memorize(AOSTState(2 * x, x), x).long
    half = DIM // 2
    torch.testing.assert_close(key, torch.tensor([[[3.0] * half + [1.0] * half]]))
    torch.testing.assert_close(value, 4 * x)


@torch.no_grad()
def test_gated_propagation_drops_channels_in_training():
    torch.manual_seed(0)
    output, values = GatedOutput(64), draw_normal(1, 12, 256)
    assert not torch.equal(*(output(values, values, (3, 4)) for _ in range(2)))


@torch.no_grad()
def test_transition_rectifies_both_sides_of_the_sum():
    transition = Transition(1, 1, 8, branches=2, align_corners=True)
    transition.adapter = nn.Identity()
    transition.proj_in = transition.refine = nn.ModuleList([nn.Identity(), nn.Identity()])
    coarse = torch.tensor([[[[-1.0, 2.0]], [[4.0, -4.0]]]])
    result = transition([coarse], torch.tensor([[[[1.0, -3.0]]]]))
    assert result.tolist() == [[[[1, 0]], [[5, 0]]]]


@pytest.mark.parametrize("sine", [False, True])
@torch.no_grad()
def test_sine_positions_distinguish_tokens(sine):
    generator = torch.Generator().manual_seed(0)
    order, x = torch.randperm(12, generator=generator), torch.randn(1, 12, DIM, generator=generator)
    seen: list[torch.Tensor] = []
    tested = build_block(window=0, sine_position=sine)
    tested.self_attention.register_forward_hook(lambda _, __, output: seen.append(output))
    for tokens in (x, x[:, order]):
        tested(tokens, (3, 4), draw_memory())
    assert torch.allclose(seen[0][:, order], seen[1], atol=1e-5) != sine


PAOT, MSDEAOT = {"method": "paot"}, {"method": "msdeaot"}


@pytest.mark.parametrize(("stages", "others", "words"), [
    ([{"stride": 8}], {}, ["strides must begin with 16", "[8]"]),
    ([{"stride": 16}, {"stride": 4}, {"stride": 8}], {}, ["coarse to fine", "[16, 4, 8]"]),
    ([{"stride": 16}, {"stride": 12}], {}, ["model.stages.1.stride 12: not one of 16, 8, 4"]),
    ([{"depth": 0}, {"stride": 8}], {}, ["only the last of several stages may have depth 0"]),
    ([{}, {"stride": 8, "dim": 100}], PAOT, ["model.stages.1.dim", "multiple of 16", "100"]),
    ([{"dim": 128}], PAOT, ["model.stages.0.dim must be model.dim, 256, got 128"]),
    ([{}, {"stride": 8, "dim": 64, "heads": 3}], PAOT, ["model.stages.1: dim 64 is not divisible by 3 heads"]),
    ([{"heads": 0}], {}, ["model.stages.0.heads must be 1 to", "got 0"]),
    ([{}, {"stride": 8, "memory_stride": 0}], PAOT, ["model.stages.1.memory_stride must be 1 to", "got 0"]),
    ([{}, {"stride": 8, "self_stride": -2}], PAOT, ["model.stages.1.self_stride", "-2"]),
    ([{}, {"stride": 8, "identity_stride": 4}], PAOT, ["model.stages.1.identity_stride must be at least 8, got 4"]),
    ([{}, {"stride": 8, "identity_stride": 12}], PAOT, ["identity_stride", "16, 8, 4", "12"]),
    ([{"feedforward": 100}], {}, ["model.stages.0.feedforward", "multiple of 32", "100"]),
    ([{}], {"dim": 24}, ["model.dim", "multiple of 16", "24"]),
    ([{"temporal_slots": 4}], {}, ["unknown key model.stages.0.temporal_slots; valid keys are stride, depth"]),
    ([{"heads": 8}], {"method": "deaot"}, ["unknown key model.stages.0.heads; valid keys are stride, depth"]),
    ([{"widow": 7}], {"method": "deaot"}, ["unknown key model.stages.0.widow; did you mean model.stages.0.window?"]),
    ([{"window": 0}], {"method": "deaot"}, ["model.stages.0.window must be odd, 1 to 1001, got 0"]),
    ([{}, {"stride": 8}], {}, ["model.stages: aot has stages at strides (16,), got (16, 8)"]),
    ([{}, {"stride": 8}], MSDEAOT, ["model.stages: msdeaot has stages at strides (16, 8, 4), got (16, 8)"]),
    ([{}, {"stride": 8}, {"stride": 4}], MSDEAOT, ["the last stage of msdeaot must have depth 0"]),
    ([{}, {"stride": 8, "depth": 0}, {"stride": 4}], PAOT, ["only the last of several stages"]),
])  # fmt: skip
def test_invalid_stages_rejected(stages, others, words):
    with raises_one_sentence() as error:
        build_config({"model": {"stages": stages, **others}}, "mine.yaml")
    message = str(error.value)
    assert message.startswith("mine.yaml: ")
    assert [word for word in words if word not in message] == []


def test_schema_lists_all_methods_and_encoders():
    assert METHODS.keys() == MODEL_CLASSES.keys()
    assert {*ENCODER_CLASSES} == {*schema.ENCODERS}
