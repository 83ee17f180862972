"""Optional prompt network of a tracking model: stored in the same file, without effect on masks."""

import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.networks.build import build_model
from aotlab.networks.fast.optimize import optimize
from aotlab.networks.prompts import PLANES
from aotlab.networks.weights.checkpoints import load_checkpoint, load_weights, save_checkpoint
from aotlab.utils.errors import InputError
from tests.engine.small_model import ROUNDING, assert_same_weights, tiny_settings

TINY = tiny_settings("aott")


def settings(blocks):
    return load_config("aott", [*TINY, f"model.prompt_blocks={blocks}"])


@pytest.fixture(scope="module")
def prompted():
    torch.manual_seed(0)
    return build_model(settings(2).model).eval()


def draw_uniform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


IMAGE, PROMPTS = draw_uniform(1, 3, 49, 65), draw_uniform(2, len(PLANES), 49, 65)


def test_objects_share_features_across_batch(prompted):
    features = prompted.prompts.encode(IMAGE)
    logits = prompted.prompts(features, PROMPTS)
    assert logits.shape == (2, 1, 13, 17)
    assert torch.allclose(logits[1:], prompted.prompts(features, PROMPTS[1:]), atol=1e-5)  # kernels depend on the batch
    assert not torch.allclose(logits[1:], logits[:1], atol=1e-4)


def test_optimized_network_equals_plain(prompted):
    fast = optimize(prompted, precision="float32").prompts
    with torch.no_grad():
        expected = prompted.prompts(prompted.prompts.encode(IMAGE), PROMPTS)
        found = fast(fast.encode(IMAGE), PROMPTS)
    assert torch.allclose(found, expected, atol=ROUNDING)  # two prompts differ by 1e-3


def test_prompts_share_checkpoint_and_are_optional(prompted, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, prompted, settings(2))
    loaded, config = load_checkpoint(path)
    assert config.model.prompt_blocks == 2
    assert torch.equal(loaded.prompts.bank4.weight, prompted.prompts.bank4.weight)
    bare = load_checkpoint(path, config="aott", overrides=TINY)[0]
    assert bare.prompts is None
    assert torch.equal(bare.decoder.conv_out.weight, prompted.decoder.conv_out.weight)
    with pytest.raises(InputError, match="Missing key"):
        load_checkpoint(path, overrides=["model.prompt_blocks=3"])


def test_file_without_prompts_keeps_prompt_network(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model(settings(0).model), settings(0))
    model = build_model(settings(2).model)
    fresh = {key: tensor.clone() for key, tensor in model.prompts.state_dict().items()}
    load_weights(model, path, "aott")
    assert_same_weights(model.prompts.state_dict(), fresh)
