"""Small models of every method, and clips for them. Weights are random: tests compare outputs with each other."""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from aotlab.configs.load import load_config
from aotlab.configs.methods import find_method
from aotlab.configs.plugins import load_plugins
from aotlab.configs.schema import Config, MemoryConfig, ModelConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.clip import ClipBatch
from aotlab.networks.build import build_model
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.weights.published_keys import (
    COMPUTED_BUFFER,
    map_published_names,
    to_published_name,
)
from aotlab.prompting.config import PromptConfig
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab_testing.files import TINY_ENCODER
from aotlab_testing.frames import add_reference_frame

HEIGHT, WIDTH = 33, 49
ROUNDING = 1e-4
"""Tolerance for float32 sums in another order."""


def register_tiny_encoder():
    """Let settings of this process name the encoder ``tiny``."""
    load_plugins([TINY_ENCODER])


DIM, TINY_STAGE = 32, {"window": 7, "feedforward": 64}


@cache
def list_stage_settings(preset):
    """Return overrides that make the first stage of a preset small, for the settings that its method has."""
    stage = load_config(preset).model.stages[0]
    return [f"model.stages.0.{name}={value}" for name, value in TINY_STAGE.items() if hasattr(stage, name)]


def tiny_settings(preset):
    """Return overrides that make the network of a preset tiny, whose encoder they register."""
    register_tiny_encoder()
    return ["model.encoder=tiny", f"model.dim={DIM}", *list_stage_settings(preset)]


def build(preset="aott", *overrides, tiny=True):
    """Build the model of a preset with a tiny network, or with the preset's own; return it and its settings."""
    small = tiny_settings(preset) if tiny else [line for line in list_stage_settings(preset) if ".window=" in line]
    config = load_config(preset, [*small, *overrides])
    torch.manual_seed(0)
    return amplify(build_model(config.model)), config


def build_prompts(blocks=1, dim=DIM):
    """Build a tiny prompt network with random weights; after `build`, always the same ones."""
    register_tiny_encoder()
    network = PromptNetwork(PromptConfig(encoder="tiny", dim=dim, blocks=blocks, **TINY_STAGE))
    amplify_identities(network)
    return network.eval()


SMALL = {"heads": 2, "window": 3, "feedforward": 64}
CASES: dict[str, tuple] = {
    "aot": ("aot", [(16, 2, {})], {}),
    "deaot": ("deaot", [(16, 2, {})], {}),
    "aost": ("aost", [(16, 2, {})], {}),
    "shared aost": ("aost", [(16, 2, {"shared": True})], {}),
    "rmem aot": ("aot_rmem", [(16, 2, {"temporal_slots": 4})], {"ignore_plane": True}),
    "rmem deaot": ("deaot_rmem", [(16, 2, {"temporal_slots": 4})], {"ignore_plane": True}),
    "msdeaot": ("msdeaot", [(16, 2, {}), (8, 1, {"dim": 16, "memory_stride": 2}), (4, 0, {"dim": 16})], {}),
    "msdeaot of one width": ("msdeaot", [(16, 1, {}), (8, 2, {"identity_stride": 16}), (4, 0, {})], {}),
    "paot 16 16 4": (
        "paot", [(16, 1, {}), (16, 1, {"self_stride": 2}), (4, 1, {"dim": 16, "memory_stride": 3})], {}
    ),
    "paot 16 8 4": ("paot", [(16, 2, {"self_heads": 4}), (8, 1, {"memory_stride": 2}), (4, 0, {"dim": 16})], {}),
}  # fmt: skip
"""Method, stages as (stride, depth, settings), and other settings of the model."""


def build_case(name, **overrides):
    """Build a small model of one of `CASES`; return it and its settings, which store every second frame."""
    register_tiny_encoder()
    method, entries, others = CASES[name]
    stage = find_method(method).stage
    small = {key: value for key, value in SMALL.items() if hasattr(stage, key)}
    stages = [stage(stride=stride, depth=depth, **small, **settings) for stride, depth, settings in entries]
    settings = {"encoder": "tiny", "dim": DIM, "stages": stages, **others, **overrides}
    torch.manual_seed(0)
    model = amplify(build_model(ModelConfig(method=method, **settings))).eval()
    return model, Config(name=name, model=model.config, memory=MemoryConfig(policy="every_nth", every=2))


