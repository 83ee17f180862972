"""Prompt networks: batches of objects, optimized copies, files."""

import pytest
import torch
from safetensors.torch import save_file

from aotlab.configs.load import to_yaml
from aotlab.networks.fast.optimize import optimize_network
from aotlab.networks.weights.checkpoints import load_checkpoint, save_checkpoint
from aotlab.prompting.prompt_network import PLANES
from aotlab.prompting.weights import load_prompt_network, save_prompt_network
from aotlab.utils.errors import InputError
from aotlab_testing.small_model import ROUNDING, assert_same_weights, build, build_prompts


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_prompts(2)


def draw_uniform(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


IMAGE, PROMPTS = draw_uniform(1, 3, 49, 65), draw_uniform(2, len(PLANES), 49, 65)


def test_objects_share_features_across_batch(network):
    features = network.encode(IMAGE)
    logits = network(features, PROMPTS)
    assert logits.shape == (2, 1, 13, 17)
    assert torch.allclose(logits[1:], network(features, PROMPTS[1:]), atol=1e-5)  # kernels depend on the batch
    assert not torch.allclose(logits[1:], logits[:1], atol=1e-4)


def test_optimized_network_equals_plain(network):
    fast = optimize_network(network, torch.device("cpu"), "float32")
    with torch.no_grad():
        expected = network(network.encode(IMAGE), PROMPTS)
        found = fast(fast.encode(IMAGE), PROMPTS)
    assert torch.allclose(found, expected, atol=ROUNDING * (1 + expected.abs().max()))


def test_network_and_settings_are_stored_in_one_file(network, tmp_path):
    path = tmp_path / "prompts.safetensors"
    save_prompt_network(path, network)
    loaded = load_prompt_network(path)
    assert loaded.config == network.config
    assert not loaded.training
    assert_same_weights(loaded.state_dict(), network.state_dict())


def test_bundled_network_is_loaded_by_default():
    network = load_prompt_network()
    assert (network.config.encoder, network.config.blocks) == ("mobilenet_v2", 2)
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_files_of_trackers_and_prompts_are_not_confused(network, tmp_path):
    tracking, prompts = tmp_path / "model.safetensors", tmp_path / "prompts.safetensors"
    save_checkpoint(tracking, *build("aott"))
    save_prompt_network(prompts, network)
    with pytest.raises(InputError, match="not a prompt network"):
        load_prompt_network(tracking)
    with pytest.raises(InputError, match="keys fit no preset"):
        load_checkpoint(prompts)


def test_damaged_prompt_network_rejected(network, tmp_path):
    path, metadata = tmp_path / "prompts.safetensors", {"prompts": to_yaml(network.config)}
    weights = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    save_file({**weights, "bank4.bias": torch.full_like(weights["bank4.bias"], torch.nan)}, path, metadata)
    with pytest.raises(InputError, match="not finite"):
        load_prompt_network(path)
    del weights["bank4.bias"]
    save_file(weights, path, metadata)
    with pytest.raises(InputError, match=r"bank4\.bias"):
        load_prompt_network(path)
