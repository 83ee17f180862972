"""Small models of every method, and their inputs."""

import torch
import torch.nn.functional as F

from aotlab.configs import schema
from aotlab.configs.schema import Config, MemoryConfig, ModelConfig, StageConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO
from aotlab.networks.build import build_model
from aotlab.networks.model import VOSModel
from tests.engine.frames import begin
from tests.engine.small_model import amplify

DIM = 32
SMALL = {"heads": 2, "window": 3, "feedforward": 64}
CASES = {
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


def model_config(name: str, **overrides) -> ModelConfig:
    method, entries, others = CASES[name]
    small = {key: value for key, value in SMALL.items() if key in schema.METHODS[method].settings}
    stages = [StageConfig(stride, depth, **small, **settings) for stride, depth, settings in entries]
    return ModelConfig(method, **{"encoder": "tiny", "dim": DIM, "stages": stages, **others, **overrides})


def small(name: str, **overrides) -> VOSModel:
    torch.manual_seed(0)
    model = build_model(model_config(name, **overrides))
    return amplify(model).eval()


def small_with_config(name: str) -> tuple[VOSModel, Config]:
    """A model that stores every second frame, and its configuration."""
    model = small(name)
    return model, Config(name=name, model=model.config, memory=MemoryConfig("every_nth", every=2))


def images(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def masks(count: int, planes: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(0, planes, (count, height // 4 + 1, width // 4 + 1), generator=generator)
    labels = F.interpolate(labels[:, None].float(), (height, width), mode="nearest")[:, 0].long()
    return F.one_hot(labels, planes).permute(0, 3, 1, 2).float()


@torch.inference_mode()
def match_second_frame(
    model: VOSModel, image: torch.Tensor, object_masks: torch.Tensor
) -> tuple[torch.Tensor, MemoryBank]:
    """Begin with the first image of each clip and match the second: logits and the bank with both."""
    bank, clips = MemoryBank(FIFO(1)), len(object_masks)
    begin(model, bank, model.encode(image[:clips]), object_masks)
    features = model.encode(image[clips:])
    propagated = model.propagate(features, bank.read())
    bank.add(model.memorize(propagated, model.assign_identities(object_masks)))
    return model.decode(propagated, features), bank