def amplify(model):
    """Enlarge weights so that the given masks decide the logits, on which random weights have little effect."""
    amplify_identities(model)
    with torch.no_grad():
        model.decoder.conv_out.weight *= 10
        model.decoder.conv_out.weight -= model.decoder.conv_out.weight.mean(1, keepdim=True)
    return model


@torch.no_grad()
def amplify_identities(network):
    for module in network.modules():
        if isinstance(module, IdentityBank):
            module.weight *= 300


def draw_texture(length=4, height=HEIGHT, width=WIDTH, seed=0):
    """Draw frames T×H×W×3 of a coarse random texture that slides."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (height // 8 + 2, (width + length) // 8 + 2, 3), dtype=np.uint8)
    wide = tiles.repeat(8, 0).repeat(8, 1)
    return np.stack([wide[:height, index : index + width] for index in range(length)])


def draw_stripes(ids, height=HEIGHT, width=WIDTH, dtype=np.int64):
    """Draw vertical stripes, the background and then each object: labels H×W."""
    edges = np.linspace(0, width, len(ids) + 2).astype(int)
    mask = np.zeros((height, width), dtype)
    for object_id, start, stop in zip(ids, edges[1:], edges[2:], strict=False):
        mask[:, start:stop] = object_id
    return mask


def draw_normal(*shape, seed=0):
    """Return normally distributed values, always the same ones."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def draw_images(count, height, width):
    return draw_normal(count, 3, height, width, seed=1)


def draw_planes(count, planes, height, width):
    """Draw random masks as one-hot planes B×(m+1)×H×W."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, planes, (count, height // 4 + 1, width // 4 + 1), generator=generator)
    labels = F.interpolate(labels[:, None].float(), (height, width), mode="nearest")[:, 0].long()
    return F.one_hot(labels, planes).permute(0, 3, 1, 2).float()


@torch.inference_mode()
def match_second_frame(model, images, planes):
    """Store the first image of each clip and match the second; return its logits and the bank with both."""
    bank, clips = MemoryBank(FIFO(1)), len(planes)
    add_reference_frame(model, bank, model.encode(images[:clips]), planes)
    features = model.encode(images[clips:])
    propagated = model.propagate(features, bank.read())
    bank.add(model.memorize(propagated, model.assign_identities(planes)))
    return model.decode(propagated, features), bank


def run_tracker(tracker, frames, masks):
    return [tracker.step(frame, masks.get(index)) for index, frame in enumerate(frames)]


def assert_same(found, expected):
    """Compare predictions of the same frames bit by bit."""
    for index, (prediction, other) in enumerate(zip(found, expected, strict=True)):
        assert torch.equal(prediction.logits, other.logits), f"prediction {index} differs"


def assert_same_weights(found, expected):
    """Compare the tensors of two state dicts bit by bit; ``found`` may have more of them."""
    assert [name for name, tensor in expected.items() if not torch.equal(found[name], tensor)] == []


def assert_resumes(model, frames, masks, split, folder):
    """Check that a tracker that resumes before frame ``split`` from a saved state equals an uninterrupted one.

    Args:
        model: the model and its settings.

    Returns:
        The second tracker's predictions.
    """
    whole = run_tracker(Tracker(*model), frames, masks)
    first, second = Tracker(*model), Tracker(*model)
    run_tracker(first, frames[:split], masks)
    torch.save(first.state_dict(), folder / "state.pt")
    second.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    assert second.ids == first.ids
    resumed, saved = ([group.memory.policy for group in tracker.state.groups] for tracker in (second, first))
    assert resumed == saved
    rest = run_tracker(second, frames[split:], {index - split: mask for index, mask in masks.items()})
    assert [prediction.ids for prediction in rest] == [prediction.ids for prediction in whole[split:]]
    assert_same(rest, whole[split:])
    return rest


def clip_batch(frames, masks, objects):
    """Return a training batch of one clip."""
    images = (torch.from_numpy(frames) / 255).movedim(-1, 1)[:, None]
    return ClipBatch(images, torch.from_numpy(np.stack(masks))[:, None], [objects])


def to_published(model):
    """Return the state dict under the names of the published code."""
    weights = model.state_dict()
    state = {name: weights[key].contiguous() for key, name in map_published_names(weights).items()}
    buffers = [(key, tensor) for key, tensor in model.named_buffers() if key.endswith(COMPUTED_BUFFER)]
    computed = {to_published_name(key): tensor for key, tensor in buffers}
    return state | computed
