"""A small model of random weights and clips for it: only the form of its output matters."""

import numpy as np
import torch
from torch import nn
from torchvision.ops import Conv2dNormActivation, FrozenBatchNorm2d

from aotlab.configs import schema
from aotlab.configs.load import load_config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.clip import ClipBatch
from aotlab.networks.build import build_model
from aotlab.networks.encoders import ENCODER_CLASSES, Encoder
from aotlab.networks.identity_bank import IdentityBank
from aotlab.networks.weights.published_keys import (
    COMPUTED_BUFFER,
    PROMPT_PREFIX,
    map_published_names,
    to_published_name,
)

HEIGHT, WIDTH = 33, 49
ROUNDING = 1e-4
"""relative to the values: float32 sums in another order"""


class TinyEncoder(Encoder):
    """Five convolutions, built and saved in a hundredth of the time of MobileNetV2."""

    channels = (8, 12, 16, 32)

    def __init__(self):
        super().__init__()
        widths, strides = (3, 8, *self.channels), (2, 2, 2, 2, 1)
        self.layers = nn.ModuleList(
            Conv2dNormActivation(
                first, second, stride=stride, norm_layer=FrozenBatchNorm2d, activation_layer=nn.ReLU6
            )
            for first, second, stride in zip(widths, widths[1:], strides, strict=False)
        )

    @property
    def freezable_parts(self):
        return list(self.layers)

    @property
    def recomputable_blocks(self):
        return list(self.layers)

    def forward(self, image):
        maps = [image]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[2:]


ENCODER_CLASSES["tiny"] = TinyEncoder
schema.ENCODERS += ("tiny",)
TINY_STAGE = {"window": 7, "feedforward": 64}


def tiny_settings(preset):
    """Overrides of a preset for a tiny network, of those settings that its method has."""
    settings = schema.METHODS[load_config(preset).model.method].settings
    stage = [f"model.stages.0.{name}={value}" for name, value in TINY_STAGE.items() if name in settings]
    return ["model.encoder=tiny", "model.dim=32", *stage]


def build(preset="aott", *overrides, tiny=True):
    """A preset's method with a tiny network, or with its own and a small window if it has one; and its settings."""
    has_window = "window" in schema.METHODS[load_config(preset).model.method].settings
    small = tiny_settings(preset) if tiny else ["model.stages.0.window=7"] * has_window
    config = load_config(preset, [*small, *overrides])
    torch.manual_seed(0)
    return amplify(build_model(config.model)), config


def amplify(model):
    """At random initialization identities hardly reach the logits; with a larger gain, masks follow what was given."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, IdentityBank):
                module.weight *= 300
        model.decoder.conv_out.weight *= 10
        model.decoder.conv_out.weight -= model.decoder.conv_out.weight.mean(1, keepdim=True)
    return model


def draw_texture(length=4, height=HEIGHT, width=WIDTH, seed=0):
    """Frames T×H×W×3 of coarse random texture that slides."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (height // 8 + 2, (width + length) // 8 + 2, 3), dtype=np.uint8)
    wide = tiles.repeat(8, 0).repeat(8, 1)
    return np.stack([wide[:height, index : index + width] for index in range(length)])


def stripes(ids, height=HEIGHT, width=WIDTH, dtype=np.int64):
    """Vertical stripes: background, then each object."""
    edges = np.linspace(0, width, len(ids) + 2).astype(int)
    mask = np.zeros((height, width), dtype)
    for number, start, stop in zip(ids, edges[1:], edges[2:], strict=False):
        mask[:, start:stop] = number
    return mask


def run_tracker(tracker, frames, masks):
    return [tracker.step(frame, masks.get(index)) for index, frame in enumerate(frames)]


def assert_same(found, expected):
    """Compare predictions of the same frames bit by bit."""
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert torch.equal(one.logits, other.logits), f"prediction {index} differs"


def assert_resumes(model, config, frames, masks, split, folder):
    """Stop before frame ``split``, store the state in a file and continue in a second tracker, as a whole run does.

    Returns:
        The second tracker's predictions.
    """
    whole = run_tracker(Tracker(model, config), frames, masks)
    first, second = Tracker(model, config), Tracker(model, config)
    run_tracker(first, frames[:split], masks)
    torch.save(first.state_dict(), folder / "state.pt")
    second.load_state_dict(torch.load(folder / "state.pt", weights_only=True))
    assert second.ids == first.ids
    resumed, saved = ([group.memory.policy for group in each.state.groups] for each in (second, first))
    assert resumed == saved
    rest = run_tracker(second, frames[split:], {index - split: mask for index, mask in masks.items()})
    assert [prediction.ids for prediction in rest] == [prediction.ids for prediction in whole[split:]]
    assert_same(rest, whole[split:])
    return rest


def clip_batch(frames, masks, objects):
    """A training batch of one clip."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = ((torch.from_numpy(frames) / 255 - mean) / std).movedim(-1, 1)[:, None]
    return ClipBatch(images, torch.from_numpy(np.stack(masks))[:, None], [objects])


def to_published(model):
    """The state dict under the names of the published code, all contiguous and without the prompt network."""
    own = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith(PROMPT_PREFIX)}
    state = {name: own[key].contiguous() for key, name in map_published_names(own).items()}
    buffers = [(key, tensor) for key, tensor in model.named_buffers() if key.endswith(COMPUTED_BUFFER)]
    computed = {to_published_name(key): tensor for key, tensor in buffers}
    return state | computed
