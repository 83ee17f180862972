"""The method of a plug-in: it tracks, trains a step and is exported."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from aotlab.configs.load import load_config
from aotlab.configs.methods import AOTStage, Method, PAOTStage
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.training.build import resolve_training
from aotlab.engine.training.clip import ClipModule, ClipOptions
from aotlab.export.export import export_model, resolve_export_config
from aotlab.export.synthetic_clip import draw_clip
from aotlab.export.verify import TOLERANCE, verify_export
from aotlab.networks.aot import AOT, LSTTBlock
from aotlab.networks.paot import PAOT
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import METHOD_PLUGINS
from aotlab_testing.small_model import HEIGHT, WIDTH, build, clip_batch, draw_stripes, draw_texture, run_tracker

OVERRIDES = ("model.method=scaled", "memory.policy=bounded_fifo", "memory.frames=3", "memory.every=1")


class ScaledState(NamedTuple):
    key: Tensor
    tokens: Tensor
    scale: Tensor


class ScaledBlock(LSTTBlock):
    def forward(self, x, size, memory=None, id_embedding=None):
        x, state = super().forward(x, size, memory, id_embedding)
        return x, self.build_state(*state)

    def build_state(self, key, tokens):
        return ScaledState(key, tokens, tokens.abs().mean((1, 2), keepdim=True))

    def memorize(self, state, id_embedding):
        return super().memorize(state, id_embedding * (1 + state.scale))

    def reference_memory(self, state, id_embedding):  # before it has a scale
        return super().memorize(state, id_embedding)


class ScaledAOT(AOT):
    def __init__(self, config):
        super().__init__(config, ScaledBlock)


@pytest.fixture
def scaled(offer):
    offer(METHOD_PLUGINS, scaled=Method(AOTStage, model=ScaledAOT))
    return build("aott", *OVERRIDES)


def test_custom_method_tracks_and_trains(scaled):
    model, config = scaled
    frames, mask = draw_texture(3), draw_stripes([1, 2])
    predictions = run_tracker(Tracker(model, config), frames, {0: mask})
    assert predictions[-1].ids == (1, 2)
    plan = ClipOptions(torch.arange(11)[None], hard_pixel_count=mask.size, use_predictions=False)
    loss, _ = ClipModule(model.train(), config.memory)(clip_batch(frames, [mask] * 3, 2), plan)
    loss.backward()
    assert model.blocks[0].value.weight.grad.abs().max() > 0


STAGE = "window: 7, feedforward: 64"
TWO_STAGES = f"model.stages=[{{stride: 16, {STAGE}}}, {{stride: 8, {STAGE}}}]"


def test_method_of_two_stages_tracks(offer):
    offer(METHOD_PLUGINS, mine=Method(PAOTStage, strides=(16, 8), augmentation="deaot", model=PAOT))
    model, config = build("aott", "model.method=mine", TWO_STAGES)
    predictions = run_tracker(Tracker(model, config), draw_texture(3), {0: draw_stripes([1, 2])})
    assert predictions[-1].ids == (1, 2)
    recipe = load_config("ytvos", ["model.method=mine", TWO_STAGES])
    assert {phase.augmentation for phase in resolve_training(recipe).train.phases} == {"deaot"}
    with pytest.raises(InputError, match=r"mine has stages at strides \(16, 8\), got \(16,\)"):
        load_config("aott", ["model.method=mine"])


@pytest.mark.slow
def test_custom_method_is_exported(scaled, tmp_path):
    model, config = scaled
    model.blocks[0].short_attention.relative_value.data *= 0.1  # as in test_onnx
    export_model(model, config, tmp_path / "export", frame_size=(HEIGHT, WIDTH))
    agreement = verify_export(
        model,
        resolve_export_config(config),
        tmp_path / "export",
        clip=list(zip(*draw_clip(4, HEIGHT, WIDTH, seed=0), strict=True)),
    )
    assert agreement.difference < TOLERANCE


class AgedBlock(LSTTBlock):
    """Adds an embedding of the age of each stored frame to its keys."""

    def __init__(self, dim, config):
        super().__init__(dim, config)
        self.age = torch.nn.Embedding(8, dim)

    def forward(self, x, size, memory=None, id_embedding=None):
        if memory is not None:
            ages = self.age(memory.ages.clamp(max=7))[:, None]  # T×1×C
            key = memory.long.key.unflatten(1, (ages.shape[0], -1)) + ages
            memory = memory._replace(long=memory.long._replace(key=key.flatten(1, 2)))
        return super().forward(x, size, memory, id_embedding)


@pytest.mark.slow
def test_block_that_learns_ages_tracks_alike_when_exported(offer, tmp_path):
    offer(METHOD_PLUGINS, scaled=Method(AOTStage, model=lambda config: AOT(config, AgedBlock)))
    model, config = build("aott", *OVERRIDES)
    model.blocks[0].short_attention.relative_value.data *= 0.1  # as in test_onnx
    clip = list(zip(*draw_clip(6, HEIGHT, WIDTH, seed=0), strict=True))
    export_model(model, config, tmp_path / "export", frame_size=(HEIGHT, WIDTH))
    assert verify_export(model, resolve_export_config(config), tmp_path / "export", clip=clip).difference < TOLERANCE
    model.blocks[0].age.weight.data[2:] += 10  # other ages, other masks
    assert verify_export(model, resolve_export_config(config), tmp_path / "export", clip=clip).difference > TOLERANCE


def test_states_without_names_rejected(scaled, tmp_path, monkeypatch):
    monkeypatch.setattr(
        ScaledBlock, "build_state", lambda _, *state: SimpleNamespace(**ScaledState(*state, scale=0)._asdict())
    )
    with pytest.raises(InputError, match=r"SimpleNamespace: to be exported, .* must be a NamedTuple"):
        export_model(*scaled, tmp_path / "export", frame_size=(HEIGHT, WIDTH))
